"""Reading a result: which part is judged, what the model and each baseline scored, over replicates where there are some."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heliograph.learn.figures import Metrics, metric
from heliograph.report.digits import fixed, number, with_unit
from heliograph.train.predictions import Predictions
from heliograph.train.result import Baseline, TrainResult


@dataclass(frozen=True)
class Score:
    """A metric's value; over replicates their mean, with the standard deviation and each one's value."""

    name: str
    value: float
    spread: float = math.nan
    each: tuple[float, ...] = ()

    def __str__(self) -> str:
        return figure(self.name, self.value) + (f" ± {number(self.spread, 2)}" if math.isfinite(self.spread) else "")


def figure(name: str, value: float) -> str:
    """A metric's value: three decimals for those that end at 1 (R², ROC-AUC, accuracy), three digits for the others."""
    ends_at_one = metric(name).higher_is_better and not metric(name).unit_power
    return fixed(value, 3) if ends_at_one and abs(value) < 100 else number(value)


def judged_part(result: TrainResult) -> str:
    """`test`; without test molecules `val` or, with members by folds, `out_of_fold`; without any an empty string."""
    return next((part for part in ("test", "val", "out_of_fold") if part in result.predictions and len(result.predictions[part])), "")


def overall(result: TrainResult) -> str:
    """The entry that stands for all targets: the only target, or `mean`."""
    return result.targets[0] if len(result.targets) == 1 else "mean"


def value_of(metrics: dict[str, Metrics], part: str, target: str, name: str) -> float:
    """One number of a nest, NaN where it is not there. `mean` is worked out from the targets where it was not given."""
    nest = metrics.get(part, {})
    found = nest.get(target, {}).get(name, math.nan)
    if target == "mean" and math.isnan(found):
        values = [v for t, of_target in nest.items() if t != "mean" and math.isfinite(v := of_target.get(name, math.nan))]
        return float(np.mean(values)) if values else math.nan
    return found


def score(result: TrainResult, target: str, name: str, baseline: str = "") -> Score:
    """The model's score on the judged part, or a baseline's; with replicates their mean and spread."""
    part = judged_part(result)
    if len(result.replicates) > 1:
        nests = [r.metrics if not baseline else r.baselines.get(baseline, Baseline({})).metrics for r in result.replicates]
        each = tuple(value_of(nest, part, target, name) for nest in nests)
        known = [v for v in each if math.isfinite(v)]
        if known:
            return Score(name, float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else math.nan, each)
    if baseline and baseline not in result.baselines:
        return Score(name, math.nan)
    return Score(name, value_of(result.baselines[baseline].metrics if baseline else result.metrics, part, target, name))


def baseline_names(result: TrainResult) -> list[str]:
    return list(dict.fromkeys([*result.baselines, *(name for r in result.replicates for name in r.baselines)]))


def best_baseline(result: TrainResult, target: str, name: str) -> tuple[str, Score] | None:
    """The baseline with the best score, None where none has one."""
    scores = [(b, score(result, target, name, b)) for b in baseline_names(result)]
    known = [(b, s) for b, s in scores if math.isfinite(s.value)]
    if not known:
        return None
    return (max if metric(name).higher_is_better else min)(known, key=lambda pair: pair[1].value)


def metric_names(result: TrainResult) -> list[str]:
    """All metrics there are for the judged part, the main one first."""
    nest = result.metrics.get(judged_part(result), {})
    return list(dict.fromkeys([result.main_metric, *(name for of_target in nest.values() for name in of_target)]))


def metric_unit(result: TrainResult, target: str, name: str) -> str:
    """The unit the metric has for the target, "" for none or for a mean over targets of different units."""
    units = {result.unit(t) for t in (result.targets if target == "mean" and target not in result.targets else [target])}
    return powered(units.pop() if len(units) == 1 else "", name)


def powered(unit: str, name: str) -> str:
    """The unit of a metric of a target that has `unit`, "" where it has none."""
    power = metric(name).unit_power
    return "" if not unit or not power else unit if power == 1 else f"({unit})²" if " " in unit or "/" in unit else f"{unit}²"


def shown(result: TrainResult, target: str, name: str, value: float) -> str:
    """A metric's value with its unit."""
    return with_unit(figure(name, value), metric_unit(result, target, name))


def labelled(predictions: Predictions, t: int) -> np.ndarray:
    """Mask [n] of the molecules whose target `t` has a finite truth and prediction."""
    return np.asarray(np.isfinite(predictions.y_true[:, t]) & np.isfinite(predictions.y_pred[:, t]))


def errors_of(result: TrainResult, predictions: Predictions, t: int) -> np.ndarray:
    """Error per molecule [n], NaN where unlabelled. Regression: prediction - truth. Else: 1 - the probability given to the truth."""
    y, p = predictions.y_true[:, t].astype(np.float64), predictions.y_pred[:, t].astype(np.float64)
    good = labelled(predictions, t)
    error = np.full(len(y), np.nan)
    if result.kind == "regression":
        error[good] = p[good] - y[good]
    elif result.kind == "binary":
        error[good] = np.where(y[good] > 0.5, 1 - p[good], p[good])
    elif predictions.probabilities is not None:
        of_truth = predictions.probabilities[np.flatnonzero(good), t, y[good].astype(int)]
        error[good] = 1 - of_truth
    else:
        error[good] = (y[good] != p[good]).astype(np.float64)
    return error


def class_names(result: TrainResult, t: int) -> list[str]:
    """Names of target t's classes by index, as many as occur."""
    given = list(result.classes[t]) if t < len(result.classes) else []
    labels = [p.y_true[np.isfinite(p.y_true[:, t]), t] for p in result.predictions.values()]
    highest = max((int(column.max()) for column in labels if len(column)), default=0)
    wide = max((p.probabilities.shape[2] for p in result.predictions.values() if p.probabilities is not None), default=0)
    n = max(len(given), 2) if result.kind == "binary" else max(len(given), highest + 1, wide, 2)
    return [given[k] if k < len(given) else str(k) for k in range(n)]
