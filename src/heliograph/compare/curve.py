"""Learning curves: the same folds with fewer training molecules, a power law through them, and what twice as many would buy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from heliograph.compare.folds import Fold

SHARES = (0.125, 0.25, 0.5)  # of the training molecules; the whole is there anyway
LEAST = 16  # training molecules, below which a share is left out


@dataclass(frozen=True)
class Curve:
    """Errors of one learner at growing numbers of training molecules, and error = a N^slope through them.

    `errors` [sizes, folds]. `slope` with its interval `low`, `high` (negative: more molecules help); `twice`: the factor 2^slope on the
    error that twice as many molecules would give if the law held on, with its interval.
    """

    learner: str
    sizes: tuple[int, ...]
    errors: tuple[tuple[float, ...], ...]
    slope: float
    low: float
    high: float

    @property
    def twice(self) -> tuple[float, float, float]:
        return 2**self.slope, 2**self.low, 2**self.high


def shares(folds: Sequence[Fold], seed: int) -> list[Fold]:
    """The folds of the first repeat with a share of their training rows each, nested: a smaller share is part of the larger."""
    found = []
    for fold in (f for f in folds if f.repeat == 0):
        order = np.random.default_rng([seed, 1, fold.fold]).permutation(fold.train)
        sizes = [round(share * len(order)) for share in SHARES]
        found += [
            Fold(0, fold.fold, np.sort(order[:n]), fold.val, fold.test, share=s) for s, n in zip(SHARES, sizes, strict=True) if n >= LEAST
        ]
    return found


def fit(learner: str, sizes: Sequence[int], errors: np.ndarray, overlap: float, level: float = 0.95) -> Curve | None:
    """A power law by least squares on logarithms, one in each fold; `errors` [sizes, folds], all above zero, else None.

    The interval of the mean slope is Student's t over folds, its variance corrected for what they share (`overlap`, as in
    `statistics.Scores`). A law without a constant: near the floor, or the noise, the true curve flattens and twice as many buy less.
    """
    if len(sizes) < 2 or not (np.isfinite(errors).all() and (errors > 0).all()):
        return None
    x = np.log(np.asarray(sizes, dtype=np.float64))
    x = x - x.mean()
    slopes = x @ np.log(errors) / (x @ x)  # [folds]
    J = len(slopes)
    mean = float(slopes.mean())
    width = math.inf
    if J > 1:
        width = float(stats.t.ppf((1 + level) / 2, J - 1) * slopes.std(ddof=1) * math.sqrt(1 / J + overlap))
    return Curve(learner, tuple(sizes), tuple(map(tuple, errors.tolist())), mean, mean - width, mean + width)


def words(curve: Curve, label: str) -> str:
    """Say in a sentence what twice as many training molecules would change, in whole percents, and how sure that is."""
    change, low, high = (round(100 * (f - 1)) if math.isfinite(f) else 10**9 for f in curve.twice)
    what = f"{curve.learner}'s {label}"
    says = f"if its power law over {curve.sizes[0]:,} to {curve.sizes[-1]:,} molecules holds on"
    sure = f"95 %: {_change(low)} to {_change(high)}" if math.isfinite(curve.twice[2]) else "how sure that is, one fold can't say"
    if change < 0 and high < 0:
        return f"Twice as many training molecules would lower {what} by about {-change} % ({-high} to {-low} %), {says}."
    if change < 0:
        return f"Twice as many training molecules might lower {what} by about {-change} %, or not at all ({sure}), {says}."
    return f"Twice as many training molecules would not lower {what} ({sure}), {says}."


def _change(percent: int) -> str:
    return "no change" if percent == 0 else f"{abs(percent)} % {'lower' if percent < 0 else 'higher'}"
