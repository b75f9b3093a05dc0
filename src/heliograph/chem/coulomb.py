"""Coulomb matrices, for the baselines of 3D data (M. Rupp et al., Phys. Rev. Lett. 2012, 108, 058301). NumPy only.

M_ii = 0.5 Z_i^2.4, M_ij = Z_i Z_j / |R_i - R_j| in hartree (distances in bohr); rows sorted by falling norm (K. Hansen et al.,
J. Chem. Theory Comput. 2013, 9, 3404), so that the order of the atoms is no matter; padded with zeros to `size` atoms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heliograph.errors import DataError

BOHR = 0.529177210903  # angstrom


def coulomb_matrix(z: np.ndarray, pos: np.ndarray) -> np.ndarray:
    """[n, n] float64 of atomic numbers `z` [n] and positions `pos` [n, 3] in angstrom; atoms in the order given."""
    charge = np.asarray(z, dtype=np.float64)
    place = np.asarray(pos, dtype=np.float64) / BOHR
    distance = np.sqrt(((place[:, None] - place[None]) ** 2).sum(-1))  # [n, n]
    np.fill_diagonal(distance, 1.0)
    matrix = charge[:, None] * charge[None] / np.maximum(distance, 1e-6)
    np.fill_diagonal(matrix, 0.5 * charge**2.4)
    return np.asarray(matrix)


def coulomb(molecules: Sequence[tuple[np.ndarray, np.ndarray]], size: int | None = None) -> np.ndarray:
    """[M, size (size + 1) / 2] float64: the upper triangles of the sorted matrices of M molecules, each `(z, pos)`.

    `size` None is the largest molecule's. Raises DataError where a molecule has more atoms than `size`.
    """
    size = _size(molecules, size)
    upper = np.triu_indices(size)
    out = np.zeros((len(molecules), len(upper[0])))
    for row, (z, pos) in enumerate(molecules):
        padded = np.zeros((size, size))
        n = len(z)
        matrix = coulomb_matrix(z, pos)
        order = np.argsort(-np.linalg.norm(matrix, axis=1), kind="stable")
        padded[:n, :n] = matrix[np.ix_(order, order)]
        out[row] = padded[upper]
    return out


def bag_of_bonds(molecules: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """[M, B] float64: for each pair of elements a bag of the entries Z_i Z_j / |R_i - R_j|, largest first, and one of 0.5 Z^2.4 for each
    element, padded with zeros to the longest of its kind (K. Hansen et al., J. Phys. Chem. Lett. 2015, 6, 2326)."""
    bags: list[dict[int, np.ndarray]] = []
    for z, pos in molecules:
        matrix, number = coulomb_matrix(z, pos), np.asarray(z, dtype=np.int64)
        i, j = np.triu_indices(len(number))
        low, high = np.minimum(number[i], number[j]), np.maximum(number[i], number[j])
        kind = np.where(i == j, 0, low * 1000 + high) + (i == j) * high  # below 1000: an atom
        value = matrix[i, j]
        order = np.lexsort((-value, kind))
        kinds, first = np.unique(kind[order], return_index=True)
        bags.append({int(k): part for k, part in zip(kinds, np.split(value[order], first[1:]), strict=True)})
    longest: dict[int, int] = {}
    for bag in bags:
        for key, part in bag.items():
            longest[key] = max(longest.get(key, 0), len(part))
    start = dict(zip(sorted(longest), np.cumsum([0] + [longest[k] for k in sorted(longest)])[:-1].tolist(), strict=True))
    out = np.zeros((len(molecules), sum(longest.values())))
    for row, bag in enumerate(bags):
        for key, part in bag.items():
            out[row, start[key] : start[key] + len(part)] = part
    return out


def _size(molecules: Sequence[tuple[np.ndarray, np.ndarray]], size: int | None) -> int:
    largest = max((len(z) for z, _ in molecules), default=0)
    if size is None:
        return largest
    if largest > size:
        raise DataError(f"Coulomb matrices of {size} atoms were asked for, a molecule has {largest}: give a larger size")
    return size
