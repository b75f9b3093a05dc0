"""A fragment that samples contain as it is: its atoms, charges, bonds and geometry.

In each step the part of the predicted molecule that stands for the fragment gives way to the fragment itself, turned and moved to where the
prediction has it (rigidly, never reflected). So the fragment's shape is exact, its place is the generator's choice, and the last step
lands on it. Its atoms come first in each sample; samples are written in the frame of the fragment's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from heliograph.errors import DataError, StructureError, UsageError
from heliograph.generate.data import CHARGES, Molecules

ONE = "--keep takes one molecule in 3D: an SDF entry with the atoms that stay, open where the rest may grow"


@final
@dataclass(frozen=True, eq=False)
class Fragment:
    """k atoms: `z` [k], `charge` [k], `pos` [k, 3] angstrom; `bonds` [m, 2], their `order` [m]."""

    z: np.ndarray
    charge: np.ndarray
    pos: np.ndarray
    bonds: np.ndarray
    order: np.ndarray

    def __len__(self) -> int:
        return len(self.z)

    @property
    def orders(self) -> np.ndarray:
        """[k, k] bond orders, 0 where there is no bond."""
        table = np.zeros((len(self), len(self)), np.int64)
        for both in (self.bonds, self.bonds[:, ::-1]):
            table[both[:, 0], both[:, 1]] = self.order
        return table


def read(path: Path) -> Fragment:
    """The fragment of an SDF with one entry. Raises UsageError for what is none, DataError for no such file."""
    from heliograph.chem.atoms import as_drawn
    from heliograph.data import formats
    from heliograph.data.record import MolBlock

    records = list(formats.read(path, target_columns=()))
    if len(records) != 1 or not isinstance(records[0].structure, MolBlock):
        raise UsageError(f"{path}: {ONE}; this has {len(records)} rows")
    if records[0].structure.text.splitlines()[1][20:22].upper() == "2D":
        raise UsageError(f"{path}: {ONE}; this is a drawing in 2D")
    try:
        atoms = as_drawn(records[0].structure)
    except StructureError as error:
        raise DataError(f"{path}: {error}") from None
    if len(atoms.z) > 1 and np.ptp(atoms.pos, axis=0).max() < 0.1:
        raise UsageError(f"{path}: {ONE}; its atoms lie on one another")
    if not np.isfinite(atoms.pos).all() or (np.abs(atoms.charge) > CHARGES[-1]).any():
        raise UsageError(f"{path}: {ONE}; positions must be finite and charges from {CHARGES[0]} to {CHARGES[-1]}")
    return Fragment(atoms.z, atoms.charge, atoms.pos, atoms.bonds, atoms.order)


def placed(end: Tensor, at: Tensor, shape: Tensor) -> Tensor:
    """`end` [N, 3] with rows `at` [G, k] replaced by `shape` [k, 3], turned and moved to lie nearest to what was there (Kabsch 1976)."""
    there = end[at]  # [G, k, 3]
    centre, own = there.mean(1, keepdim=True), shape - shape.mean(0)
    u, _, vt = torch.linalg.svd(own.T @ (there - centre))  # of [G, 3, 3]
    flip = torch.ones_like(centre[:, 0])  # [G, 3]
    flip[:, 2] = torch.linalg.det(u @ vt).sign()
    return end.index_copy(0, at.flatten(), (own @ (u * flip[:, None, :]) @ vt + centre).flatten(0, 1))


def restored(molecules: Molecules, fragment: Fragment) -> Molecules:
    """The samples in the fragment's frame, with its positions, charges and bonds as they are to the last digit."""
    k, pos, charge = len(fragment), molecules.pos.copy(), molecules.charge.copy()
    bonds, order, counts = [], [], []
    own, centre = fragment.pos - fragment.pos.mean(0), fragment.pos.mean(0)
    inside = np.argwhere(np.triu(fragment.orders))
    for m in range(len(molecules)):
        at, part = molecules.atoms(m), molecules.bonds_of(m)
        x = pos[at]
        there = x[:k].mean(0)
        u, _, vt = np.linalg.svd((x[:k] - there).T @ own)
        turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
        pos[at] = (x - there) @ turn + centre
        pos[at.start : at.start + k], charge[at.start : at.start + k] = fragment.pos, fragment.charge
        rest = (molecules.bonds[part] >= k).any(1)
        bonds += [inside, molecules.bonds[part][rest]]
        order += [fragment.orders[inside[:, 0], inside[:, 1]], molecules.order[part][rest]]
        counts.append(len(inside) + int(rest.sum()))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Molecules(molecules.z, charge, pos, molecules.offsets, np.concatenate(bonds), np.concatenate(order), offsets)
