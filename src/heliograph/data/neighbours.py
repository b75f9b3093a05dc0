"""Lists of neighbours with all periodic images: every pair of atoms nearer than a cutoff, once.

The search is vesin's (https://github.com/Luthaf/vesin). A pair may be an atom and its own image, and two atoms may meet in several
images. Atoms may lie outside the cell; the cell may be smaller than the cutoff, skewed or left-handed; each axis is periodic or not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from vesin import NeighborList

from heliograph.errors import StructureError


class Pairs(NamedTuple):
    """P pairs: `i`, `j` [P] int64 atoms, `S` [P, 3] int64; atom j is taken from the image moved by S @ cell."""

    i: np.ndarray
    j: np.ndarray
    S: np.ndarray


def pairs(
    pos: np.ndarray,
    cell: np.ndarray | None,
    pbc: np.ndarray | tuple[bool, bool, bool],
    cutoff: float,
) -> Pairs:
    """Return each pair of atoms at a distance below `cutoff` [angstrom], sorted.

    An infinite cutoff means all pairs. `pos` [n, 3]; `cell` [3, 3] with one lattice vector a row, or None
    without one. Raises StructureError where the cell of a periodic axis is no cell, where two atoms are at
    the same place, and for all pairs of a periodic structure.
    """
    periodic = np.asarray(pbc, dtype=bool)
    box = completed(cell, periodic)
    if not len(pos):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3), np.int64))
    if np.isinf(cutoff):  # all pairs
        if periodic.any():
            raise StructureError("this architecture takes all pairs, of which a crystal has infinitely many: take one with a cutoff")
        cutoff = float(np.linalg.norm(np.ptp(pos, axis=0))) + 1.0
    search = NeighborList(cutoff=float(cutoff), full_list=False, sorted=True, n_threads=1)
    i, j, S, d = search.compute(np.ascontiguousarray(pos, np.float64), box, periodic, "ijSd")
    near = d < cutoff
    if not near.all():
        i, j, S, d = i[near], j[near], S[near], d[near]
    if len(d) and d.min() < 1e-6:
        k = int(d.argmin())
        raise StructureError(f"atoms at one place: {int(i[k]) + 1} and {int(j[k]) + 1} are {d[k]:.1e} angstrom apart")
    return Pairs(i.astype(np.int64), j.astype(np.int64), S.astype(np.int64))


def completed(cell: np.ndarray | None, periodic: np.ndarray) -> np.ndarray:
    """Return a cell of full rank: zero vectors of axes that are not periodic are replaced by perpendicular unit vectors.

    Only directions are added, so distances and volumes of what is periodic stay as they are. Raises StructureError.
    """
    if cell is None:
        if periodic.any():
            raise StructureError("periodic, but without a cell")
        return np.zeros((3, 3))
    cell = np.array(cell, dtype=np.float64)
    if not np.isfinite(cell).all():
        raise StructureError("the cell is not finite")
    if not periodic.any():
        return np.zeros((3, 3))
    kept = cell[periodic]
    lengths = np.linalg.norm(kept, axis=1)
    spanned = np.linalg.svd(kept / np.where(lengths > 0, lengths, 1)[:, None], compute_uv=False)
    if lengths.min() < 1e-6 or spanned.min() < 1e-6:
        raise StructureError("the cell's periodic vectors are zero or lie in one plane")
    rest = np.linalg.svd(kept)[2][len(kept) :]  # perpendicular unit vectors
    cell[~periodic] = rest
    return cell
