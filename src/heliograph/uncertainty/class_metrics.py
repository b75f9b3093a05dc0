"""How good probabilities are: expected calibration error, Brier score, reliability with intervals,
each beside what a perfect map has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heliograph.uncertainty.metrics import binomial

BINS = 15
EDGE = 1e-15


@dataclass(frozen=True)
class Bin:
    """Molecules of like probability: its mean, the share of ones with its binomial interval, and
    how many there are.
    """

    mean: float
    share: float
    low: float
    high: float
    n: int


def reliability(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return bins of equal mass by p [n] with labels y [n] of 0 and 1, ascending."""
    found = []
    for rows in np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)) or 1):
        if len(rows):
            ones = int(y[rows].sum())
            found.append(Bin(float(p[rows].mean()), ones / len(rows), *binomial(ones, len(rows)), len(rows)))
    return found


def ece(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean over molecules of |mean p - share of ones| of
    their bin of equal mass.
    """
    parts = reliability(p, y, bins)
    return float(sum(b.n * abs(b.mean - b.share) for b in parts) / len(p)) if len(p) else math.nan


def brier(p: np.ndarray, y: np.ndarray) -> float:
    """Return the mean squared difference of p and y."""
    return float(np.square(p - y).mean())


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    """Return the mean of -log of the probability of what happened."""
    return float(-np.log(np.clip(np.where(y == 1, p, 1.0 - p), EDGE, 1.0)).mean())


def figures(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> dict[str, float]:
    """Return the figures by name, for probabilities of 1 `p` [n] and labels `y` [n]."""
    return {"ece": ece(p, y, bins), "brier": brier(p, y), "log_loss": log_loss(p, y)}


def simulated(p: np.ndarray, bins: int = BINS, repeats: int = 200, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Return what `figures` would be if p were true: mean, 5 % and 95 % quantile over labels drawn
    from p.
    """
    random = np.random.default_rng(seed)
    drawn = [figures(p, (random.random(len(p)) < p).astype(np.float64), bins) for _ in range(repeats)]
    found = {}
    for name in ("ece", "brier", "log_loss"):
        values = np.array([one[name] for one in drawn])
        found[name] = (
            float(values.mean()),
            float(np.quantile(values, 0.05)),
            float(np.quantile(values, 0.95)),
        )
    return found
