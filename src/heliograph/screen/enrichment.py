"""How early the actives come in a ranking: enrichment factors, BEDROC, area under the ROC curve, with bootstrap intervals.

All of it follows from n and the ranks of the actives. Sources: BEDROC, J.-F. Truchon, C. I. Bayly, J. Chem. Inf. Model. 2007, 47, 488,
eqs. 18 and 36; the numbers are those of `rdkit.ML.Scoring.Scoring`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FRACTIONS = (0.001, 0.005, 0.01, 0.05)
ALPHA = 20.0
DRAWS = 1000
COVERAGE = 0.95


@dataclass(frozen=True)
class Figure:
    """One measure with the bounds of its interval, and the best it could be for this share of actives."""

    value: float
    lower: float
    upper: float
    best: float


@dataclass(frozen=True)
class Enrichment:
    """Of `n` ranked rows, `actives` of them active."""

    n: int
    actives: int
    figures: dict[str, Figure]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


def ranks(scores: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Ranks of the actives, 1 the best, ascending; ties in the order given. `scores` [n] higher is better, `active` bool [n]."""
    order = np.argsort(-scores, kind="stable")
    return np.flatnonzero(active[order]) + 1


def enrichment_factor(ranks: np.ndarray, n: int, fraction: float) -> float:
    """Share of actives among the first `fraction` of n (rounded up) over their share among all."""
    first = math.ceil(n * fraction)
    return float((ranks <= first).sum() / len(ranks) * n / first)


def auc(ranks: np.ndarray, n: int) -> float:
    """Chance that an active comes before an inactive."""
    a = len(ranks)
    return float(1 - (ranks.sum() / a - (a + 1) / 2) / (n - a)) if n > a else math.nan


def bedroc(ranks: np.ndarray, n: int, alpha: float = ALPHA) -> float:
    """Boltzmann-enhanced discrimination of the ROC, 0 to 1."""
    a = len(ranks)
    if a == n:
        return 1.0
    random = a / n * (1 - math.exp(-alpha)) / (math.exp(alpha / n) - 1)  # eq. 18, the mean of the sum over random ranks
    rie = float(np.exp(-alpha * ranks / n).sum()) / random
    share = a / n
    highest = (1 - math.exp(-alpha * share)) / (share * (1 - math.exp(-alpha)))
    lowest = (1 - math.exp(alpha * share)) / (share * (1 - math.exp(alpha)))
    return (rie - lowest) / (highest - lowest)


def enrichment(scores: np.ndarray, active: np.ndarray, seed: int = 0) -> Enrichment | None:
    """All measures, with bootstrap intervals over the actives; None without a single active or inactive row."""
    found, n = ranks(scores, active), len(scores)
    if not 0 < len(found) < n:
        return None
    measures: dict[str, Callable[[np.ndarray], float]] = {}
    for fraction in FRACTIONS:
        measures[f"EF {100 * fraction:g} %"] = lambda r, f=fraction: enrichment_factor(r, n, f)  # type: ignore[misc]
    measures[f"BEDROC {ALPHA:g}"] = lambda r: bedroc(r, n)
    measures["AUC"] = lambda r: auc(r, n)
    ideal = np.arange(1, len(found) + 1)
    rng = np.random.default_rng(seed)
    drawn = [found[rng.integers(0, len(found), len(found))] for _ in range(DRAWS)]
    tail = (1 - COVERAGE) / 2
    figures = {}
    for name, measure in measures.items():
        low, high = np.quantile([measure(one) for one in drawn], [tail, 1 - tail])
        figures[name] = Figure(measure(found), float(low), float(high), measure(ideal))
    return Enrichment(n, len(found), figures)
