"""Stereochemistry: labels that are a molecule's own, and structures with it taken off.

RDKit keeps a tag per stereocentre (clockwise or not) that means something only beside the order in which the neighbours are listed:
another writing of the same molecule has other tags. The rules of Cahn, Ingold and Prelog rank neighbours by what they are.
"""

from __future__ import annotations

from collections.abc import Iterable

from rdkit import Chem, rdBase
from rdkit.Chem import rdCIPLabeler

from heliograph.chem.parse import parse_smiles

TETRAHEDRAL = (1, 2)  # RDKit's numbers of the tags clockwise and counter-clockwise
_CENTRES = {"R": 1, "S": 2, "r": 3, "s": 4}
_OTHER = 5  # square planar, octahedral ...: that there is such a centre, not which isomer
_BONDS = {"Z": 2, "z": 2, "E": 3, "e": 3, "M": 6, "m": 6, "P": 7, "p": 7}
_RELATIVE = (4, 5, 6, 7)  # RDKit's numbers of bond stereo relative to atoms that it chose: cis, trans, and two of atropisomers
_MAX_STEPS = 1_000_000  # of the labeler, some seconds: in symmetric cages ranks take forever


def centres(mol: Chem.Mol, tags: bytes) -> bytes:
    """A byte per atom: 0 no stereocentre, 1 R, 2 S, 3 r, 4 s (pseudo-asymmetric), 5 any other kind; `tags` are RDKit's.

    A tag on an atom whose neighbours the rules cannot tell apart says nothing, and is 0. Where the rules take too long, all are 5.
    """
    if not any(tags):
        return tags
    found = bytearray(_OTHER if tag and tag not in TETRAHEDRAL else 0 for tag in tags)
    at = [k for k, tag in enumerate(tags) if tag in TETRAHEDRAL]
    labelled = _labelled(mol, [mol.GetAtomWithIdx(k) for k in at]) if at else None
    for k in at:
        found[k] = _OTHER if labelled is None else _CENTRES.get(_label(labelled.GetAtomWithIdx(k)), 0)
    return bytes(found)


def bonds(mol: Chem.Mol, stereo: bytes) -> bytes:
    """A byte per bond: 0 none, 1 either, 2 Z, 3 E, 6 M, 7 P (axes of atropisomers); `stereo` are RDKit's numbers."""
    at = [k for k, kind in enumerate(stereo) if kind in _RELATIVE] if any(stereo) else []
    if not at:
        return stereo
    found = bytearray(stereo)
    labelled = _labelled(mol, [mol.GetBondWithIdx(k) for k in at])
    for k in at:
        found[k] = 1 if labelled is None else _BONDS.get(_label(labelled.GetBondWithIdx(k)), 1)
    return bytes(found)


def _labelled(mol: Chem.Mol, parts: Iterable[Chem.Atom | Chem.Bond]) -> Chem.Mol | None:
    """A copy with labels at these atoms or bonds; None where they can't be found in the steps that it may take."""
    for part in parts:
        part.ClearProp("_CIPCode")  # RDKit's own, of older rules
    copy = Chem.Mol(mol)  # the labeler also changes how bonds say E and Z
    try:
        rdCIPLabeler.AssignCIPLabels(copy, maxRecursiveIterations=_MAX_STEPS)
    except (RuntimeError, ValueError):
        return None
    return copy


def _label(part: Chem.Atom | Chem.Bond) -> str:
    return str(part.GetProp("_CIPCode")) if part.HasProp("_CIPCode") else ""


def without_stereo(smiles: Iterable[str]) -> list[str]:
    """Canonical SMILES without tetrahedral and double bond stereochemistry; isotopes stay. Raises StructureError."""
    flat = []
    with rdBase.BlockLogs():
        for text in smiles:
            mol = parse_smiles(text)
            Chem.RemoveStereochemistry(mol)
            flat.append(str(Chem.MolToSmiles(mol)))
    return flat
