"""SMILES or a MDL block to an RDKit molecule, or a short reason why not."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from rdkit import Chem, rdBase

from heliograph.chem import notation
from heliograph.data.record import MolBlock
from heliograph.errors import StructureError

MAX_ATOMS = 5000  # beyond this, canonical SMILES alone takes most of a second
_MAX_TEXT = 20 * MAX_ATOMS


def parse_smiles(text: str) -> Chem.Mol:
    """A sanitised molecule with at least one atom, hydrogens implicit. Raises StructureError."""
    text = text.strip()
    if not text:
        raise StructureError("empty structure")
    if len(text) > _MAX_TEXT:
        raise StructureError(f"too many atoms: {len(text)} characters, limit {_MAX_TEXT}")
    if "\0" in text:
        raise StructureError("not valid SMILES: NUL character")
    if what := notation.foreign(text):
        raise StructureError(f"not SMILES: {what}")
    try:
        with rdBase.BlockLogs():
            mol = Chem.MolFromSmiles(text)
    except UnicodeEncodeError:
        raise StructureError("not valid SMILES: bytes that are not UTF-8") from None
    except (RuntimeError, ValueError) as error:
        raise StructureError(f"not valid SMILES: {_short(str(error))}") from None
    if mol is None:
        if what := notation.guess(text):
            raise StructureError(f"not valid SMILES: {what}")
        raise StructureError(f"not valid SMILES: {_why(lambda: Chem.MolFromSmiles(text))}")
    if "|" in text:
        _refuse_mixtures(mol)
    return _checked(mol)


def _refuse_mixtures(mol: Chem.Mol) -> None:
    """Stereo groups of CXSMILES and V3000 blocks say "this isomer or that", "both": no one molecule."""
    if any(group.GetGroupType() != Chem.StereoGroupType.STEREO_ABSOLUTE for group in mol.GetStereoGroups()):
        raise StructureError("not one molecule: its stereo groups (or, and) stand for several isomers; write the one that is meant")


def bonds_in(text: str) -> int | None:
    """Count the bonds that a text has as SMILES; None where it is no SMILES. `CO` has one, and may be a name all the same."""
    if len(text) > 1000:
        return None
    try:
        return int(parse_smiles(text).GetNumBonds())
    except StructureError:
        return None


def parse_block(block: MolBlock, remove_hydrogens: bool, stereo_first: bool = True) -> Chem.Mol:
    """A sanitised molecule from MDL text, with its conformer if it has coordinates. Raises StructureError.

    `stereo_first`: a hydrogen that says which isomer a double bond is stays an atom, as it does in a SMILES.
    """
    text = block.text
    if not text.strip():
        raise StructureError("empty structure")

    def read() -> Chem.Mol | None:
        return Chem.MolFromMolBlock(text, removeHs=remove_hydrogens and not stereo_first)

    try:
        with rdBase.BlockLogs():
            mol = read()
            if mol is not None and mol.GetNumConformers() and mol.GetConformer().Is3D():
                Chem.AssignStereochemistryFrom3D(mol)
            if mol is not None and remove_hydrogens and stereo_first:
                mol = Chem.RemoveHs(mol)
    except UnicodeEncodeError:
        raise StructureError("not a valid MDL block: bytes that are not UTF-8") from None
    except (RuntimeError, ValueError) as error:
        raise StructureError(f"not a valid MDL block: {_short(str(error))}") from None
    if mol is None:
        raise StructureError(f"not a valid MDL block: {_why(read)}")
    _refuse_mixtures(mol)
    return _checked(mol)


def _checked(mol: Chem.Mol) -> Chem.Mol:
    n = mol.GetNumAtoms()
    if n == 0:
        raise StructureError("no atoms")
    if n > MAX_ATOMS:
        raise StructureError(f"too many atoms: {n}, limit {MAX_ATOMS}")
    return mol


class _Collect(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _rdkit_log() -> Iterator[list[str]]:
    """RDKit's messages within the block, as lines."""
    logger, handler = logging.getLogger("rdkit"), _Collect()
    handlers, propagate, level = logger.handlers[:], logger.propagate, logger.level
    rdBase.LogToPythonLogger()
    logger.handlers[:] = [handler]  # RDKit puts one of its own there, to stderr
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        logger.handlers[:] = handlers
        logger.propagate = propagate
        logger.setLevel(level)
        rdBase.LogToCppStreams()


def _why(read: object) -> str:
    """Read again with RDKit's log caught: the first line that says something, shortened."""
    assert callable(read)
    with _rdkit_log() as lines:
        read()
    position = next((m[1] for line in lines if (m := re.search(r"around position (\d+)", line))), "")
    return _short(lines[0] if lines else "unreadable") + (f" at position {position}" if position else "")


@lru_cache(maxsize=1)
def _noise() -> re.Pattern[str]:
    return re.compile(r"^\[[\d:]+\]\s*|SMILES Parse Error:\s*|\s*while parsing:.*$|\s*for input:.*$|\s*Unkekulized atoms:.*$", re.DOTALL)


def _short(line: str) -> str:
    """RDKit's line without its clock, its prefix and the echo of the input; 120 characters at most."""
    text = " ".join(_noise().sub("", line.strip()).split()) or "unreadable"
    text = text[0].lower() + text[1:] if text[:2].istitle() else text
    return text[:120].rstrip(".")


def canonical_ranks(text: str) -> list[int]:
    """Return each atom's place in RDKit's canonical order, ties broken: the same for every writing of a SMILES, up to symmetry.

    Raises StructureError where the SMILES can't be read.
    """
    return [int(rank) for rank in Chem.CanonicalRankAtoms(parse_smiles(text), breakTies=True)]


def canonical(text: str) -> str:
    """Canonical SMILES of a SMILES, stereo and isotopes kept. Raises StructureError."""
    mol = parse_smiles(text)
    with rdBase.BlockLogs():
        return str(Chem.MolToSmiles(mol))
