"""Whether coordinates are those of a molecule: atoms on one another, flat drawings, hydrogens that are not there."""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from heliograph.errors import StructureError

NEAREST = 0.3  # angstrom: H2 has 0.74, and nothing bonded is much closer
_REACH, _SHORT = 1.9, 1.36  # angstrom: neighbours of a carbon; double and triple bonds of C, N and O are shorter than the second
_FLAT = 1e-3  # angstrom that a drawing leaves its plane by
_BLOCK = 1000  # atoms whose distances to all others are held at once


def check_places(pos: np.ndarray, cell: np.ndarray | None = None, pbc: tuple[bool, bool, bool] = (False, False, False)) -> None:
    """Raises StructureError where positions [n, 3] in angstrom put two atoms on one place, or are no numbers.

    `cell` [3, 3] and `pbc`: the nearest image counts, as far as the cell is not very skew.
    """
    place = np.asarray(pos, dtype=np.float64)
    if not np.isfinite(place).all():
        raise StructureError("no geometry: positions are not finite")
    n = len(place)
    periodic = cell is not None and any(pbc) and abs(np.linalg.det(cell)) > 1e-9
    inverse = np.linalg.inv(cell) if periodic and cell is not None else None
    for start in range(0, n, _BLOCK):
        apart = place[start : start + _BLOCK, None] - place[None]  # [block, n, 3]
        if inverse is not None and cell is not None:
            fraction = apart @ inverse
            apart = (fraction - np.rint(fraction) * np.array(pbc)) @ cell
        distance = np.linalg.norm(apart, axis=-1)
        distance[np.arange(len(distance)), np.arange(start, start + len(distance))] = np.inf
        if distance.size and distance.min() < NEAREST:
            i, j = np.unravel_index(int(distance.argmin()), distance.shape)
            pair = f"atoms {start + int(i) + 1} and {int(j) + 1}"
            if distance[0, 1:].max(initial=0.0) < NEAREST and n > 2:
                raise StructureError(f"no geometry: all {n} atoms are in one place")
            raise StructureError(f"no geometry: {pair} are {distance[i, j]:.2g} angstrom apart")


def check_hydrogens(z: np.ndarray, pos: np.ndarray) -> None:
    """Raises StructureError where atoms `z` [n] at `pos` [n, 3] in angstrom are those of a molecule whose hydrogens were left out.

    There is no hydrogen, and a carbon has one or two neighbours, of C, N and O alone, all as far as in single or aromatic bonds. Atoms of
    carbon alone (clusters, fullerenes) and two atoms are taken as they are.
    """
    carbon = np.flatnonzero(z == 6)
    if len(z) < 3 or not len(carbon) or len(carbon) == len(z) or (z == 1).any():
        return
    apart = np.linalg.norm(pos[carbon, None] - pos[None], axis=-1)  # [carbons, n]
    near = (apart < _REACH) & (apart > 0)
    organic = np.isin(z, (6, 7, 8))
    lacking = np.isin(near.sum(1), (1, 2)) & ~(near & ((apart < _SHORT) | ~organic)).any(1)
    if lacking.any():
        which = f"{int(lacking.sum())} carbons lack some (the first is atom {carbon[lacking][0] + 1})"
        raise StructureError(f"no geometry: there are no hydrogens, and {which}; add them with their places")


def check_conformer(mol: Chem.Mol, hydrogens: bool) -> None:
    """Raises StructureError where the conformer of a molecule is no geometry; `hydrogens`: they must be atoms with places."""
    pos = np.asarray(mol.GetConformer().GetPositions())
    check_places(pos)
    if mol.GetNumAtoms() > 3 and float(np.ptp(pos[:, 2])) < _FLAT and any(map(_spatial, mol.GetAtoms())):
        raise StructureError("no geometry: a flat drawing that is tagged 3D")
    if hydrogens and (lacking := sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())):
        raise StructureError(f"no geometry: {lacking} hydrogens have no coordinates; add them, or let conformers be embedded")


def _spatial(atom: Chem.Atom) -> bool:
    """Whether an atom has neighbours that can't all lie in one plane with it."""
    return bool(atom.GetHybridization() == Chem.HybridizationType.SP3 and atom.GetTotalDegree() > 3 and atom.GetDegree() > 1)
