"""Learners by their ranks on each fold: Friedman's test, Nemenyi's critical distance and the diagram that shows them.

Ranks do not care in which units errors are, nor for one fold that went wrong. But the folds of a repeated cross-validation are
not independent: J of them count as `effective_folds`, which takes the place of the number of data sets in J. Demšar, JMLR 7, 1
(2006). The variance of ranks is that of equal learners, never the measured one: where one learner wins nearly all folds of one table
by chance, the measured one is close to zero, and tests that divide by it fail (`bench/calibration.py`). With so few effective folds the
approximations of both tests err on the careful side; what a report concludes rests on `multiple.pairs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from heliograph.compare.statistics.paired import critical
from heliograph.compare.statistics.scores import Scores


@dataclass(frozen=True)
class Friedman:
    """One question: have all learners the same mean rank? `statistic` is chi² on L - 1 degrees of freedom."""

    statistic: float
    df: int
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


def effective_folds(scores: Scores) -> float:
    """How many independent folds give mean ranks the variance that J correlated ones give them: 1 / (1/J + (1 - 1/J) rho_rank).

    rho = n_test / (n_test + n_train) is the correlation between folds behind Nadeau and Bengio's correction. That of the ranks of L
    learners is smaller, for normal scores rho_rank = 6/pi [asin(rho) + (L - 2) asin(rho / 2)] / (L + 1): P. A. P. Moran, Biometrika
    35, 203 (1948).
    """
    J, L = scores.values.shape
    rho = scores.overlap / (1 + scores.overlap)
    rank = 6 / math.pi * (math.asin(rho) + (L - 2) * math.asin(rho / 2)) / (L + 1)
    return 1 / (1 / J + (1 - 1 / J) * rank)


def _ranks(scores: Scores) -> np.ndarray:
    """[J, L], 1 the best; ties share their mean."""
    return np.asarray(stats.rankdata(scores.values if scores.smaller_is_better else -scores.values, axis=1))


def friedman(scores: Scores) -> Friedman:
    """Friedman's test over the effective number of folds, ties counted; without overlap, `scipy.stats.friedmanchisquare`."""
    ranks = _ranks(scores)
    L = ranks.shape[1]
    middle = (L + 1) / 2
    variance = float(((ranks - middle) ** 2).sum(1).mean()) / (L - 1)  # L (L + 1) / 12 without ties
    if variance == 0:
        return Friedman(0.0, L - 1, 1.0)
    chi2 = effective_folds(scores) * float(((ranks.mean(0) - middle) ** 2).sum()) / variance
    return Friedman(chi2, L - 1, float(stats.chi2.sf(chi2, L - 1)))


def diagram(scores: Scores, level: float = 0.95) -> Diagram:
    """Mean ranks with Nemenyi's critical distance q sqrt(L (L + 1) / (6 N)), N the effective number of folds."""
    mean = _ranks(scores).mean(0)
    L, order = len(mean), np.argsort(mean, kind="stable")
    distance = critical(level, math.inf, L) * math.sqrt(L * (L + 1) / (6 * effective_folds(scores)))
    sorted_ranks = mean[order]
    bars: list[tuple[int, int]] = []
    for first in range(L):
        last = int(np.searchsorted(sorted_ranks, sorted_ranks[first] + distance, side="right")) - 1
        if last > first and (not bars or last > bars[-1][1]):
            bars.append((first, last))
    return Diagram(tuple((scores.learners[k], float(mean[k])) for k in order), distance, tuple(bars))
