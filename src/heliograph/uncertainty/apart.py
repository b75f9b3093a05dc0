"""Ways to divide molecules by their likeness: what is tested is unlike what is learned, or like a single known lead.

Fingerprints are bool [n, BITS] (`environments.fingerprints`); likeness is Tanimoto's. All compare many pairs: at most MOST_PAIRED rows.
"""

from __future__ import annotations

import numpy as np

from heliograph.errors import DataError
from heliograph.uncertainty.environments import MOST_PAIRED, butina

LEAD_SIMILARITY, LEAST_SERIES = 0.4, 5  # a series is a lead and what is so like it, so many molecules in all


def likeness(one: np.ndarray, bits: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the similarity of one float fingerprint [BITS] to all of `bits` [n, BITS], [n]; `size` [n] is their number of bits."""
    both = bits @ one
    return np.asarray(both / np.maximum(size + float(one.sum()) - both, 1.0))


def spheres(bits: np.ndarray, similarity: float = 0.4, seed: int = 0) -> np.ndarray:
    """Return a cluster's number for each of n fingerprints, [n], by sphere exclusion around centres drawn with `seed`.

    A free row is drawn; it and all free rows that are as similar as `similarity` are a cluster; again until none is free.
    Source: A. Gobbi, M.-L. Lee, J. Chem. Inf. Comput. Sci. 2003, 43, 317.
    """
    _check(len(bits))
    b = bits.astype(np.float32)
    size, found, cluster = b.sum(1), np.full(len(b), -1, dtype=np.int64), 0
    for centre in np.random.default_rng(seed).permutation(len(b)):
        if found[centre] < 0:
            near = (likeness(b[centre], b, size) >= similarity) & (found < 0)
            near[centre] = True
            found[near], cluster = cluster, cluster + 1
    return found


def kennard_stone(bits: np.ndarray) -> np.ndarray:
    """Return the order in which rows are chosen so that they cover the space evenly, [n]: each next is the farthest from all before.

    It begins with the two that are least alike; of equally far ones the first in the table is taken.
    Source: R. W. Kennard, L. A. Stone, Technometrics 1969, 11, 137.
    """
    n = len(bits)
    _check(n)
    if n < 2:
        return np.arange(n)
    b = bits.astype(np.float32)
    size = b.sum(1)
    lowest, pair = np.inf, (0, 1)
    for i in range(n - 1):
        rest = likeness(b[i], b[i + 1 :], size[i + 1 :])
        if rest.min() < lowest:
            lowest, pair = float(rest.min()), (i, i + 1 + int(rest.argmin()))
    nearest = np.maximum(likeness(b[pair[0]], b, size), likeness(b[pair[1]], b, size))  # [n], to what was chosen
    order = [*pair]
    nearest[order] = np.inf
    while len(order) < n:
        farthest = int(nearest.argmin())
        order.append(farthest)
        nearest = np.maximum(nearest, likeness(b[farthest], b, size))
        nearest[farthest] = np.inf
    return np.array(order, dtype=np.int64)


def series(bits: np.ndarray, similarity: float = LEAD_SIMILARITY, least: int = LEAST_SERIES) -> list[np.ndarray]:
    """Return the series among n fingerprints, the largest first: rows of each, its lead (the row like most of the others) first.

    Series are Butina's clusters of `least` rows or more. After S. Steshin, arXiv:2310.06399 (2023), which tests on molecules like
    one hit that is known.
    """
    _check(len(bits))
    b = bits.astype(np.float32)
    size, cluster = b.sum(1), butina(bits, similarity)
    found = []
    for number in np.unique(cluster):
        rows = np.flatnonzero(cluster == number)
        if len(rows) >= least:
            like = np.stack([likeness(b[k], b[rows], size[rows]) for k in rows]).sum(1)
            lead = int(like.argmax())
            found.append(np.array([rows[lead], *np.delete(rows, lead)]))
    return sorted(found, key=len, reverse=True)


def _check(n: int) -> None:
    if n > MOST_PAIRED:
        raise DataError(f"this split compares all pairs: at most {MOST_PAIRED:,} molecules, not {n:,}. Use the split cluster.")
