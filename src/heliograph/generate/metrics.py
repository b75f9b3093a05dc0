"""How good generated molecules are, under protocols that are kept apart.

"lookup": bonds are read off the distances by EDM's table (Hoogeboom et al. 2022, arXiv:2203.17003, appendix E; margins of 10, 5 and 3
pm); an atom is stable where its bond orders add up to its valence, a molecule where all atoms are. "bonds": the same with the bonds and
charges that were predicted, by a table of neutral and charged valences. "valid": RDKit accepts the molecule with its predicted bonds,
no implicit hydrogen added, in one piece. Each figure is a share with Wilson's 95 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np

from heliograph.generate.data import Molecules

H, C, N, O, F, S, CL = 1, 6, 7, 8, 9, 16, 17  # noqa: E741
SINGLE = {
    (H, H): 74, (H, C): 109, (H, N): 101, (H, O): 96, (H, F): 92, (H, S): 134, (H, CL): 127, (C, C): 154, (C, N): 147, (C, O): 143,
    (C, F): 135, (C, S): 182, (C, CL): 177, (N, N): 145, (N, O): 140, (N, F): 136, (N, S): 168, (N, CL): 175, (O, O): 148, (O, F): 142,
    (O, S): 151, (O, CL): 164, (F, F): 142, (F, S): 158, (F, CL): 166, (S, S): 204, (S, CL): 207, (CL, CL): 199,
}  # fmt: skip
DOUBLE = {(C, C): 134, (C, N): 129, (C, O): 120, (C, S): 160, (N, N): 125, (N, O): 121, (O, O): 121}
TRIPLE = {(C, C): 120, (C, N): 116, (C, O): 113, (N, N): 110}
MARGINS = (10, 5, 3)
VALENCE = {H: 1, C: 4, N: 3, O: 2, F: 1, S: 4, CL: 1}
BY_CHARGE: dict[tuple[int, int], tuple[int, ...]] = {  # (element, formal charge) -> valences of closed shells
    (H, 0): (1,), (H, 1): (0,), (C, 0): (4,), (C, 1): (3,), (C, -1): (3,), (N, 0): (3,), (N, 1): (4,), (N, -1): (2,), (O, 0): (2,),
    (O, 1): (3,), (O, -1): (1,), (F, 0): (1,), (F, -1): (0,), (S, 0): (2, 4, 6), (S, 1): (3, 5), (S, -1): (1,), (CL, 0): (1,),
    (CL, -1): (0,),
}  # fmt: skip


@final
@dataclass(frozen=True)
class Share:
    """`hits` of `n`, with Wilson's 95 % interval."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """NaN of nothing."""
        return self.hits / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end."""
        if not self.n:
            return math.nan, math.nan
        z, p, n = 1.959964, self.hits / self.n, self.n
        middle, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


@final
@dataclass(frozen=True)
class Figures:
    """Shares by name, and of each molecule whether it is "lookup" stable, "bonds" stable, valid, and its SMILES ("" where it is not)."""

    shares: Mapping[str, Share]
    stable_lookup: tuple[bool, ...] = ()
    stable_bonds: tuple[bool, ...] = ()
    smiles: tuple[str, ...] = ()
    reasons: tuple[str, ...] = field(default=())


def lookup_orders(z: np.ndarray, pos: np.ndarray) -> np.ndarray:
    """[n, n] bond orders read off the distances [angstrom] by the table; 0 for pairs that it lacks."""
    n = len(z)
    order = np.zeros((n, n), np.int64)
    distance = 100 * np.sqrt(np.square(pos[:, None] - pos[None]).sum(-1))
    for i in range(n):
        for j in range(i):
            pair = (min(int(z[i]), int(z[j])), max(int(z[i]), int(z[j])))
            for k, (table, margin) in enumerate(zip((SINGLE, DOUBLE, TRIPLE), MARGINS, strict=True)):
                if pair not in table or distance[i, j] >= table[pair] + margin:
                    break
                order[i, j] = order[j, i] = k + 1
    return order


def stable_by_lookup(z: np.ndarray, pos: np.ndarray) -> np.ndarray:
    """[n] bool: whether each atom's bond orders add up to its valence; an element that the table lacks never is."""
    return lookup_orders(z, pos).sum(1) == np.array([VALENCE.get(int(e), -1) for e in z])


def stable_by_bonds(z: np.ndarray, charge: np.ndarray, bonds: np.ndarray, order: np.ndarray) -> np.ndarray:
    """[n] bool: whether each atom's predicted bonds make a closed shell of its element and charge."""
    total = np.zeros(len(z), np.int64)
    np.add.at(total, bonds.reshape(-1), np.repeat(order, 2))
    return np.array([t in BY_CHARGE.get((int(e), int(q)), ()) for e, q, t in zip(z, charge, total, strict=True)], bool)


def unbound(formula: Mapping[int, int]) -> list[str]:
    """Say in a sentence where no neutral closed-shell molecule has a formula (atomic number -> count) by the usual valences."""
    if not set(formula) <= set(VALENCE):
        return []
    ends = 2 + sum(n * (max(BY_CHARGE[z, 0]) - 2) for z, n in formula.items())  # twice the rings and double bonds
    if ends < 0:
        return ["No molecule in one piece has this formula: it has more ends than the other atoms can bind. Samples keep it all the same."]
    odd = 2 + sum(n * (VALENCE[z] - 2) for z, n in formula.items())
    return ["This formula has an odd number of electrons to pair: neutral samples will be radicals."] if odd % 2 else []


def molecules(samples: Iterable[Molecules], training: Iterable[str] = ()) -> Figures:
    """Score batches of molecules; `training`: canonical SMILES of what the generator learned from, for novelty."""
    from heliograph.chem.atoms import Atoms, judge

    known, atoms_lookup, atoms_bonds, atoms = set(training), 0, 0, 0
    stable_lookup: list[bool] = []
    stable_bonds: list[bool] = []
    smiles: list[str] = []
    reasons: list[str] = []
    connected = radicals = 0
    for batch in samples:
        for k in range(len(batch)):
            at, part = batch.atoms(k), batch.bonds_of(k)
            one = Atoms(batch.z[at], batch.charge[at], batch.pos[at], batch.bonds[part], batch.order[part])
            by_lookup, by_bonds = stable_by_lookup(one.z, one.pos), stable_by_bonds(one.z, one.charge, one.bonds, one.order)
            atoms, atoms_lookup, atoms_bonds = atoms + len(one.z), atoms_lookup + int(by_lookup.sum()), atoms_bonds + int(by_bonds.sum())
            stable_lookup.append(bool(by_lookup.all()))
            stable_bonds.append(bool(by_bonds.all()))
            verdict = judge(one)
            connected += verdict.connected
            fine = bool(verdict.smiles) and verdict.connected
            radicals += fine and verdict.radicals > 0
            smiles.append(verdict.smiles if fine else "")
            reasons.append("" if fine else verdict.reason or "in pieces")
    n, valid = len(smiles), [s for s in smiles if s]
    shares = {
        "atoms stable, lookup": Share(atoms_lookup, atoms),
        "molecules stable, lookup": Share(sum(stable_lookup), n),
        "atoms stable, bonds": Share(atoms_bonds, atoms),
        "molecules stable, bonds": Share(sum(stable_bonds), n),
        "in one piece": Share(connected, n),
        "valid": Share(len(valid), n),
        "unique of the valid": Share(len(set(valid)), len(valid)),
        "with radicals, of the valid": Share(radicals, len(valid)),
    }
    if known:
        shares["novel of the unique"] = Share(len(set(valid) - known), len(set(valid)))
    return Figures(shares, tuple(stable_lookup), tuple(stable_bonds), tuple(smiles), tuple(reasons))
