"""Structures with their stereochemistry taken off: what is left is the graph of atoms and bonds."""

from __future__ import annotations

from collections.abc import Iterable

from rdkit import Chem, rdBase

from heliograph.chem.parse import parse_smiles


def without_stereo(smiles: Iterable[str]) -> list[str]:
    """Canonical SMILES without tetrahedral and double bond stereochemistry; isotopes stay. Raises StructureError."""
    flat = []
    with rdBase.BlockLogs():
        for text in smiles:
            mol = parse_smiles(text)
            Chem.RemoveStereochemistry(mol)
            flat.append(str(Chem.MolToSmiles(mol)))
    return flat
