"""The pictures of a report, each from plain arrays: parity, errors, ROC, reliability, confusion, learning curves, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup

from heliograph.report.digits import count, decimals, fixed, number, percent, shorten
from heliograph.report.stats import Calibration, reliability, roc_curve
from heliograph.report.svg import Axis, Plot

MANY = 1500  # points of one scatter; beyond, a density with the farthest points on top
PARTS = (("train", "training"), ("val", "validation"), ("test", "test"))


def parity(y: np.ndarray, p: np.ndarray, std: np.ndarray | None, names: Sequence[str], unit: str, most: int = MANY) -> Markup:
    """Predicted against true. `y`, `p` [n] finite, `std` [n] or None, `names` [n] for the hover."""
    suffix = f" ({unit})" if unit else ""
    both = np.concatenate([y, p])
    x_axis, y_axis = Axis.fit(both, f"true{suffix}"), Axis.fit(both, f"predicted{suffix}")
    plot = Plot(x_axis, y_axis, f"Parity plot: predicted against true for {len(y)} molecules", width=460, height=420)
    plot.line([x_axis.low, x_axis.high], [x_axis.low, x_axis.high], "ideal")
    which = np.arange(len(y))
    if len(y) > most:
        _density(plot, y, p)
        which = np.argsort(-np.abs(p - y), kind="stable")[: min(100, most)]
    if std is not None and len(which) <= 300:
        for k in which[np.isfinite(std[which])]:
            plot.line([y[k], y[k]], [p[k] - std[k], p[k] + std[k]], "whisker")
    places = decimals(float(np.ptp(both)) / 10 if len(both) else 1.0)
    titles = [_told(names[k], y[k], p[k], None if std is None else std[k], places, unit) for k in which.tolist()]
    plot.points(y[which], p[which], "dot", titles, 2.6 if len(which) > 300 else 3.4)
    return plot.svg()


def _told(name: str, y: float, p: float, std: float | None, places: int, unit: str) -> str:
    spread = f" ± {fixed(std, places)}" if std is not None and math.isfinite(std) else ""
    return f"{shorten(name, 90)}\ntrue {fixed(y, places)}, predicted {fixed(p, places)}{spread} {unit}".rstrip()


def _density(plot: Plot, x: np.ndarray, y: np.ndarray, bins: int = 56) -> None:
    """Counts on a grid, in five shades of their logarithm."""
    x_edges, y_edges = np.linspace(plot.x.low, plot.x.high, bins + 1), np.linspace(plot.y.low, plot.y.high, bins + 1)
    counts, _, _ = np.histogram2d(x, y, bins=(x_edges, y_edges))
    level = np.ceil(5 * np.log1p(counts) / max(float(np.log1p(counts.max())), 1e-9)).astype(int)
    for shade in range(1, 6):
        i, j = np.nonzero(level == shade)
        plot.cells(x_edges[i], y_edges[j], (x_edges[1] - x_edges[0], y_edges[1] - y_edges[0]), f"shade{shade}")


def _counts(values: np.ndarray) -> Axis:
    return replace(Axis.fit(values, "molecules", zero=True), integer=True)


def error_histogram(error: np.ndarray, unit: str) -> Markup:
    """Distribution of prediction - truth [n], with zero and the mean marked."""
    suffix = f" ({unit})" if unit else ""
    low, high = np.quantile(error, [0.0, 1.0]) if len(error) else (-1.0, 1.0)
    reach = max(abs(float(low)), abs(float(high))) or 1.0
    bins = 2 * min(20, max(3, round(math.sqrt(len(error))))) + 1  # odd: one bin is around zero
    edges = np.linspace(-reach, reach, bins + 1)
    counts = np.histogram(error, bins=edges)[0].astype(float)
    plot = Plot(Axis.fit(edges, f"predicted − true{suffix}"), _counts(counts), "Distribution of the errors", height=420)
    digits = decimals(reach / 10)
    titles = [f"{fixed(a, digits)} to {fixed(b, digits)}: {count(int(c))}" for a, b, c in zip(edges, edges[1:], counts, strict=False)]
    plot.boxes(edges[:-1], edges[1:], np.zeros(bins), counts, "bar", titles)
    plot.line([0, 0], [0, plot.y.high], "ideal")
    if len(error):
        bias = float(error.mean())
        plot.line([bias, bias], [0, plot.y.high], "mark")
        plot.legend("mark", f"mean error {number(bias, 2)}")
    return plot.svg()


def target_histogram(edges: Sequence[float], counts: Mapping[str, Sequence[int]], label: str, names: Sequence[str] = ()) -> Markup:
    """The target's values, the parts stacked. `names`: of the classes, where there are such."""
    bounds = np.asarray(edges, dtype=np.float64)
    base = np.zeros(len(bounds) - 1)
    top = np.sum([np.asarray(c, dtype=float) for c in counts.values()], axis=0) if counts else base
    x_axis = Axis(bounds[0], bounds[-1], label, categories=tuple(names)) if names else Axis.fit(bounds, label)
    plot = Plot(x_axis, _counts(top), f"Distribution of {label}", width=460, height=300)
    inset = 0.15 if names else 0.0
    for part, word in PARTS:
        if part in counts:
            height = np.asarray(counts[part], dtype=float)
            titles = [f"{word}: {count(int(h))}" for h in height]
            plot.boxes(bounds[:-1] + inset, bounds[1:] - inset, base, base + height, f"part-{part}", titles)
            plot.legend(f"part-{part}", word, "bar")
            base = base + height
    return plot.svg()


def roc(y: np.ndarray, p: np.ndarray, area: float) -> Markup:
    fpr, tpr, threshold = roc_curve(y, p)
    plot = Plot(Axis(0, 1, "false positive rate"), Axis(0, 1, "true positive rate"), f"ROC curve, area {area:.3f}", width=460, height=420)
    plot.line([0, 1], [0, 1], "ideal")
    plot.line(fpr, tpr, "model")
    keep = np.unique(np.linspace(0, len(fpr) - 1, 60).astype(int))
    titles = [f"threshold {number(threshold[k])}: finds {percent(tpr[k])}, false alarms {percent(fpr[k])}" for k in keep]
    plot.points(fpr[keep], tpr[keep], "ghost", titles, 6)
    plot.legend("model", f"model, area {number(area)}")
    plot.legend("ideal", "chance")
    return plot.svg()


def reliability_plot(y: np.ndarray, p: np.ndarray, label: str, share: str) -> Markup:
    """Share of ones in each bin of predicted probability; on the diagonal the probabilities mean what they say."""
    plot = Plot(Axis(0, 1, label), Axis(0, 1, share), "Reliability diagram", width=460, height=420)
    plot.line([0, 1], [0, 1], "ideal")
    rows = reliability(y, p)
    means, shares = [r[2] for r in rows], [r[3] for r in rows]
    for _, _, mean, true, n in rows:  # one binomial standard error
        room = math.sqrt(max(true * (1 - true), 0.25 / n) / n)
        plot.line([mean, mean], [max(0.0, true - room), min(1.0, true + room)], "whisker")
    plot.line(means, shares, "model")
    plot.points(
        means,
        shares,
        "dot",
        [f"{percent(a)} to {percent(b)}: {count(n)} molecules, said {percent(m)}, true {percent(s)}" for a, b, m, s, n in rows],
        4,
    )
    return plot.svg()


def learning_curves(
    curves: Sequence[tuple[str, str, np.ndarray, np.ndarray]], label: str, best: Sequence[tuple[float, float]], *, log: bool
) -> Markup:
    """Curves of (style, legend or "", epochs from 1, values), with the kept epochs marked."""
    epochs = np.concatenate([c[2] for c in curves]) if curves else np.array([1.0])
    values = np.concatenate([c[3] for c in curves]) if curves else np.array([])
    low, high = float(epochs.min()), float(epochs.max())
    room = (high - low) * 0.02 or 0.5
    x_axis = Axis(low - room, high + room, "epoch", integer=True)
    plot = Plot(x_axis, Axis.fit(values, label, log=log), f"{label} over epochs", width=460, height=320)
    few = len(values) <= 800
    for style, legend, x, v in curves:
        keep = np.unique(np.linspace(0, len(x) - 1, 600).astype(int)) if len(x) > 600 else np.arange(len(x))
        plot.line(x[keep], v[keep], style)
        if len(x) == 1:
            plot.points(x, v, f"{style} solo", r=3)
        if few:
            plot.points(x, v, "ghost", [f"epoch {int(a)}: {number(b, 4)}" for a, b in zip(x, v, strict=True)], 5)
        if legend:
            plot.legend(style, legend)
    if best:
        plot.points([b[0] for b in best], [b[1] for b in best], "best", [f"kept: epoch {int(a)}, {number(b, 4)}" for a, b in best], 4.5)
        plot.legend("best", "kept epoch", "dot")
    return plot.svg()


def group_bars(
    names: Sequence[str], values: Sequence[float], titles: Sequence[str], labels: tuple[str, str], mean: float, height: float = 300
) -> Markup:
    """One bar per group, with the value over all molecules as a line."""
    shown = [*values, mean] if math.isfinite(mean) else list(values)
    x_axis = Axis(-0.5, max(len(names), 1) - 0.5, labels[0], categories=tuple(names) or ("",))
    plot = Plot(x_axis, Axis.fit(shown, labels[1], zero=True), " by ".join(labels[::-1]), width=460, height=height)
    at = np.arange(len(names), dtype=float)
    plot.boxes(at - 0.36, at + 0.36, np.zeros(len(names)), np.asarray(values, dtype=float), "bar", titles)
    if math.isfinite(mean):
        plot.line([x_axis.low, x_axis.high], [mean, mean], "mark")
        plot.legend("mark", f"all: {number(mean)}")
    return plot.svg()


def coverage(c: Calibration) -> Markup:
    """Observed against expected coverage of central intervals; below the diagonal the ensemble is too sure."""
    plot = Plot(Axis(0, 1, "expected coverage"), Axis(0, 1, "observed coverage"), "Calibration of the ensemble", width=460, height=380)
    plot.line([0, 1], [0, 1], "ideal")
    plot.line(c.expected, c.observed, "model")
    titles = [f"{percent(e)} intervals hold {percent(o)}" for e, o in zip(c.expected, c.observed, strict=True)]
    plot.points(c.expected[1:], c.observed[1:], "dot", titles[1:], 3)
    return plot.svg()


def spread_against_error(std: np.ndarray, error: np.ndarray, names: Sequence[str], unit: str, most: int = 600) -> Markup:
    """|error| against the ensemble's spread, with the median |error| of tenths."""
    suffix = f" ({unit})" if unit else ""
    size = np.abs(error)
    plot = Plot(
        Axis.fit(std, f"spread of the ensemble{suffix}", zero=True),
        Axis.fit(size, f"|error|{suffix}", zero=True),
        "Error against spread",
        width=460,
        height=380,
    )
    which = np.arange(len(std)) if len(std) <= most else np.random.default_rng(0).permutation(len(std))[:most]
    digits = decimals(float(size.max()) / 10 if len(size) else 1.0)
    titles = [f"{shorten(names[k], 90)}\nspread {fixed(std[k], digits)}, error {fixed(error[k], digits)}" for k in which]
    plot.points(std[which], size[which], "dot", titles, 2.6)
    tenths = [rows for rows in np.array_split(np.argsort(std, kind="stable"), min(10, max(len(std) // 10, 1))) if len(rows)]
    plot.line([float(std[r].mean()) for r in tenths], [math.sqrt(float((size[r] ** 2).mean())) for r in tenths], "mark")
    reach = min(plot.x.high, plot.y.high)
    plot.line([0, reach], [0, reach], "ideal")
    plot.legend("mark", "RMSE of each tenth" if len(tenths) == 10 else "RMSE of groups")
    plot.legend("ideal", "spread = error")
    return plot.svg()
