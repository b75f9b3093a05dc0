"""The answer in words: how good, against what, and how sure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heliograph.learn.figures import ALIASES, metric
from heliograph.report import scores
from heliograph.report.digits import count, duration, number, percent, plural, with_unit
from heliograph.report.stats import NORMAL_WITHIN, SCORES, Calibration, calibration, interval
from heliograph.train.result import TrainResult

IN_WORDS = {
    "rmse": "The typical error (RMSE)",
    "mae": "The mean absolute error (MAE)",
    "r2": "R²",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
}
PART_WORDS = {"train": "training", "val": "validation", "test": "test", "out_of_fold": "out-of-fold"}


@dataclass(frozen=True)
class Headline:
    """The first thing read: one sentence, those that qualify it, and a few large figures (value, what it is)."""

    lead: str
    rest: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]


def headline(result: TrainResult) -> Headline:
    part = scores.judged_part(result)
    target, name = scores.overall(result), result.main_metric
    figures = [(str(result.cost.epochs), "epochs")] if result.cost.epochs else []
    if math.isfinite(result.cost.seconds_train):
        figures = [(duration(result.cost.seconds_train), "to train")]
    if not part:
        lead = "The model was trained on all molecules: none were kept apart to test it, so nothing is known of its error."
        return Headline(lead, (), tuple(figures))
    own = scores.score(result, target, name)
    label = metric(name).label
    if math.isnan(own.value):
        lead = f"{label} can't be computed: the {PART_WORDS[part]} molecules don't have the labels it needs."
        return Headline(lead, tuple(_part_warning(part)), tuple(figures))
    unit = scores.metric_unit(result, target, name)
    low, high = _interval(result, part)
    rest = [*_part_warning(part), *_against_baseline(result, target, name, own, (low, high)), *_spread_in_words(result, part)]
    top = [(with_unit(str(own), unit), f"{label}, {PART_WORDS[part]}")]
    best = scores.best_baseline(result, target, name)
    if best:
        top.append((with_unit(str(best[1]), unit), f"{label}, {best[0]}"))
    second = next((m for m in scores.metric_names(result)[1:] if math.isfinite(scores.score(result, target, m).value)), "")
    if second:
        top.append((scores.shown(result, target, second, scores.score(result, target, second).value), metric(second).label))
    return Headline(_lead(result, part, own, unit, (low, high)), tuple(rest), tuple([*top, *figures]))


def _lead(result: TrainResult, part: str, own: scores.Score, unit: str, bounds: tuple[float, float]) -> str:
    name = result.main_metric
    subject = IN_WORDS.get(_key(name), f"The {metric(name).label}")
    n = len(result.predictions[part])
    value = with_unit(scores.figure(name, own.value), unit)
    if len(own.each) > 1:
        spread = f", ± {number(own.spread, 2)} (standard deviation over the splits)" if math.isfinite(own.spread) else ""
        return f"{subject} on molecules the model had not seen is {value} on average over {len(own.each)} splits{spread}."
    where = f"on {plural(n, PART_WORDS[part] + ' molecule')}"
    sure = f" (95\u00a0% interval {scores.figure(name, bounds[0])} to {scores.figure(name, bounds[1])})" if math.isfinite(bounds[0]) else ""
    if len(result.targets) > 1:
        return f"{subject}, averaged over {count(len(result.targets))} targets, {where} is {value}."
    return f"{subject} {where} is {value}{sure}."


def _key(name: str) -> str:
    key = name.lower().replace("-", "_")
    return ALIASES.get(key, key)


def _interval(result: TrainResult, part: str) -> tuple[float, float]:
    """Bootstrap interval of the main metric: single target, single split, a metric we can compute ourselves."""
    if len(result.targets) != 1 or len(result.replicates) > 1 or _key(result.main_metric) not in SCORES:
        return math.nan, math.nan
    p = result.predictions[part]
    good = scores.labelled(p, 0)
    return interval(p.y_true[good, 0].astype(np.float64), p.y_pred[good, 0].astype(np.float64), SCORES[_key(result.main_metric)])


def _part_warning(part: str) -> list[str]:
    if part == "test":
        return []
    if part == "out_of_fold":
        return ["There was no test part: these are training molecules, each predicted by the member that left it out."]
    return ["There was no test part: these are validation figures. They chose the epoch that was kept, so they flatter the model."]


def _against_baseline(result: TrainResult, target: str, name: str, own: scores.Score, bounds: tuple[float, float]) -> list[str]:
    best = scores.best_baseline(result, target, name)
    if not best:
        return ["No baseline was run beside it, so there is nothing to compare with."]
    baseline, theirs = best
    constant = "always predicting the mean" if result.kind == "regression" else "always predicting the class frequencies"
    said = constant if baseline == "mean" else f"the {baseline}"
    gap = own.value - theirs.value if metric(name).higher_is_better else theirs.value - own.value
    plain = metric(name).higher_is_better or theirs.value <= 0
    amount = number(abs(gap), 2) if plain else percent(abs(gap) / theirs.value)
    better = ("higher" if gap > 0 else "lower") if metric(name).higher_is_better else ("lower" if gap > 0 else "higher")
    figure = f"{said} ({scores.figure(name, theirs.value)})"
    if gap == 0:
        return [f"That is exactly what the best baseline reaches: {figure}."]
    sentences = [f"That is {amount} {better} than the best baseline, {figure}."]
    if bounds[0] <= theirs.value <= bounds[1]:
        sentences.append("The baseline lies inside the interval: so few molecules can't tell the two apart.")
    elif gap < 0:
        sentences.append("On this data the simpler model is the better one.")
    wins = _wins(result, target, name, baseline, own)
    return [*sentences, *([wins] if wins else [])]


def _wins(result: TrainResult, target: str, name: str, baseline: str, own: scores.Score) -> str:
    """On how many splits, or targets, the model is ahead of that baseline."""
    sign = 1 if metric(name).higher_is_better else -1
    if len(own.each) > 1:
        theirs = scores.score(result, target, name, baseline).each
        pairs, what = list(zip(own.each, theirs, strict=True)) if len(theirs) == len(own.each) else [], "splits"
    elif len(result.targets) > 1:
        both = [[scores.score(result, t, name, b).value for t in result.targets] for b in ("", baseline)]
        pairs = list(zip(*both, strict=True))
        what = "targets"
    else:
        return ""
    known = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    return f"It is ahead of it on {sum(sign * (a - b) > 0 for a, b in known)} of {len(known)} {what}." if known else ""


def _spread_in_words(result: TrainResult, part: str) -> list[str]:
    p = result.predictions[part]
    if result.kind != "regression" or p.y_std is None:
        return []
    errors = np.concatenate([scores.errors_of(result, p, t) for t in range(len(result.targets))])
    c = calibration(errors, p.y_std.T.ravel().astype(np.float64))
    if c is None:
        return []
    size = int(result.config.get("model", {}).get("ensemble_size") or 0)
    return [
        f"The ensemble{f' of {size}' if size > 1 else ''} gives each molecule an error bar: ± 1 standard deviation holds the truth for "
        f"{percent(c.within[0])} of the {PART_WORDS[part]} values, where {percent(NORMAL_WITHIN[0])} would be right{_verdict(c)}."
    ]


def _verdict(c: Calibration) -> str:
    """Whether the bars may be believed: most of them by the share within one, the far ones by the mean square."""
    near = abs(c.within[0] - NORMAL_WITHIN[0]) < 0.08
    if near and c.scale <= 1.2:
        return ", so it may be believed as it stands"
    if near:
        return ", so it is about right for most, but a few errors are far larger than their bar"
    return f": the bars are too {'short' if c.within[0] < NORMAL_WITHIN[0] else 'long'}, multiply them by {number(c.scale, 2)}"
