"""Judge error bars on molecules with a known truth: the tables that a report and `evaluate` print, as plain JSON data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from heliograph.uncertainty import class_metrics, metrics
from heliograph.uncertainty.metrics import LEVELS

LEAST = 5  # molecules
LEAST_IN_GROUP = 10
Draw = Callable[[np.random.Generator, int], np.ndarray]
Intervals = Mapping[float, tuple[np.ndarray, np.ndarray]]


def numbers(
    y: np.ndarray,
    pred: np.ndarray,
    sigma: np.ndarray,
    intervals: Intervals,
    draw: Draw | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any] | None:
    """Judge n answers with errors sigma [n] and intervals by coverage (each [n], [n]); rows with NaN are left out. None: too few.

    `draw` as for `metrics.simulated`. `groups`: heading -> each row's group; each gets its error and its coverage at 90 %.
    """
    good = np.isfinite(y) & np.isfinite(pred) & np.isfinite(sigma) & (sigma > 0)
    if good.sum() < LEAST:
        return None
    truth, answers, s = y[good], pred[good], sigma[good]
    rows = []
    for coverage, (lower, upper) in intervals.items():
        inside = metrics.covered(truth, lower[good], upper[good])
        low, high = metrics.binomial(int(inside.sum()), len(inside))
        score = metrics.interval_scores(truth, lower[good], upper[good], coverage)
        rows.append(
            {
                "claimed": coverage,
                "held": float(inside.mean()),
                "low": low,
                "high": high,
                "width": float((upper[good] - lower[good]).mean()),
                "interval_score": float(score.mean()),
            }
        )
    return {
        "n": int(good.sum()),
        "rmse": float(np.sqrt(np.square(truth - answers).mean())),
        "coverage": rows,
        "figures": metrics.figures(truth, answers, s),
        "simulated": {k: list(v) for k, v in metrics.simulated(s, draw).items()},
        "groups": {heading: _groups(truth, answers, np.array(names)[good], intervals, good) for heading, names in (groups or {}).items()},
    }


def _groups(truth: np.ndarray, answers: np.ndarray, names: np.ndarray, intervals: Intervals, good: np.ndarray) -> list[dict[str, Any]]:
    coverage = 0.9 if 0.9 in intervals else max(intervals)
    lower, upper = (end[good] for end in intervals[coverage])
    found = []
    for name in dict.fromkeys(sorted(names.tolist())):
        here = names == name
        if here.sum() < LEAST_IN_GROUP:
            continue
        inside = metrics.covered(truth[here], lower[here], upper[here])
        low, high = metrics.binomial(int(inside.sum()), len(inside))
        found.append(
            {
                "group": name,
                "n": int(here.sum()),
                "rmse": float(np.sqrt(np.square(truth[here] - answers[here]).mean())),
                "claimed": coverage,
                "held": float(inside.mean()),
                "low": low,
                "high": high,
                "width": float((upper[here] - lower[here]).mean()),
            }
        )
    return found


def thirds(values: np.ndarray, words: tuple[str, str, str]) -> list[str]:
    """Name each row's third of `values` [n], the lowest first; numbered, so that they sort in this order."""
    cuts = np.quantile(values, [1 / 3, 2 / 3])
    return [f"{k + 1}. {words[k]}" for k in np.searchsorted(cuts, values, side="left")]


def probabilities(
    y: np.ndarray, p: np.ndarray, before: np.ndarray, sets: np.ndarray | None, coverages: Sequence[float]
) -> dict[str, Any] | None:
    """Judge probabilities of 1 `p` [n], `before` their calibration [n], and `sets` [n, 2, K] of classes. None: too few labels."""
    good = np.isfinite(y) & np.isfinite(p)
    if good.sum() < LEAST:
        return None
    truth, found = y[good], p[good]
    table = []
    if sets is not None:
        for k, coverage in enumerate(coverages):
            for c in (0, 1):
                own = sets[good][truth == c]
                if len(own):
                    hits = int(own[:, c, k].sum())
                    low, high = metrics.binomial(hits, len(own))
                    table.append(
                        {
                            "claimed": coverage,
                            "class": c,
                            "n": len(own),
                            "held": hits / len(own),
                            "low": low,
                            "high": high,
                            "both": float(own[:, :, k].all(1).mean()),
                        }
                    )
    return {
        "n": int(good.sum()),
        "figures": class_metrics.figures(found, truth),
        "before": class_metrics.figures(before[good], truth),
        "simulated": {k: list(v) for k, v in class_metrics.simulated(found).items()},
        "bins": [vars(b) for b in class_metrics.reliability(found, truth)],
        "sets": table,
    }


__all__ = ["LEVELS", "numbers", "probabilities", "thirds"]
