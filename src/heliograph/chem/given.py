"""Molecules whose conformers are asked for: graph, stereo and how to check it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rdkit import Chem, rdBase

from heliograph.chem.parse import parse_block, parse_smiles
from heliograph.data.record import Geometry, MolBlock, Structure
from heliograph.errors import StructureError

FAR, SINGLE, DOUBLE, TRIPLE, AROMATIC, TWO, THREE, CIS, TRANS = range(9)  # what a pair of atoms is to one another
_BONDS = {
    Chem.BondType.SINGLE: SINGLE, Chem.BondType.DOUBLE: DOUBLE, Chem.BondType.TRIPLE: TRIPLE, Chem.BondType.AROMATIC: AROMATIC
}  # fmt: skip
_SIGNS = {Chem.ChiralType.CHI_TETRAHEDRAL_CCW: 1, Chem.ChiralType.CHI_TETRAHEDRAL_CW: -1}
_CIS = (Chem.BondStereo.STEREOCIS, Chem.BondStereo.STEREOZ)
_TRANS = (Chem.BondStereo.STEREOTRANS, Chem.BondStereo.STEREOE)


class Given(NamedTuple):
    """A molecule without its positions, hydrogens as atoms.

    `z` [n] atomic numbers, `charge` [n] formal; `kinds` [n, n] what pairs are: a bond, two or three bonds apart, cis or trans across a
    double bond; `around` [c, 4] stereocentres and their first three neighbours, `hand` [c] the sign of the triple product of these
    neighbours' directions: 1 or -1. `mol` is RDKit's molecule, aromatic and with stereo.
    """

    z: np.ndarray
    charge: np.ndarray
    kinds: np.ndarray
    around: np.ndarray
    hand: np.ndarray
    mol: Chem.Mol

    @property
    def smiles(self) -> str:
        """Canonical, with stereo."""
        return str(Chem.MolToSmiles(Chem.RemoveHs(self.mol)))


def given(structure: Structure) -> Given:
    """The molecule of a SMILES or an SDF entry; hydrogens are added, stereo is that of the tags or of the 3D positions.

    Raises StructureError: unreadable, in pieces, a bond that is neither single, double, triple nor aromatic.
    """
    if isinstance(structure, Geometry):
        raise StructureError("no bonds: give a SMILES or an SDF entry")
    if isinstance(structure, MolBlock):
        mol = parse_block(structure, remove_hydrogens=False)
        mol = Chem.AddHs(mol, addCoords=bool(mol.GetNumConformers()))
    else:
        mol = Chem.AddHs(parse_smiles(structure))
    if len(Chem.GetMolFrags(mol)) != 1:
        raise StructureError("in pieces: one connected molecule is needed")
    if mol.GetNumAtoms() < 2:
        raise StructureError("one atom alone")
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    around, hand = _centres(mol)
    return Given(
        np.array([a.GetAtomicNum() for a in mol.GetAtoms()]),
        np.array([a.GetFormalCharge() for a in mol.GetAtoms()]),
        _kinds(mol),
        around,
        hand,
        mol,
    )


def positions(molecule: Given) -> np.ndarray:
    """[n, 3] of the entry it came from. Raises StructureError where there are none in 3D."""
    mol = molecule.mol
    if not mol.GetNumConformers() or not mol.GetConformer().Is3D():
        raise StructureError("no 3D coordinates")
    return np.asarray(mol.GetConformer().GetPositions(), np.float64)


def stereo_kept(molecule: Given, pos: np.ndarray) -> bool:
    """Whether a molecule with these bonds and positions [n, 3], read without the tags, is the one that was given.

    RDKit finds the stereo of the positions and compares; what was left open may be anything.
    """
    wanted, found = Chem.RemoveHs(molecule.mol), Chem.Mol(molecule.mol)
    Chem.RemoveStereochemistry(found)
    found.RemoveAllConformers()
    conformer = Chem.Conformer(len(pos))
    conformer.SetPositions(np.ascontiguousarray(pos, np.float64))
    conformer.Set3D(True)
    found.AddConformer(conformer)
    with rdBase.BlockLogs():
        Chem.AssignStereochemistryFrom3D(found)
        return bool(Chem.RemoveHs(found).HasSubstructMatch(wanted, useChirality=True))


def with_positions(molecule: Given, pos: np.ndarray) -> Chem.Mol:
    """RDKit's molecule with one conformer [n, 3]."""
    mol = Chem.Mol(molecule.mol)
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(len(pos))
    conformer.SetPositions(np.ascontiguousarray(pos, np.float64))
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    return mol


def entry(molecule: Given, pos: np.ndarray, name: str, fields: dict[str, str]) -> str:
    """One entry of an SDF file."""
    mol = with_positions(molecule, pos)
    mol.SetProp("_Name", name)
    data = "".join(f">  <{key}>\n{value}\n\n" for key, value in fields.items())
    return f"{Chem.MolToMolBlock(mol)}{data}$$$$\n"


def _centres(mol: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Tagged tetrahedral centres with three neighbours each, and the sign of their triple product."""
    around, hand = [], []
    for atom in mol.GetAtoms():
        sign = _SIGNS.get(atom.GetChiralTag(), 0)
        near = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
        if sign and len(near) in (3, 4):
            around.append([atom.GetIdx(), *near[:3]])
            hand.append(sign)
    return np.array(around, np.int64).reshape(-1, 4), np.array(hand, np.int64)


def _kinds(mol: Chem.Mol) -> np.ndarray:
    """[n, n] kinds of pairs, symmetric."""
    apart = Chem.GetDistanceMatrix(mol)
    kinds = np.where(apart == 2, TWO, np.where(apart == 3, THREE, FAR)).astype(np.int64)
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if bond.GetBondType() not in _BONDS:
            raise StructureError("a bond that is neither single, double, triple nor aromatic")
        kinds[i, j] = kinds[j, i] = _BONDS[bond.GetBondType()]
    for bond in mol.GetBonds():
        if bond.GetStereo() in _CIS + _TRANS:
            _across(kinds, bond)
    return kinds


def _across(kinds: np.ndarray, bond: Chem.Bond) -> None:
    """Mark the four pairs across a double bond of known stereo."""
    mol, (left, right) = bond.GetOwningMol(), tuple(bond.GetStereoAtoms())
    begin, end = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    same = bond.GetStereo() in _CIS
    for a in (n.GetIdx() for n in mol.GetAtomWithIdx(begin).GetNeighbors() if n.GetIdx() != end):
        for b in (n.GetIdx() for n in mol.GetAtomWithIdx(end).GetNeighbors() if n.GetIdx() != begin):
            cis = same == ((a == left) == (b == right))
            if kinds[a, b] == THREE:
                kinds[a, b] = kinds[b, a] = CIS if cis else TRANS
