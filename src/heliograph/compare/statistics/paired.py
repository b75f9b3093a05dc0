"""Two learners on the same folds: how far apart, how sure, does it matter, and what would settle it.

The differences of the folds are correlated through the molecules that folds share; Nadeau and Bengio's inflated variance
(`Scores.inflation`) with Student's t on J - 1 degrees of freedom takes account of it. Within a family of L > 2 learners Tukey's
studentized range takes the place of t, with each pair's own spread (`multiple`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from heliograph.compare.statistics.scores import Scores
from heliograph.errors import UsageError

MOST_REPEATS = 1000  # nobody trains more; beyond, "no number of repeats" is the honest answer


@dataclass(frozen=True)
class Paired:
    """Learner a less learner b, in units of the score: a's is smaller where `difference` is negative.

    `low`, `high`: interval of the difference. `p`: of no difference. `spread`: standard deviation of the difference between folds.
    `effect`: difference / spread (Cohen's d of paired values), with its interval.
    Intervals and p hold for all pairs of the family at once (`multiple.pairs`), or for this pair alone (`paired`).
    """

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    spread: float
    effect: float
    effect_low: float
    effect_high: float

    @property
    def differ(self) -> bool:
        """Whether the interval leaves zero out."""
        return not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Practical:
    """Probabilities, one in sum: a is better by more than the rope, the two are within it, a is worse by more."""

    better: float
    equivalent: float
    worse: float


@dataclass(frozen=True)
class Needed:
    """What would bring the half width of the interval below the difference that was seen: even odds to tell the two apart.

    `folds`: of the same kind on the same molecules, all together; None where no number of repeats will do, because what the folds
    have in common does not average out. `molecules`: how many times as many, at the same number of folds; below 1 where fewer would
    have done, infinite where the difference is zero. It takes the difference for constant and the spread for that of the test molecules.
    """

    folds: int | None
    molecules: float


class _Difference(NamedTuple):
    mean: float
    spread: float
    error: float  # standard error of the mean, corrected
    df: int


def _difference(scores: Scores, a: str, b: str) -> _Difference:
    d = scores.of(a) - scores.of(b)
    spread = float(d.std(ddof=1))
    if spread <= 1e-12 * np.abs(scores.values).max():  # rounding errors of equal differences
        spread = 0.0
    return _Difference(float(d.mean()), spread, spread * math.sqrt(scores.inflation), len(d) - 1)


@lru_cache(maxsize=4096)
def critical(level: float, df: int, family: int = 2) -> float:
    """What |t| stays below with probability `level`, for all pairs of `family` learners at once; two learners: Student's t."""
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval is between 0 and 1, got {level}")
    if family == 2:
        return float(stats.t.ppf((1 + level) / 2, df))
    return float(stats.studentized_range.ppf(level, family, df)) / math.sqrt(2)


def paired(scores: Scores, a: str, b: str, level: float = 0.95, family: int = 2) -> Paired:
    """The corrected paired test of two learners, as one of all pairs of `family` learners."""
    mean, spread, error, df = _difference(scores, a, b)
    bound = critical(level, df, family)
    if spread == 0:
        effect = math.copysign(math.inf, mean) if mean else 0.0
        return Paired(a, b, mean, mean, mean, 0.0 if mean else 1.0, 0.0, effect, effect, effect)
    t = mean / error
    p = 2 * stats.t.sf(abs(t), df) if family == 2 else stats.studentized_range.sf(math.sqrt(2) * abs(t), family, df)
    unit, tail = error / spread, float(stats.t.sf(bound, df))
    low, high = unit * _noncentrality(t, df, 1 - tail), unit * _noncentrality(t, df, tail)
    return Paired(a, b, mean, mean - bound * error, mean + bound * error, float(p), spread, mean / spread, low, high)


def _noncentrality(t: float, df: int, probability: float) -> float:
    """The noncentrality at which P(T <= t) is `probability`: an interval of the effect size by inverting the noncentral t
    (G. Cumming, S. Finch, Educ. Psychol. Meas. 61, 532 (2001)). NaN where the distribution can't be computed (two folds, t far out)."""

    def above(delta: float) -> float:
        return float(stats.nct.cdf(t, df, delta)) - probability

    width = 4 * math.sqrt(1 + t * t / (2 * df))
    low, high = t - width, t + width
    while above(low) < 0:
        low -= width
    while above(high) > 0:
        high += width
    try:
        return float(optimize.brentq(above, low, high, xtol=1e-9 * width))
    except ValueError:  # far out, with one or two degrees of freedom, scipy's noncentral t is not a number
        return math.nan


def practical(scores: Scores, a: str, b: str, rope: float) -> Practical:
    """Where the difference lies, by the posterior of the correlated t test: Student's t around the mean difference, scaled as in
    `paired` (A. Benavoli, G. Corani, J. Demšar, M. Zaffalon, JMLR 18(77), 2017, section 3). `rope` in units of the score."""
    if not (math.isfinite(rope) and rope >= 0):
        raise UsageError(f"the region of practical equivalence is a number from 0 on, in units of the score, got {rope}")
    mean, _, error, df = _difference(scores, a, b)
    gain = -mean if scores.smaller_is_better else mean
    if error == 0:
        return Practical(float(gain > rope), float(abs(gain) <= rope), float(gain < -rope))
    better, worse = float(stats.t.sf((rope - gain) / error, df)), float(stats.t.cdf((-rope - gain) / error, df))
    return Practical(better, max(0.0, 1 - better - worse), worse)


def needed(scores: Scores, a: str, b: str, level: float = 0.95, family: int = 2) -> Needed:
    """What it would take to tell two learners apart, with the intervals of `paired`."""
    mean, spread, error, df = _difference(scores, a, b)
    if mean == 0:
        return Needed(None, math.inf)

    def enough(repeats: int) -> bool:
        J = repeats * scores.folds
        return J > 1 and critical(level, J - 1, family) * spread * math.sqrt(1 / J + scores.overlap) < abs(mean)

    molecules = (critical(level, df, family) * error / mean) ** 2
    repeats = bisect_left(range(1, MOST_REPEATS + 1), True, key=enough) + 1
    return Needed(repeats * scores.folds if repeats <= MOST_REPEATS else None, molecules)
