"""How far measurements of one structure disagree, where a table has several: noise that no model can predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Replicates:
    """`groups` of rows of one structure with several labels, `rows` in all; in `equal` of the groups all labels are the same number.

    `sd`: the pooled standard deviation, sqrt(sum_g sum_i (y_gi - mean_g)^2 / df) with df = rows - groups; `low` and `high` its interval,
    sd sqrt(df / chi2) at the quantiles of chi2 with df degrees of freedom, right where the noise is normal and alike in all groups.
    Many equal labels mean copied entries rather than repeated measurements: the noise is then larger than it looks.
    """

    groups: int
    rows: int
    equal: int
    sd: float
    low: float
    high: float


def replicates(structures: Sequence[str], y: np.ndarray, level: float = 0.95) -> Replicates | None:
    """From one key per row (canonical SMILES) and one target `y` [n] (NaN = missing); None where no structure has two labels."""
    from scipy import stats

    there = np.isfinite(y)
    number = np.unique(np.asarray(structures, dtype=str)[there], return_inverse=True)[1]
    size = np.bincount(number)
    kept = size[number] > 1
    if not kept.any():
        return None
    number, y = np.unique(number[kept], return_inverse=True)[1], y[there][kept]
    size = np.bincount(number)
    squares = np.bincount(number, np.square(y - (np.bincount(number, y) / size)[number]))
    low, high = np.full(len(size), np.inf), np.full(len(size), -np.inf)
    np.minimum.at(low, number, y)
    np.maximum.at(high, number, y)
    df, total = len(y) - len(size), float(squares.sum())
    ends = stats.chi2.ppf([(1 + level) / 2, (1 - level) / 2], df)
    return Replicates(len(size), len(y), int((low == high).sum()), math.sqrt(total / df), *(math.sqrt(total / end) for end in ends))
