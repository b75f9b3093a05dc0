"""What stays of a molecule when it is cut at one bond, in three dimensions, for a generator to grow the rest anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from rdkit import Chem, rdBase

from heliograph.chem.atoms import Atoms, atoms_of
from heliograph.chem.conformer import embed
from heliograph.chem.matched import MAX_CHANGED
from heliograph.chem.parse import parse_smiles
from heliograph.data.record import MolBlock
from heliograph.errors import StructureError

_CUT = Chem.MolFromSmarts("[!#1]-!@[!#1]")


class Kept(NamedTuple):
    """`smiles` of what stays, with [*:1] where it was cut; its `atoms`, hydrogens too; `open`: the atom that lost its neighbour;
    `whole`: atoms that the molecule had."""

    smiles: str
    atoms: Atoms
    open: int
    whole: int


def parts(smiles: str, seed: int = 0) -> Iterator[Kept]:
    """Each part of at least half of the heavy atoms that a cut of one acyclic single bond leaves, the largest first, each once.

    The positions are those of one conformer (ETKDG, MMFF94s). Raises StructureError.
    """
    mol = Chem.AddHs(parse_smiles(smiles))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(embed(mol, seed))
    mol.AddConformer(conformer)
    atoms = atoms_of(MolBlock(Chem.MolToV3KMolBlock(mol)))
    heavy, found = atoms.z > 1, dict[str, tuple[np.ndarray, int]]()
    for i, j in mol.GetSubstructMatches(_CUT):
        for stays, goes in ((i, j), (j, i)):
            side = _side(mol, stays, goes)
            changes = int(heavy.sum() - heavy[side].sum())
            if changes <= MAX_CHANGED and 2 * changes <= heavy.sum():
                found.setdefault(_text(mol, stays, goes, side), (side, int(np.searchsorted(side, stays))))
    for text, (side, place) in sorted(found.items(), key=lambda one: (-len(one[1][0]), one[0])):
        yield Kept(text, _taken(atoms, side), place, len(atoms.z))


def _side(mol: Chem.Mol, stays: int, goes: int) -> np.ndarray:
    """Atoms that hang together with `stays` without the bond to `goes`, ascending."""
    seen, todo = {stays}, [stays]
    while todo:
        for atom in mol.GetAtomWithIdx(todo.pop()).GetNeighbors():
            if (k := atom.GetIdx()) not in seen and k != goes:
                seen.add(k)
                todo.append(k)
    return np.array(sorted(seen))


def _text(mol: Chem.Mol, stays: int, goes: int, side: np.ndarray) -> str:
    cut = Chem.RWMol(mol)
    cut.ReplaceAtom(goes, Chem.Atom(0))
    cut.GetAtomWithIdx(goes).SetAtomMapNum(1)
    for k in sorted(set(range(mol.GetNumAtoms())) - {*side.tolist(), goes}, reverse=True):
        cut.RemoveAtom(k)
    with rdBase.BlockLogs():
        try:
            return str(Chem.MolToSmiles(Chem.RemoveHs(cut)))
        except (RuntimeError, ValueError) as error:
            raise StructureError(f"can't be cut: {str(error).splitlines()[0][:80]}") from None


def _taken(atoms: Atoms, side: np.ndarray) -> Atoms:
    """These atoms and the bonds between them."""
    place = np.full(len(atoms.z), -1)
    place[side] = np.arange(len(side))
    inside = (place[atoms.bonds] >= 0).all(1)
    return Atoms(atoms.z[side], atoms.charge[side], atoms.pos[side], place[atoms.bonds[inside]], atoms.order[inside])
