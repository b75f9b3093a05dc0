"""Molecules as plain atoms, charges, bonds and positions, and back, with no hydrogen that is not there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rdkit import Chem, rdBase

from heliograph.chem.molecule import bonded
from heliograph.chem.parse import parse_block
from heliograph.data.record import Geometry, MolBlock, Structure
from heliograph.errors import StructureError

ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


class Atoms(NamedTuple):
    """`z` [n], `charge` [n] formal, `pos` [n, 3] angstrom, `bonds` [m, 2] and their Kekule `order` [m]."""

    z: np.ndarray
    charge: np.ndarray
    pos: np.ndarray
    bonds: np.ndarray
    order: np.ndarray


class Verdict(NamedTuple):
    """`smiles` canonical without hydrogens, "" where it is not valid and `reason` says why."""

    smiles: str
    connected: bool
    radicals: int
    reason: str


def atoms_of(structure: Structure) -> Atoms:
    """Atoms with all their hydrogens and positions. Raises StructureError where hydrogens or positions are missing."""
    if isinstance(structure, str):
        raise StructureError("no 3D coordinates: give an SDF or XYZ file")
    mol = bonded(structure) if isinstance(structure, Geometry) else parse_block(structure, remove_hydrogens=False)
    if not mol.GetNumConformers() or not mol.GetConformer().Is3D():
        raise StructureError("no 3D coordinates")
    if any(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
        raise StructureError("hydrogens without coordinates")
    mol = Chem.Mol(mol)
    try:
        with rdBase.BlockLogs():
            Chem.Kekulize(mol, clearAromaticFlags=True)
    except (ValueError, RuntimeError) as error:
        raise StructureError("no Kekule structure") from error
    return _plain(mol)


def _plain(mol: Chem.Mol) -> Atoms:
    """A Kekule molecule's atoms. Raises StructureError for bonds that are neither single, double nor triple."""
    pairs = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()]
    orders = [round(b.GetBondTypeAsDouble()) for b in mol.GetBonds()]
    if any(order not in ORDERS for order in orders):
        raise StructureError("a bond that is neither single, double nor triple")
    return Atoms(
        np.array([a.GetAtomicNum() for a in mol.GetAtoms()]),
        np.array([a.GetFormalCharge() for a in mol.GetAtoms()]),
        np.asarray(mol.GetConformer().GetPositions(), np.float64),
        np.array(pairs, np.int64).reshape(-1, 2),
        np.array(orders, np.int64),
    )


def mol_of(atoms: Atoms) -> Chem.Mol:
    """The RDKit molecule as it is: no implicit hydrogens, nothing sanitised."""
    mol = Chem.RWMol()
    for z, charge in zip(atoms.z.tolist(), atoms.charge.tolist(), strict=True):
        atom = Chem.Atom(int(z))
        atom.SetFormalCharge(int(charge))
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for (i, j), order in zip(atoms.bonds.tolist(), atoms.order.tolist(), strict=True):
        mol.AddBond(int(i), int(j), ORDERS[int(order)])
    conformer = Chem.Conformer(len(atoms.z))
    conformer.SetPositions(np.ascontiguousarray(atoms.pos, np.float64))
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    return mol.GetMol()


def judge(atoms: Atoms) -> Verdict:
    """Whether RDKit accepts the molecule as drawn: valences, aromaticity, nothing added; whole, and without radicals or not."""
    mol = mol_of(atoms)
    connected = len(Chem.GetMolFrags(mol)) == 1
    try:
        with rdBase.BlockLogs():
            Chem.SanitizeMol(mol)
            radicals = sum(a.GetNumRadicalElectrons() for a in mol.GetAtoms())
            Chem.AssignStereochemistryFrom3D(mol)
            smiles = str(Chem.MolToSmiles(Chem.RemoveHs(mol)))
    except (ValueError, RuntimeError) as error:
        return Verdict("", connected, 0, str(error).strip().splitlines()[0][:120] or type(error).__name__)
    return Verdict(smiles, connected, radicals, "")


def sdf_entry(atoms: Atoms, name: str, fields: dict[str, str]) -> str:
    """One entry of an SDF file."""
    mol = mol_of(atoms)
    mol.SetProp("_Name", name)
    data = "".join(f">  <{key}>\n{value}\n\n" for key, value in fields.items())
    return f"{Chem.MolToMolBlock(mol, kekulize=False)}{data}$$$$\n"


def as_drawn(block: MolBlock) -> Atoms:
    """An SDF entry as it is written, nothing sanitised or added; aromatic bonds are kekulised. Raises StructureError."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock(block.text, sanitize=False, removeHs=False)
        if mol is None or mol.GetNumAtoms() == 0:
            raise StructureError("not a readable MDL block")
        try:
            Chem.Kekulize(mol, clearAromaticFlags=True)
        except (ValueError, RuntimeError) as error:
            raise StructureError("no Kekule structure") from error
    return _plain(mol)
