"""What more molecules would buy: the learning curves, and the power laws through them."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.compare.curve import Curve
from heliograph.compare.result import CompareResult
from heliograph.compare.verdict import chosen
from heliograph.report.comparison.scale import Scale, short
from heliograph.report.digits import count, fixed, shorten
from heliograph.report.svg import Axis, Plot


def section(result: CompareResult, scale: Scale) -> dict[str, Any] | None:
    """None where no curve was asked for."""
    if not result.curves:
        return None
    order = {name: k for k, name in enumerate(result.ranking)}
    curves = sorted(result.curves, key=lambda c: order.get(c.learner, len(order)))
    return {"plot": _plot(result, curves, scale), "rows": [_row(c, c.learner == chosen(result)) for c in curves]}


def _row(curve: Curve, own: bool) -> dict[str, Any]:
    factor, *ends = (100 * (f - 1) for f in curve.twice)
    return {
        "name": short(curve.learner),
        "full": shorten(curve.learner, 200),
        "chosen": own,
        "slope": fixed(curve.slope, 2),
        "slope_interval": f"{fixed(curve.low, 2)} to {fixed(curve.high, 2)}",
        "twice": _signed(factor),
        "twice_interval": f"{_signed(ends[0])} to {_signed(ends[1])}",
    }


def _signed(percent: float) -> str:
    return f"{'+' if percent > 0 else ''}{fixed(percent, 0)}\u00a0%"


def _plot(result: CompareResult, curves: list[Curve], scale: Scale) -> Markup:
    """Logarithmic both ways, where a power law is a straight line: means over folds, and the law through them."""
    sizes = sorted({n for c in curves for n in c.sizes})
    means = {c.learner: np.mean(c.errors, axis=1) for c in curves}
    x = Axis.fit(sizes, "training molecules", pad=0.06, log=True)
    plot = Plot(x, Axis.fit(np.concatenate(list(means.values())), scale.axis, pad=0.06, log=True), "Learning curves", height=360)
    pick = chosen(result)
    for curve in sorted(curves, key=lambda c: c.learner == pick):  # the chosen one on top
        n, mean = np.array(curve.sizes, dtype=float), means[curve.learner]
        middle = float(np.exp(np.log(mean).mean()))  # least squares in logarithms go through it
        law = middle * (n / np.exp(np.log(n).mean())) ** curve.slope
        plot.line(n, law, "mark" if curve.learner == pick else "model" if result.learner(curve.learner).network else "train")
        titles = [f"{short(curve.learner)}, {count(int(k))} molecules: {scale.value(v)}" for k, v in zip(n, mean, strict=True)]
        plot.points(n, mean, "dot full" if result.learner(curve.learner).network else "dot simple", titles, 3.5)
    ends = [means[c.learner][-1] for c in curves]
    plot.labels([c.sizes[-1] for c in curves], ends, [short(c.learner) for c in curves])
    if pick in means:
        plot.legend("mark", short(pick))
    plot.legend("dot full", "network", "dot")
    plot.legend("dot simple", "baseline", "dot")
    return plot.svg()
