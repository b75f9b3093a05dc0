"""Conformers to an SDF, a row of the input after the other, each with its reason where it has not all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from heliograph.data.formats import read
from heliograph.data.record import Record
from heliograph.errors import StructureError, UsageError
from heliograph.generate.conformers.sampler import Folder
from heliograph.generate.read import MOST_ATOMS

if TYPE_CHECKING:
    from heliograph.chem.given import Given

AT_ONCE = 64  # rows that are held


@final
@dataclass(frozen=True)
class Row:
    """A row of the input: its entries of an SDF, and why they are fewer than asked ("": they are not)."""

    id: str
    entries: tuple[str, ...]
    reason: str


def check(path: Path) -> None:
    """Raise UsageError where the name's ending is not .sdf."""
    if path.suffix.lower() != ".sdf":
        raise UsageError(f"-o {path}: conformers are written as .sdf. Give a name that ends so.")


def stream(sampler: Folder, path: str, n: int, seed: int = 0, batch_size: int = 64) -> Iterator[Row]:
    """Yield a `Row` for each of the table `path`, in order; the k-th chunk of rows draws from (seed + k)."""
    rows = iter(read(path, target_columns=()))
    for k, chunk in enumerate(iter(lambda: list(islice(rows, AT_ONCE)), [])):
        read_ones = [_molecule(sampler, record) for record in chunk]
        molecules = [found for found in read_ones if not isinstance(found, str)]
        drawn = sampler.conformers(molecules, n, seed + k, batch_size)
        for record, found in zip(chunk, read_ones, strict=True):
            yield Row(record.id, (), found) if isinstance(found, str) else _row(record.id, found, next(drawn), n)


def _molecule(sampler: Folder, record: Record) -> Given | str:
    from heliograph.chem.given import given

    try:
        if record.structure is None:
            raise StructureError(record.reason or "empty structure")
        molecule = given(record.structure)
        if len(molecule.z) > MOST_ATOMS:
            raise StructureError(f"more than {MOST_ATOMS} atoms")
    except StructureError as error:
        return str(error)
    return sampler.missing(molecule) or molecule


def _row(name: str, molecule: Given, drawn: Sequence[np.ndarray], n: int) -> Row:
    from heliograph.chem.given import entry

    entries = tuple(entry(molecule, x, name, {"conformer": str(k), "smiles": molecule.smiles}) for k, x in enumerate(drawn, 1))
    return Row(name, entries, "" if len(drawn) == n else f"{n - len(drawn)} of {n} conformers never had the stereo that was asked for")
