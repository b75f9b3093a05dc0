"""The few statistics a report adds to a result: intervals, curves and calibration, in numpy. Inputs are finite, one target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

Score = Callable[[np.ndarray, np.ndarray], float]


def roc_curve(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False and true positive rates and the threshold at each distinct score, from (0, 0) to (1, 1). `y` [n] 0/1, `p` [n]."""
    order = np.argsort(-p, kind="stable")
    y, p = y[order], p[order]
    last = np.append(np.flatnonzero(np.diff(p)), len(p) - 1)  # ties move together
    tp, fp = np.cumsum(y)[last], np.cumsum(1 - y)[last]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.append(0.0, fp / fp[-1]), np.append(0.0, tp / tp[-1]), np.append(math.inf, p[last])


def roc_auc(y: np.ndarray, p: np.ndarray) -> float:
    """Area under the ROC curve; NaN where only one class is there."""
    if not len(y) or y.min() == y.max():
        return math.nan
    fpr, tpr, _ = roc_curve(y, p)
    return float((np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2).sum())


def r2(y: np.ndarray, p: np.ndarray) -> float:
    total = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - p) ** 2).sum()) / total if total > 0 else math.nan


SCORES: dict[str, Score] = {
    "rmse": lambda y, p: math.sqrt(float(((y - p) ** 2).mean())),
    "mae": lambda y, p: float(np.abs(y - p).mean()),
    "mse": lambda y, p: float(((y - p) ** 2).mean()),
    "r2": r2,
    "roc_auc": roc_auc,
}


def interval(y: np.ndarray, p: np.ndarray, score: Score, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval over the test molecules (seeded percentile bootstrap); NaNs below 10 molecules, where it means nothing."""
    n = len(y)
    if n < 10:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, n, n) for _ in range(1000 if n <= 5000 else 200)]
    values = np.array([score(y[rows], p[rows]) for rows in draws])
    values = values[np.isfinite(values)]
    if len(values) < 100:
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation with ties averaged; NaN where one side is constant."""
    if len(a) < 3 or a.min() == a.max() or b.min() == b.max():
        return math.nan
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which])


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far an ensemble's spread may be believed, on n molecules whose spread is positive.

    `within[k]`: share with |error| <= (k+1) standard deviations; `expected`/`observed`: coverage of central intervals;
    `scale`: the factor that makes the spread right on average; `rank`: Spearman correlation of spread and |error|.
    """

    n: int
    within: tuple[float, float, float]
    expected: np.ndarray
    observed: np.ndarray
    sharpness: float
    scale: float
    rank: float


NORMAL_WITHIN = tuple(2 * NormalDist().cdf(k) - 1 for k in (1.0, 2.0, 3.0))


def calibration(error: np.ndarray, std: np.ndarray) -> Calibration | None:
    """From errors [n] and the spread [n]; None with fewer than 5 molecules that have a spread."""
    good = np.isfinite(error) & np.isfinite(std) & (std > 0)
    if good.sum() < 5:
        return None
    error, std = error[good], std[good]
    z = np.abs(error) / std
    expected = np.append(np.linspace(0.0, 0.95, 20), 0.99)
    bounds = [0.0, *(NormalDist().inv_cdf((1 + e) / 2) for e in expected[1:])]
    return Calibration(
        n=len(z),
        within=(float((z <= 1).mean()), float((z <= 2).mean()), float((z <= 3).mean())),
        expected=expected,
        observed=np.array([(z <= b).mean() if b else 0.0 for b in bounds]),
        sharpness=float(std.mean()),
        scale=math.sqrt(float((z**2).mean())),
        rank=spearman(std, np.abs(error)),
    )


def reliability(y: np.ndarray, p: np.ndarray, bins: int = 10) -> list[tuple[float, float, float, float, int]]:
    """Per bin of predicted probability that holds something: its ends, mean prediction, share of ones, count."""
    which = np.clip((p * bins).astype(int), 0, bins - 1)
    held = [(k, which == k) for k in range(bins) if (which == k).any()]
    return [(k / bins, (k + 1) / bins, float(p[m].mean()), float(y[m].mean()), int(m.sum())) for k, m in held]


def quantile_bins(values: np.ndarray, bins: int) -> list[np.ndarray]:
    """Masks that divide integers into at most `bins` groups of about equal size, equal values together, in ascending order."""
    if not len(values):
        return []
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:], method="lower"))
    which = np.searchsorted(edges, values, side="left")
    return [which == k for k in range(len(edges)) if (which == k).any()]
