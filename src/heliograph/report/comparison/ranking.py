"""Who is ahead: the ranking with what each learner costs, its plots, and the scores in all metrics and for each target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.compare.result import CompareResult
from heliograph.compare.verdict import chosen
from heliograph.learn.figures import metric
from heliograph.report.comparison.scale import Scale, short
from heliograph.report.digits import MISSING, count, duration, megabytes, number, shorten
from heliograph.report.scores import figure
from heliograph.report.svg import BOTTOM, TOP, Axis, Plot

ROW = 25.0  # height of a learner in a plot


def table(result: CompareResult, scale: Scale) -> list[dict[str, Any]]:
    """A row for each learner, the best first."""
    best, pick = result.ranking[0], chosen(result)
    rows = []
    for name in result.ranking:
        learner, pair = result.learner(name), None if name == best else result.pair(name, best)
        rows.append({
            "name": short(name), "full": shorten(name, 200), "network": learner.network, "chosen": name == pick,
            "mean": scale.value(result.mean(name)),
            "difference": scale.signed(pair.difference) if pair else "",
            "interval": f"{scale.signed(pair.low)} to {scale.signed(pair.high)}" if pair else "",
            "letters": result.letters[name],
            "costs": [_count(learner.parameters), _count(learner.epochs), duration(learner.seconds),
                      _rate(learner.train_molecules_per_second), _rate(learner.predict_molecules_per_second),
                      megabytes(learner.peak_memory_mb)],
        })  # fmt: skip
    return rows


def _count(value: int | None) -> str:
    return MISSING if value is None else count(value)


def _rate(value: float | None) -> str:
    return MISSING if value is None else number(value)


def figures(result: CompareResult, scale: Scale) -> list[tuple[Markup, str]]:
    """Means with the intervals of their differences to the best; the score on every fold."""
    return [
        (
            _intervals(result, scale),
            "Mean score, and the 95\u00a0% interval of its difference to the best (all pairs together), drawn from the best one's mean. "
            "Where it crosses the line, the two can't be told apart; inside the band a difference does not matter in practice.",
        ),
        (_folds(result, scale), "Each line is one fold, each orange stroke a mean. Hover a point for its fold and score."),
    ]


def _frame(result: CompareResult, x: Axis, describe: str) -> tuple[Plot, np.ndarray]:
    """A plot with a row for each learner, the best on top, and where they are."""
    names = tuple(short(name) for name in result.ranking)
    y = Axis(-0.6, len(names) - 0.4, categories=names[::-1])
    plot = Plot(x, y, describe, height=TOP + BOTTOM + ROW * (len(names) + 0.2))
    return plot, np.arange(len(names))[::-1].astype(float)


def _intervals(result: CompareResult, scale: Scale) -> Markup:
    best, means = result.ranking[0], [result.mean(name) for name in result.ranking]
    pairs = [result.pair(name, best) for name in result.ranking[1:]]
    ends = [means[0] + end for p in pairs for end in (p.low, p.high)]
    plot, rows = _frame(result, Axis.fit([*means, *ends], scale.axis), "Mean score of each learner with intervals")
    low, high = max(plot.x.low, means[0] - result.rope), min(plot.x.high, means[0] + result.rope)
    plot.boxes(np.array([low]), np.array([high]), np.array([plot.y.low]), np.array([plot.y.high]), "band")
    plot.line([means[0]] * 2, [plot.y.low, plot.y.high], "ideal")
    for p, row in zip(pairs, rows[1:], strict=True):
        plot.line([means[0] + p.low, means[0] + p.high], [row, row], "apart" if p.differ else "model")
    titles = [f"{shorten(best, 90)}: {scale.value(means[0])}, the best"]
    for p, mean in zip(pairs, means[1:], strict=True):
        away = f"{scale.signed(p.difference)} to the best ({scale.signed(p.low)} to {scale.signed(p.high)})"
        titles.append(f"{shorten(p.a, 90)}: {scale.value(mean)}\n{away}")
    plot.points(means, rows, "dot full", titles, 4.5)
    plot.legend("model", "may equal the best")
    if any(p.differ for p in pairs):
        plot.legend("apart", "differs from it")
    return plot.svg()


def _folds(result: CompareResult, scale: Scale) -> Markup:
    values = np.stack([result.table.of(name) for name in result.ranking], axis=1)  # [J, L]
    plot, rows = _frame(result, Axis.fit(values, scale.axis), "Score of each learner on each fold")
    for of_fold in values:
        plot.line(of_fold, rows, "fold")
    for k, name in enumerate(result.ranking):
        of_learner = values[:, k]
        titles = [f"{short(name)}, fold {fold}: {scale.value(v)}" for fold, v in zip(result.folds, of_learner, strict=True)]
        plot.points(of_learner, np.full(len(of_learner), rows[k]), "dot", titles, 2.8)
        plot.line([of_learner.mean()] * 2, [rows[k] - 0.32, rows[k] + 0.32], "mark")
    return plot.svg()


def metrics(result: CompareResult) -> dict[str, Any]:
    """Every metric of every learner, the mean predictor too: mean and standard deviation over folds of the mean over targets."""
    heads = [{"label": metric(name).label, "up": metric(name).higher_is_better} for name in result.scores]
    rows = []
    for name in (*result.ranking, *(k.name for k in result.learners if k.name not in result.ranking)):
        k = [learner.name for learner in result.learners].index(name)
        cells = [_with_spread(of_metric, values[:, k]) for of_metric, values in result.scores.items()]
        rows.append({"name": short(name) if name != "mean" else "the mean, always", "cells": cells})
    return {"heads": heads, "rows": rows}


def _with_spread(name: str, values: np.ndarray) -> str:
    """From [J, T], what is missing left out."""
    of_folds = np.array([_mean(row) for row in values])
    known = of_folds[np.isfinite(of_folds)]
    text = figure(name, _mean(of_folds))
    missing = f" ({len(known)} folds)" if 0 < len(known) < len(values) else ""
    return text + (f" ± {number(float(known.std(ddof=1)), 2)}" if len(known) > 1 else "") + missing


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def settings(result: CompareResult) -> list[tuple[str, str]]:
    """What trials chose for each learner, one for all folds; nothing where nothing was tuned."""
    if not result.config["compare"].get("tune"):
        return []
    learners = [result.learner(name) for name in result.ranking]
    return [(short(k.name), ", ".join(f"{n} {_setting(v)}" for n, v in k.settings.items()) or "as it comes") for k in learners]


def _setting(value: float) -> str:
    return str(value) if isinstance(value, int) else number(value, 2)


def per_target(result: CompareResult) -> dict[str, Any] | None:
    """The main metric of each target; None for a single one."""
    if len(result.targets) < 2:
        return None
    column = {learner.name: k for k, learner in enumerate(result.learners)}
    values = result.scores[result.metric]
    higher = result.higher_is_better
    rows = []
    for t, target in enumerate(result.targets):
        means = [_mean(values[:, column[name], t]) for name in result.ranking]
        known = [v for v in means if math.isfinite(v)]
        top = (max if higher else min)(known) if known else math.nan
        cells = [{"text": figure(result.metric, v), "best": v == top} for v in means]
        rows.append({"target": shorten(target, 60), "cells": cells, "unit": shorten(result.units[t], 30) if result.units else ""})
    return {
        "heads": [short(name) for name in result.ranking],
        "rows": rows,
        "label": metric(result.metric).label,
        "units": any(result.units),
    }
