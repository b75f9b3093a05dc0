"""Learners by their ranks on each fold: Friedman's test, Nemenyi's critical distance and the diagram that shows them.

Ranks do not care in which units scores are, nor how badly one fold went wrong. The procedures and the diagram are those of J. Demšar,
JMLR 7, 1 (2006), where the rows are independent data sets. Folds of a repeated cross-validation are not: here the null distribution
is that of equal learners whose scores are normal and correlated between folds by rho = n_test / (n_test + n_train), the correlation
behind Nadeau and Bengio's correction, drawn from a fixed seed. Without overlap it is the textbook's. Tests that take the variance of
ranks from the table instead (Conover's) fail: where one learner happens to win nearly all folds, it is close to zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from heliograph.compare.statistics.scores import Scores

DRAWS = 20_000  # tables of equal learners: p to 0.0015 at 5 %, in less than a second


@dataclass(frozen=True)
class Friedman:
    """One question: have all learners the same mean rank? `statistic` is Friedman's chi² as if folds were independent, 12 J / (L (L + 1))
    sum_l (mean rank_l - (L + 1) / 2)²; `p` is that of folds which are not."""

    statistic: float
    p: float


@dataclass(frozen=True)
class Diagram:
    """What a critical-difference diagram draws.

    `ranks`: learner and its mean rank, 1 the best, the best first. `distance`: mean ranks further apart differ.
    `bars`: the longest runs of two and more learners that do not, as first and last place in `ranks`.
    """

    ranks: tuple[tuple[str, float], ...]
    distance: float
    bars: tuple[tuple[int, int], ...]


def friedman(scores: Scores) -> Friedman:
    """Friedman's test; ties share their mean rank."""
    statistic = float(_statistic(_mean_ranks(scores), len(scores.values)))
    drawn = _statistic(_of_equals(scores), len(scores.values))
    return Friedman(statistic, float((1 + (drawn >= statistic - 1e-9).sum()) / (1 + len(drawn))))


def diagram(scores: Scores, level: float = 0.95) -> Diagram:
    """Mean ranks with Nemenyi's critical distance: with probability `level` no two of L equal learners are further apart."""
    mean = _mean_ranks(scores)
    order = np.argsort(mean, kind="stable")
    distance = float(np.quantile(np.ptp(_of_equals(scores), axis=1), level, method="higher"))
    ranks = mean[order]
    bars: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + distance + 1e-9, side="right")) - 1
        if last > first and (not bars or last > bars[-1][1]):
            bars.append((first, last))
    return Diagram(tuple((scores.learners[k], float(mean[k])) for k in order), distance, tuple(bars))


def _mean_ranks(scores: Scores) -> np.ndarray:
    """[L], 1 the best on every fold."""
    ranks = stats.rankdata(scores.values if scores.smaller_is_better else -scores.values, axis=1)
    return np.asarray(ranks.mean(axis=0))


def _statistic(mean_ranks: np.ndarray, J: int) -> np.ndarray:
    L = mean_ranks.shape[-1]
    return np.asarray(12 * J / (L * (L + 1)) * ((mean_ranks - (L + 1) / 2) ** 2).sum(-1))


def _of_equals(scores: Scores) -> np.ndarray:
    J, L = scores.values.shape
    return _drawn(J, L, scores.overlap / (1 + scores.overlap))


@lru_cache(maxsize=16)
def _drawn(J: int, L: int, rho: float) -> np.ndarray:
    """Mean ranks of L equal learners on J folds [DRAWS, L]."""
    rng = np.random.default_rng(0)
    chunks = []
    for _ in range(DRAWS // 1000):
        own, common = rng.standard_normal((1000, J, L)), rng.standard_normal((1000, 1, L))
        z = math.sqrt(rho) * common + math.sqrt(1 - rho) * own  # [1000, J, L]
        chunks.append(z.argsort(-1).argsort(-1).mean(1) + 1)
    return np.concatenate(chunks)
