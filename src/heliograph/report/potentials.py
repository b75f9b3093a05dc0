"""What the report of compared potentials says: which to train, the errors on every division, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.compare.potentials import PotentialComparison
from heliograph.potential.result import described
from heliograph.report import page
from heliograph.report.digits import count, duration, number, plural, shorten, with_unit
from heliograph.report.svg import BOTTOM, TOP, Axis, Plot
from heliograph.report.words import Headline

ROW = 34.0  # height of an architecture in a plot


def write(result: PotentialComparison, path: str | Path) -> Path:
    """Draw `result` into one HTML file. Returns the path; HeliographError where it can't be written."""
    return page.write("potentials.html", _content(result), path)


def _content(result: PotentialComparison) -> dict[str, Any]:
    words, unit = described(result.metric)
    lead, *rest = result.verdict()
    best, scores = result.ranking[0], result.scores
    figures = [
        (with_unit(number(scores.of(best).mean()), unit), f"{words}, {shorten(best, 24)}"),
        (count(len(result.values)), "divisions"),
        (duration(float(result.seconds.sum())), "to train all"),
    ]
    return {
        "title": f"{plural(len(result.archs), 'potential')} on {plural(result.frames, 'frame')}",
        "finished": "",
        "kind": "comparison",
        "headline": Headline(lead, tuple(rest), tuple(figures)),
        "words": words,
        "unit": unit,
        "divisions": plural(len(result.values), "random division"),
        "share": f"{100 / result.folds:.0f}",
        "rows": [
            (shorten(a, 60), number(scores.of(a).mean()), number(scores.of(a).std(ddof=1)), count(result.parameters[result.archs.index(a)]),
             duration(result.cost(a)), [(f"{result.folder(a, j)}/report.html", str(j + 1)) for j in range(len(result.values))])
            for a in result.ranking
        ],
        "figures": [
            (_divisions(result, f"{words} [{unit}]"), "Each line is one division, each orange stroke a mean. Hover a point for its error."),
            (_cost(result, f"{words} [{unit}]"), "Mean error against the time of one training."),
        ],
    }  # fmt: skip


def _divisions(result: PotentialComparison, label: str) -> Markup:
    values = np.stack([result.scores.of(arch) for arch in result.ranking], axis=1)  # [J, L]
    names = tuple(shorten(arch, 22) for arch in result.ranking)
    axis = Axis(-0.6, len(names) - 0.4, categories=names[::-1])
    plot = Plot(Axis.fit(values, label), axis, "Error of each architecture on each division", height=TOP + BOTTOM + ROW * len(names))
    rows = np.arange(len(names))[::-1].astype(float)
    for line in values:
        plot.line(line, rows, "fold")
    for k, name in enumerate(names):
        titles = [f"{name}, division {j + 1}: {number(v)}" for j, v in enumerate(values[:, k])]
        plot.points(values[:, k], np.full(len(values), rows[k]), "dot", titles, 3.2)
        plot.line([float(values[:, k].mean())] * 2, [rows[k] - 0.32, rows[k] + 0.32], "mark")
    return plot.svg()


def _cost(result: PotentialComparison, label: str) -> Markup:
    means = [float(result.scores.of(arch).mean()) for arch in result.ranking]
    costs = [result.cost(arch) for arch in result.ranking]
    plot = Plot(Axis.fit(costs, "one training, seconds", pad=0.15, log=True), Axis.fit(means, label, pad=0.15), "Error against time")
    titles = [f"{shorten(a, 60)}: {number(m)}, {duration(c)}" for a, m, c in zip(result.ranking, means, costs, strict=True)]
    plot.points(costs, means, "dot full", titles, 4.5)
    plot.labels(np.array(costs), np.array(means), [shorten(arch, 22) for arch in result.ranking])
    return plot.svg()
