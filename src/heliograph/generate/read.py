"""From a table of molecules in space to arrays; a row that can't be used is counted with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from heliograph.data.formats import as_number, read
from heliograph.errors import DataError, StructureError
from heliograph.generate.data import Molecules
from heliograph.learn.progress import Progress, silent

ASKED = "asked_"  # before the name of a property, in files of samples
MOST_ATOMS = 200  # pairs of atoms grow with the square


def molecules(path: Path, properties: Sequence[str] = (), progress: Progress | None = None) -> tuple[Molecules, dict[str, int]]:
    """Read all usable molecules and count the others by reason. Raises DataError where none can be used or a column is missing."""
    from heliograph.chem.atoms import Atoms, atoms_of

    table, progress = read(path, target_columns=tuple(properties)), progress or silent()
    found: list[Atoms] = []
    values: dict[str, list[float]] = {name: [] for name in properties}
    reasons: Counter[str] = Counter()
    for k, record in enumerate(table):
        progress(f"reading {table.name}", k + 1)
        try:
            if record.structure is None:
                raise StructureError(record.reason or "empty structure")
            one = atoms_of(record.structure)
            if len(one.z) < 2:
                raise StructureError("one atom alone")
            if len(one.z) > MOST_ATOMS:
                raise StructureError(f"more than {MOST_ATOMS} atoms")
        except StructureError as error:
            reasons[str(error).partition(":")[0]] += 1
            continue
        found.append(one)
        for name in properties:
            cell = record.targets.get(name)
            number = as_number(cell) if isinstance(cell, str) else cell
            values[name].append(float("nan") if number is None else float(number))
    if not found:
        counts = ", ".join(f"{n} {why}" for why, n in reasons.most_common()) or "it has no rows"
        raise DataError(f"{table.name} has no molecule to learn generation from: {counts}.")
    return joined(found, {name: np.array(v) for name, v in values.items()}), dict(reasons.most_common())


def joined(found: Sequence[object], properties: dict[str, np.ndarray] | None = None) -> Molecules:
    """`heliograph.chem.atoms.Atoms` of many molecules in one set of arrays."""
    from heliograph.chem.atoms import Atoms

    each = [one for one in found if isinstance(one, Atoms)]
    return Molecules(
        z=np.concatenate([one.z for one in each]).astype(np.int64),
        charge=np.concatenate([one.charge for one in each]).astype(np.int64),
        pos=np.concatenate([one.pos for one in each]),
        offsets=np.concatenate([[0], np.cumsum([len(one.z) for one in each])]),
        bonds=np.concatenate([one.bonds for one in each]),
        order=np.concatenate([one.order for one in each]),
        bond_offsets=np.concatenate([[0], np.cumsum([len(one.bonds) for one in each])]),
        properties=properties or {},
    )


def as_written(path: Path, progress: Progress | None = None) -> tuple[Molecules, dict[str, int]]:
    """Read somebody's samples as they are: an SDF's bonds and charges without any sanitising, an XYZ's bonds by EDM's table of lengths.

    `properties` are what the file says was asked (fields `asked_NAME`), NaN where a row says nothing. Rows that hold no molecule are
    counted by reason. Raises DataError where none does.
    """
    from heliograph.chem.atoms import Atoms, as_drawn
    from heliograph.data.record import Geometry, MolBlock
    from heliograph.generate.metrics import lookup_orders

    table, progress = read(path, target_columns=()), progress or silent()
    found: list[Atoms] = []
    asked: list[dict[str, float]] = []
    reasons: Counter[str] = Counter()
    for k, record in enumerate(table):
        progress(f"reading {table.name}", k + 1)
        structure = record.structure
        try:
            if isinstance(structure, Geometry):
                order = np.tril(lookup_orders(structure.z, structure.pos))
                bonds = np.argwhere(order)
                z = structure.z.astype(np.int64)
                found.append(Atoms(z, np.zeros(len(z), np.int64), structure.pos, bonds, order[bonds[:, 0], bonds[:, 1]]))
            elif isinstance(structure, MolBlock):
                found.append(as_drawn(structure))
            else:
                raise StructureError(record.reason or "no 3D coordinates")
            asked.append(_asked(record.meta))
        except StructureError as error:
            reasons[str(error).partition(":")[0]] += 1
    if not found:
        counts = ", ".join(f"{n} {why}" for why, n in reasons.most_common()) or "it has no rows"
        raise DataError(f"{table.name} has no molecule to score: {counts}.")
    names = sorted({name for row in asked for name in row})
    wanted = {name: np.array([row.get(name, np.nan) for row in asked]) for name in names}
    return joined(found, wanted), dict(reasons.most_common())


def _asked(meta: Mapping[str, str]) -> dict[str, float]:
    numbers = {name.removeprefix(ASKED): as_number(cell) for name, cell in meta.items() if name.startswith(ASKED)}
    return {name: value for name, value in numbers.items() if value is not None}
