"""How good, target by target: tables with the baselines beside the model, and the plots of each target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.learn.figures import metric
from heliograph.report import plots, scores
from heliograph.report.digits import count, number, percent, plural, shorten, with_unit
from heliograph.report.stats import NORMAL_WITHIN, calibration, roc_auc
from heliograph.train.predictions import Predictions
from heliograph.train.result import TrainResult

PLOTTED = 12  # targets with plots; the table holds all
CLASSES = 12  # largest confusion table
COLUMNS = 6


def score_table(result: TrainResult) -> dict[str, Any]:
    """Models down, metrics across, for the only target or the mean over targets; the best of each column marked."""
    target = scores.overall(result)
    names = scores.metric_names(result)[:COLUMNS]
    models = [("this model", ""), *((b, b) for b in scores.baseline_names(result))]
    cells = [[scores.score(result, target, name, baseline) for name in names] for _, baseline in models]
    best = [_best([row[k].value for row in cells], metric(name).higher_is_better) for k, name in enumerate(names)]
    heads = [{"label": metric(n).label, "unit": scores.metric_unit(result, target, n), "up": metric(n).higher_is_better} for n in names]
    rows = [
        {
            "name": label,
            "own": not baseline,
            "cells": [{"text": str(s), "best": i in best[k] and len(models) > 1} for k, s in enumerate(row)],
        }
        for i, ((label, baseline), row) in enumerate(zip(models, cells, strict=True))
    ]
    return {"heads": heads, "rows": rows}


def _best(values: list[float], higher: bool) -> set[int]:
    known = [v for v in values if math.isfinite(v)]
    top = (max if higher else min)(known) if known else math.nan
    return {k for k, v in enumerate(values) if v == top}


def replicate_table(result: TrainResult) -> dict[str, Any] | None:
    """The main metric on each split, with the baselines beside it."""
    if len(result.replicates) < 2:
        return None
    target, name = scores.overall(result), result.main_metric
    heads = ["this model", *scores.baseline_names(result)]
    columns = [scores.score(result, target, name, b) for b in ["", *heads[1:]]]
    of_split = [[scores.figure(name, c.each[k]) if k < len(c.each) else "–" for c in columns] for k in range(len(result.replicates))]
    rows = [[shorten(r.name, 30), *cells] for r, cells in zip(result.replicates, of_split, strict=True)]
    return {"heads": heads, "rows": rows, "foot": ["mean ± sd", *(str(c) for c in columns)], "label": metric(name).label}


def target_table(result: TrainResult) -> dict[str, Any] | None:
    """All targets with the main metric of model and baselines, in the input's order; None for a single target."""
    if len(result.targets) < 2:
        return None
    part, name = scores.judged_part(result), result.main_metric
    names = scores.baseline_names(result)
    rows = []
    for t, target in enumerate(result.targets):
        values = [scores.score(result, target, name, b).value for b in ["", *names]]
        best = _best(values, metric(name).higher_is_better)
        n = int(scores.labelled(result.predictions[part], t).sum()) if part else 0
        unit = scores.metric_unit(result, target, name)
        cells = [{"text": scores.figure(name, v), "best": i in best and bool(names)} for i, v in enumerate(values)]
        rows.append({"target": shorten(target, 60), "unit": unit, "n": count(n), "cells": cells})
    return {"heads": ["this model", *names], "rows": rows, "label": metric(name).label}


def panels(result: TrainResult) -> list[dict[str, Any]]:
    """Plots of the first targets that have labels; each a title, a summary, figures (svg, caption) and maybe a confusion table."""
    part = scores.judged_part(result)
    if not part:
        return []
    p = result.predictions[part]
    with_labels = [t for t in range(len(result.targets)) if scores.labelled(p, t).any()][:PLOTTED]
    most = max(150, min(plots.MANY, 4000 // max(len(with_labels), 1)))
    draw = {"regression": _regression, "binary": _binary, "multiclass": _multiclass}[result.kind]
    out = []
    for t in with_labels:
        good = scores.labelled(p, t)
        target = result.targets[t]
        value = scores.score(result, target, result.main_metric).value
        summary = f"{metric(result.main_metric).label} {scores.shown(result, target, result.main_metric, value)}"
        out.append(
            {"title": shorten(target, 70), "summary": f"{summary}, {plural(int(good.sum()), 'molecule')}", **draw(result, p, t, most)}
        )
    return out


def _regression(result: TrainResult, p: Predictions, t: int, most: int) -> dict[str, Any]:
    good = scores.labelled(p, t)
    unit = result.unit(result.targets[t])
    y, predicted = p.y_true[good, t].astype(np.float64), p.y_pred[good, t].astype(np.float64)
    std = None if p.y_std is None else p.y_std[good, t].astype(np.float64)
    names = [p.structures[i] for i in np.flatnonzero(good)]
    figures = [
        (
            plots.parity(y, predicted, std, names, unit, most),
            "Predicted against true. The line is perfection; hover a point for its molecule.",
        ),
        (plots.error_histogram(predicted - y, unit), "Distribution of the errors, prediction minus truth."),
    ]
    raw = None if any(result.targets[t] in judged for judged in result.trust.values()) else std  # calibrated: `report.trust` judges it
    return {"figures": figures, "calibration": _calibration(predicted - y, raw, names, unit, most), "confusion": None}


def _calibration(error: np.ndarray, std: np.ndarray | None, names: list[str], unit: str, most: int) -> dict[str, Any] | None:
    c = calibration(error, std) if std is not None else None
    if std is None or c is None:
        return None
    good = np.isfinite(std) & (std > 0)
    rows = [
        {"k": f"± {k} sd", "observed": percent(c.within[k - 1]), "normal": percent(NORMAL_WITHIN[k - 1], int(k == 3))} for k in (1, 2, 3)
    ]
    facts = [
        f"On average the members differ by {with_unit(number(c.sharpness), unit)} (sharpness).",
        f"Multiplied by {number(c.scale)} the spread would have the size of the errors.",
    ]
    if math.isfinite(c.rank):
        use = "a good guide to" if c.rank >= 0.5 else "some guide to" if c.rank >= 0.2 else "no guide to"
        facts.append(f"Rank correlation of spread and |error|: {number(c.rank, 2)}, so the spread is {use} which predictions to trust.")
    shown = [name for name, g in zip(names, good, strict=True) if g]
    figures = [
        (plots.coverage(c), "Coverage of central intervals. Below the line the ensemble is too sure of itself, above it too modest."),
        (
            plots.spread_against_error(std[good], error[good], shown, unit, min(most, 600)),
            "Error against spread. A useful error bar makes the orange line rise.",
        ),
    ]
    return {"rows": rows, "facts": facts, "figures": figures, "n": plural(c.n, "molecule")}


def _binary(result: TrainResult, p: Predictions, t: int, most: int) -> dict[str, Any]:
    good = scores.labelled(p, t)
    y, predicted = (p.y_true[good, t] > 0.5).astype(np.float64), p.y_pred[good, t].astype(np.float64)
    figures: list[tuple[Markup, str]] = []
    area = roc_auc(y, predicted)
    if math.isfinite(area):
        figures.append((plots.roc(y, predicted, area), "ROC curve: what share of the positives is found, at what price in false alarms."))
    names = scores.class_names(result, t)
    positive = shorten(names[1], 24)
    diagram = plots.reliability_plot(y, predicted, f"predicted probability of {positive}", f"share of {positive}")
    figures.append((diagram, "Reliability: on the line, of the molecules given 80 % four in five are positive. Bars: one standard error."))
    confusion = _confusion(y.astype(int), (predicted >= 0.5).astype(int), names, "threshold 0.5")
    return {"figures": figures, "calibration": None, "confusion": confusion}


def _multiclass(result: TrainResult, p: Predictions, t: int, most: int) -> dict[str, Any]:
    good = scores.labelled(p, t)
    y, chosen = p.y_true[good, t].astype(int), p.y_pred[good, t].astype(int)
    names = scores.class_names(result, t)
    figures: list[tuple[Markup, str]] = []
    if p.probabilities is not None:
        sure = p.probabilities[good, t].max(axis=1).astype(np.float64)
        diagram = plots.reliability_plot((y == chosen).astype(np.float64), sure, "probability of the chosen class", "share that is right")
        figures.append(
            (diagram, "Reliability: on the line, what is called 80 % sure is right four times in five. Bars: one standard error.")
        )
    recall = [float((chosen[y == k] == k).mean()) if (y == k).any() else 0.0 for k in range(len(names))]
    shown = [k for k in range(len(names)) if (y == k).any()][:CLASSES]
    titles = [f"{shorten(names[k], 40)}: {percent(recall[k])} of {plural(int((y == k).sum()), 'molecule')} recognised" for k in shown]
    bars = plots.group_bars(
        [shorten(names[k], 10) for k in shown],
        [recall[k] for k in shown],
        titles,
        ("true class", "share recognised"),
        float((y == chosen).mean()),
        420,
    )
    figures.append((bars, "Share of each class that is recognised; the line is the share over all molecules."))
    return {"figures": figures, "calibration": None, "confusion": _confusion(y, chosen, names, "the most probable class")}


def _confusion(y: np.ndarray, chosen: np.ndarray, names: list[str], how: str) -> dict[str, Any] | None:
    """Counts of true (down) against predicted (across); None for more classes than a table can show."""
    n = len(names)
    if n > CLASSES:
        return None
    table = np.zeros((n, n), dtype=int)
    np.add.at(table, (y, chosen), 1)
    rows = []
    for i, of_class in enumerate(table.tolist()):
        total = sum(of_class)
        cells = [{"n": count(k), "share": round(k / total, 3) if total else 0.0, "right": i == j} for j, k in enumerate(of_class)]
        rows.append({"name": shorten(names[i], 24), "total": count(total), "cells": cells})
    return {"heads": [shorten(name, 24) for name in names], "rows": rows, "how": how}
