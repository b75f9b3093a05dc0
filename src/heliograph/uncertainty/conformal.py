"""Conformal prediction: ranks of calibration scores as quantiles that hold for exchangeable data.

    q = the k-th smallest of n scores, k = ceil((n + 1) coverage); infinite where k > n

A new score that is exchangeable with the n is at most q with a probability of at least `coverage`
(Vovk, Gammerman, Shafer 2005; Lei et al. 2018, arXiv:1604.04173, theorem 2.2). Where n < coverage /
(1 - coverage) no finite interval has that guarantee, and none is given. Scores of absolute
residuals give split conformal intervals, scores divided by a scale the normalised ones
(Papadopoulos et al. 2002), scores by group Mondrian ones, distances beyond predicted quantiles
conformalised quantile regression (Romano et al. 2019, arXiv:1905.03222).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MOST_KEPT = 4000  # scores in a model file; of more, evenly spaced ranks are kept


def rank(n: int, coverage: float) -> int:
    """Return k = ceil((n + 1) coverage), from 1; rounding of the product is not taken for more."""
    return max(1, math.ceil((n + 1) * coverage - 1e-9))


def quantile(scores: np.ndarray, coverage: float) -> float:
    """Return the conformal quantile of `scores` [n] (any order, ties allowed); infinite where n is
    too small for `coverage`.
    """
    k = rank(len(scores), coverage)
    return float(np.partition(scores, k - 1)[k - 1]) if k <= len(scores) else math.inf


def least_rows(coverage: float) -> int:
    """Return the smallest n for which `coverage` has a finite quantile: ceil(coverage / (1 -
    coverage)).
    """
    return math.ceil(coverage / (1.0 - coverage) - 1e-9) if coverage < 1.0 else 2**62


def by_group(scores: np.ndarray, groups: np.ndarray, asked: np.ndarray, coverage: float) -> np.ndarray:
    """Return each asked row's quantile [m] among the scores of its group (Mondrian); infinite for a
    group without enough scores.
    """
    known = {group: quantile(scores[groups == group], coverage) for group in np.unique(groups)}
    return np.array([known.get(group, math.inf) for group in asked])


def quantile_regression(y: np.ndarray, lower: np.ndarray, upper: np.ndarray, coverage: float) -> float:
    """Return what is added to both sides of predicted quantiles [n] so that they hold `coverage`;
    negative where they were too wide.
    """
    return quantile(np.maximum(lower - y, y - upper), coverage)


class Scores:
    """Sorted calibration scores with their ranks, as a model file keeps them."""

    def __init__(
        self,
        values: Sequence[float] | np.ndarray,
        n: int,
        ranks: Sequence[int] | np.ndarray | None = None,
    ):
        self.values, self.n = np.asarray(values, dtype=np.float64), n
        self.ranks = np.arange(1, n + 1) if ranks is None else np.asarray(ranks, dtype=np.int64)

    @classmethod
    def of(cls, scores: np.ndarray) -> Scores:
        """Sort `scores` [n]; of more than MOST_KEPT keep evenly spaced ranks, so that a quantile is
        at most 1 / MOST_KEPT too far out.
        """
        ordered, n = np.sort(np.asarray(scores, dtype=np.float64)), len(scores)
        if n <= MOST_KEPT:
            return cls(ordered, n)
        ranks = np.unique(np.ceil(np.linspace(1, n, MOST_KEPT)).astype(np.int64))
        return cls(ordered[ranks - 1], n, ranks)

    def quantile(self, coverage: float) -> float:
        """Return the smallest kept score whose rank is at least ceil((n + 1) coverage); infinite
        where there is none.
        """
        at = int(np.searchsorted(self.ranks, rank(self.n, coverage)))
        return float(self.values[at]) if at < len(self.values) else math.inf

    def below(self, share: float) -> float:
        """Return the lower end for a tail of `share`: the largest kept score of rank at most
        floor((n + 1) share); else -infinite.
        """
        at = int(np.searchsorted(self.ranks, math.floor((self.n + 1) * share + 1e-9), side="right")) - 1
        return float(self.values[at]) if at >= 0 else -math.inf

    def to_dict(self) -> dict[str, object]:
        """Plain JSON data."""
        kept = {} if len(self.ranks) == self.n else {"ranks": self.ranks.tolist()}
        return {"n": self.n, "values": self.values.tolist()} | kept

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Scores:
        """Read what `to_dict` wrote."""
        return cls(data["values"], int(data["n"]), data.get("ranks"))  # type: ignore[call-overload, arg-type]
