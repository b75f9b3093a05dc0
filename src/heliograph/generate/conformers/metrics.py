"""How well drawn conformers cover reference ones, and the other way round.

Of the matrix of distances between K references and the conformers drawn (Ganea et al. 2021, arXiv:2106.07802, sec. 5): coverage (COV)
is the share of references with a drawn one within a threshold, matching (AMR) the mean distance to the nearest; "recall" goes from the
references, "precision" from those that were drawn. The custom is to draw 2 K.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np

THRESHOLD = 0.5  # angstrom, the custom for molecules of the size of QM9's


@final
@dataclass(frozen=True)
class Ensembles:
    """Means over molecules, which count alike; 0 drawn count as covering nothing, and have no distances. Angstrom."""

    molecules: int
    coverage_recall: float
    coverage_precision: float
    matching_recall: float
    matching_precision: float
    nothing_drawn: int


def ensembles(distances: Iterable[np.ndarray], threshold: float = THRESHOLD) -> Ensembles:
    """Score matrices [references, drawn], one for each molecule. Raises ValueError where a molecule has no reference."""
    rows, empty = [], 0
    for matrix in distances:
        if not len(matrix):
            raise ValueError("a molecule without references can't be scored")
        if not matrix.shape[1]:
            empty += 1
            rows.append((0.0, np.nan, np.nan, np.nan))
            continue
        near, back = matrix.min(1), matrix.min(0)
        rows.append((np.mean(near <= threshold), np.mean(back <= threshold), near.mean(), back.mean()))
    table = np.array(rows, np.float64).reshape(-1, 4)
    there = table[~np.isnan(table[:, 1])]
    means = there.mean(0) if len(there) else np.full(4, np.nan)
    recall = float(table[:, 0].mean()) if len(table) else float("nan")
    return Ensembles(len(table), recall, float(means[1]), float(means[2]), float(means[3]), empty)
