"""Bemis-Murcko scaffolds (G. W. Bemis, M. A. Murcko, J. Med. Chem. 1996, 39, 2887)."""

from __future__ import annotations

from rdkit import Chem, rdBase

from heliograph.chem.parse import parse_smiles


def scaffold(smiles: str) -> str:
    """Canonical SMILES of the rings and the linkers between them, with chirality; "" for a molecule without rings.

    Raises StructureError where the SMILES can't be read.
    """
    return scaffold_of(parse_smiles(smiles))


def scaffold_of(mol: Chem.Mol) -> str:
    """The same for a molecule that is parsed already; explicit hydrogens are no matter."""
    if mol.GetRingInfo().NumRings() == 0:
        return ""
    with rdBase.BlockLogs():
        return str(Chem.MolToSmiles(Chem.MurckoDecompose(mol)))
