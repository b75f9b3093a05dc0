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
from heliograph.generate.data import CHARGES, Molecules, matched

BOND = 1.5  # angstrom
ONE = "--keep takes one molecule in 3D: an SDF entry with the atoms that stay, open where the rest may grow"


@final
@dataclass(frozen=True, eq=False)
class Fragment:
    """k atoms: `z` [k], `charge` [k], `pos` [k, 3] angstrom; `bonds` [m, 2], their `order` [m].

    `open`: the one atom that new atoms may be bonded to, by one single bond; None leaves that to the generator.
    """

    z: np.ndarray
    charge: np.ndarray
    pos: np.ndarray
    bonds: np.ndarray
    order: np.ndarray
    open: int | None = None

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


def begun(noise: Tensor, sizes: np.ndarray, fragment: Fragment, scale: float) -> Tensor:
    """`noise` [N, 3] of samples with `sizes` atoms, its rows in the order in which training has them: near the atoms they turn into.

    The rest of a sample is expected a bond's length out from the open atom, or around the fragment where there is none.
    """
    k, own = len(fragment), (fragment.pos - fragment.pos.mean(0)) / scale
    out = np.zeros(3)
    if fragment.open is not None:
        away = own[fragment.open]
        out = away + BOND / scale * away / max(float(np.linalg.norm(away)), 1e-9)
    found, start = [], 0
    for n in sizes.tolist():
        wanted = np.concatenate([own, np.tile(out, (n - k, 1))])
        found.append(matched(noise[start : start + n].double().numpy(), wanted - wanted.mean(0)))
        start += n
    return torch.from_numpy(np.concatenate(found)).to(noise.dtype)


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
        outside, their = _outside(molecules.bonds[part], molecules.order[part], fragment, pos[at])
        bonds += [inside, outside]
        order += [fragment.orders[inside[:, 0], inside[:, 1]], their]
        counts.append(len(inside) + len(outside))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Molecules(molecules.z, charge, pos, molecules.offsets, np.concatenate(bonds), np.concatenate(order), offsets)


def _outside(bonds: np.ndarray, order: np.ndarray, fragment: Fragment, pos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bonds [m, 2] and orders [m] of a sample that are not inside the fragment; at an open atom the shortest one, as a single bond."""
    k = len(fragment)
    among, across = (bonds >= k).all(1), (bonds >= k).sum(1) == 1
    if fragment.open is None:
        return bonds[among | across], order[among | across]
    here = np.flatnonzero(across & (bonds == fragment.open).any(1))
    lengths = np.linalg.norm(pos[bonds[here, 0]] - pos[bonds[here, 1]], axis=1)
    one = here[np.argsort(lengths, kind="stable")[:1]]
    return np.concatenate([bonds[among], bonds[one]]), np.concatenate([order[among], np.ones(len(one), order.dtype)])
