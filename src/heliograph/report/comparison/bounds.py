"""What the data alone allow: the floor of 1-WL networks by rounds, the twins behind it, replicate noise, depth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.compare.bounds import Bound, Twin
from heliograph.compare.result import CompareResult
from heliograph.learn.figures import METRICS
from heliograph.report.comparison.scale import short
from heliograph.report.digits import count, listed, number, percent, shorten, with_unit
from heliograph.report.drawing import picture
from heliograph.report.scores import figure, powered
from heliograph.report.svg import Axis, Plot

ROUNDS = 12  # rows of the table; further rounds change little
TWINS = 6  # shown at once


def section(result: CompareResult, bound: Bound) -> dict[str, Any]:
    """One list of features, and the architectures that start from it."""
    metric = METRICS[bound.metric]
    word = "ceiling" if metric.higher_is_better else "floor"
    unit = powered(result.units[0], bound.metric) if len(result.targets) == 1 and result.units else ""
    best = _best(result, bound)
    rows = [
        {"rounds": t, "folds": figure(bound.metric, folds), "table": figure(bound.metric, table), "sharing": count(sharing)}
        for t, (folds, table, sharing) in enumerate(zip(bound.folds, bound.table, bound.sharing, strict=True))
    ]
    cards = [_twin(result, twin) for twin in bound.twins]
    return {
        "word": word,
        "label": metric.label,
        "unit": shorten(unit, 30),
        "features": shorten(bound.features, 40),
        "bounded": listed([short(a) for a in bound.bounded], 20),
        "others": listed([short(a) for a in bound.archs if a not in bound.bounded], 20),
        "rows": rows[:ROUNDS],
        "best": f"{short(best[0])}, the best of these networks, reached {with_unit(figure(bound.metric, best[1]), shorten(unit, 30))}"
        if best
        else "",
        "plot": _plot(bound, metric.label, word, shorten(unit, 30), best),
        "twins": cards[:TWINS],
        "more_twins": cards[TWINS:],
        "target": shorten(result.targets[0], 40) if len(result.targets) > 1 else "",
        "noise": shorten(bound.noise, 400),
        "depth": [shorten(text, 600) for _, text in bound.depth],
    }


def _best(result: CompareResult, bound: Bound) -> tuple[str, float] | None:
    """The best of the networks that are bounded, with its mean over folds and targets; None where there is none."""
    name = next((name for name in result.ranking if name in bound.bounded), None)
    if name is None or bound.metric not in result.scores:
        return None
    values = result.scores[bound.metric][:, [k.name for k in result.learners].index(name)]
    known = values[np.isfinite(values)]
    return (name, float(known.mean())) if len(known) else None


def _plot(bound: Bound, label: str, word: str, unit: str, best: tuple[str, float] | None) -> Markup:
    rounds = np.arange(len(bound.table), dtype=float)
    reached = [best[1]] if best else []
    x = Axis(-0.3, max(len(rounds) - 1, 1) + 0.3, "rounds of message passing", integer=True)
    y = Axis.fit([*bound.table, *bound.folds, *reached], f"{label} ({unit})" if unit else label, zero=word == "floor")
    plot = Plot(x, y, f"The {word} by rounds", height=280)
    for style, values, where in (("train", bound.table, "the whole table"), ("model", bound.folds, "test folds")):
        shown = np.array([v if math.isfinite(v) else math.nan for v in values])
        plot.line(rounds, shown, style)
        titles = [f"{word} on {where}, T = {int(t)}: {number(v)}" for t, v in zip(rounds, shown, strict=True)]
        plot.points(rounds, shown, f"solo {style}", titles, 3.5)
        plot.legend(style, f"{word}, {where}")
    if best:
        plot.line([x.low, x.high], [best[1]] * 2, "mark")
        plot.legend("mark", short(best[0]))
    return plot.svg()


def _twin(result: CompareResult, twin: Twin) -> dict[str, Any]:
    sides = [
        {"image": picture(structure, 180, 130), "text": shorten(structure, 70), "row": count(row), "label": label_of(result, 0, label)}
        for structure, row, label in zip(twin.structures, twin.rows, twin.labels, strict=True)
    ]
    return {"sides": sides, "share": percent(twin.share, 1), "cause": shorten(twin.cause, 200)}


def label_of(result: CompareResult, t: int, label: float) -> str:
    """A label of target t: a value with its unit, or the name of its class."""
    if not math.isfinite(label):
        return "–"
    if result.kind == "regression":
        return with_unit(number(label, 4), shorten(result.units[t], 30) if t < len(result.units) else "")
    names = result.classes[t] if t < len(result.classes) else ()
    return shorten(names[int(label)], 24) if int(label) < len(names) else str(int(label))
