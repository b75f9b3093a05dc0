"""What molecules are made of, as distributions: sizes, elements, bonds, angles, torsions, rings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from heliograph.chem.elements import SYMBOLS
from heliograph.generate.data import Molecules

PAIRS = ((6, 1, 1), (6, 6, 1), (6, 6, 2), (6, 7, 1), (6, 8, 1), (6, 8, 2))  # elements and bond order whose lengths are shown
LARGEST_RING = 8


@final
@dataclass(frozen=True, eq=False)
class Distribution:
    """Values of the samples and of the reference; with `categories`, values are their numbers. `whole`: values are whole numbers."""

    name: str
    unit: str
    samples: np.ndarray
    reference: np.ndarray | None
    categories: tuple[str, ...] = ()
    whole: bool = False


def distributions(samples: Molecules, reference: Molecules | None) -> list[Distribution]:
    """All that both have; a kind of bond that neither has is left out."""
    both = [samples, *([] if reference is None else [reference])]
    elements = sorted({int(z) for m in both for z in np.unique(m.z)})
    names = tuple(SYMBOLS[z] for z in elements)
    found = [
        _pair("Atoms in a molecule", "atoms", [m.n_atoms.astype(np.float64) for m in both], whole=True),
        _pair("Elements", "", [np.searchsorted(elements, m.z).astype(np.float64) for m in both], names),
        _pair("Bonds of an atom that is no hydrogen", "degree", [degrees(m) for m in both], tuple(map(str, range(7)))),
        _pair("Angles at atoms with two bonds or more", "degrees", [angles(m) for m in both]),
        _pair("Torsions about single bonds", "degrees", [torsions(m) for m in both]),
        _pair("Sizes of rings", "atoms", [rings(m) for m in both], tuple(map(str, range(LARGEST_RING + 1)))),
    ]
    for a, b, order in PAIRS:
        symbol = {1: "–", 2: "=", 3: "≡"}[order]
        lengths = [bond_lengths(m, a, b, order) for m in both]
        found.append(_pair(f"{SYMBOLS[a]}{symbol}{SYMBOLS[b]} bonds", "angstrom", lengths))
    return [d for d in found if len(d.samples) > 1 and (d.reference is None or len(d.reference) > 1)]


def _pair(name: str, unit: str, values: list[np.ndarray], categories: tuple[str, ...] = (), whole: bool = False) -> Distribution:
    return Distribution(name, unit, values[0], values[1] if len(values) > 1 else None, categories, whole)


def bond_ends(m: Molecules) -> np.ndarray:
    """[B, 2] numbers of the atoms of all bonds within all molecules."""
    start = np.repeat(m.offsets[:-1], np.diff(m.bond_offsets))
    return np.asarray(m.bonds + start[:, None], np.int64).reshape(-1, 2)


def bond_lengths(m: Molecules, a: int, b: int, order: int) -> np.ndarray:
    """Angstrom, of bonds between these elements of this order."""
    ends = bond_ends(m)
    z = m.z[ends]
    of = ((z == (a, b)).all(1) | (z == (b, a)).all(1)) & (m.order == order)
    return np.asarray(np.linalg.norm(m.pos[ends[of, 0]] - m.pos[ends[of, 1]], axis=1))


def degrees(m: Molecules) -> np.ndarray:
    """Bonds of each heavy atom, six at most."""
    return np.minimum(np.bincount(bond_ends(m).ravel(), minlength=len(m.z))[m.z > 1], 6).astype(np.float64)


def _neighbours(m: Molecules) -> list[list[int]]:
    near: list[list[int]] = [[] for _ in range(len(m.z))]
    for i, j in bond_ends(m).tolist():
        near[i].append(j)
        near[j].append(i)
    return near


def angles(m: Molecules) -> np.ndarray:
    """Degrees, of all pairs of bonds at an atom."""
    triples = [(a, i, b) for i, near in enumerate(_neighbours(m)) for k, a in enumerate(near) for b in near[:k]]
    if not triples:
        return np.zeros(0)
    a, i, b = np.array(triples).T
    u, v = m.pos[a] - m.pos[i], m.pos[b] - m.pos[i]
    cosine = (u * v).sum(1) / np.maximum(np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1), 1e-12)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def torsions(m: Molecules) -> np.ndarray:
    """Degrees in [0, 180], of heavy atoms about single bonds."""
    near, heavy = _neighbours(m), m.z > 1
    four = [
        (a, i, j, b)
        for (i, j), order in zip(bond_ends(m).tolist(), m.order.tolist(), strict=True)
        if order == 1 and heavy[i] and heavy[j]
        for a in near[i]
        for b in near[j]
        if a not in (j, b) and b != i and heavy[a] and heavy[b]
    ]
    if not four:
        return np.zeros(0)
    p = m.pos[np.array(four)]  # [n, 4, 3]
    u, v, w = p[:, 1] - p[:, 0], p[:, 2] - p[:, 1], p[:, 3] - p[:, 2]
    first, second = np.cross(u, v), np.cross(v, w)
    sine = (np.cross(first, second) * v).sum(1) / np.maximum(np.linalg.norm(v, axis=1), 1e-12)
    return np.asarray(np.abs(np.degrees(np.arctan2(sine, (first * second).sum(1)))))


def rings(m: Molecules) -> np.ndarray:
    """Sizes of the shortest ring through each bond that lies in one of up to eight atoms, a ring counted once for each of its bonds."""
    near, found = _neighbours(m), []
    for i, j in bond_ends(m).tolist():
        seen, edge = {i}, [i]
        for size in range(2, LARGEST_RING + 1):
            edge = [b for a in edge for b in near[a] if b not in seen and not (a == i and b == j)]
            seen.update(edge)
            if j in edge:
                found.append(size)
                break
    return np.array(found, np.float64)
