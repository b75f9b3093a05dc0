"""Labels of bonds: a table of molecules whose target cells are lists, a value for each bond in the order of the SMILES."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from heliograph.chem.featurizer import preset
from heliograph.data.formats.graph_tables import Given, as_text, read_cells
from heliograph.errors import DataError, StructureError, suggest

FEATURES = "table10_1"


@dataclass(frozen=True, eq=False)
class Molecules:
    """A `table` of molecules as tables of atoms (called ROW:ATOM) and bonds. `molecule` [M]: the row that each bond is of.

    `reasons`: row -> why it can't be used.
    """

    table: pa.Table
    atoms: pa.Table
    bonds: pa.Table
    molecule: np.ndarray
    reasons: dict[int, str]


def read_molecules(given: Given, smiles_column: str, targets: Sequence[str] = (), others: Sequence[str] = ()) -> Molecules:
    """Read the table. A cell of `targets` lists a value for each bond ("1;0;0", "[1, 0, 0]", or a list in Parquet), or is blank.

    `others`: columns of molecules that each of their bonds gets. Raises DataError where a column is missing, or nothing can be used.
    """
    from heliograph.chem import featurize

    table = read_cells(given)
    for column in (smiles_column, *targets, *others):
        if column not in table.column_names:
            raise DataError(f"the table of molecules has no column {column!r}; {suggest(column, table.column_names)}")
    features, lists = preset(FEATURES), {c: table[c].to_pylist() for c in targets}
    copied = {c: as_text(table[c]).to_pylist() for c in others}
    ids: list[str] = []
    atoms, bonds, molecule, reasons = [], [], [], {}
    ends: list[tuple[str, str]] = []
    labels: dict[str, list[str]] = {c: [] for c in (*targets, *others)}
    for row, smiles in enumerate(as_text(table[smiles_column]).to_pylist()):
        try:
            one = featurize(smiles, features, scaffold=False)
            found = {c: values(lists[c][row], len(one.bonds), c) for c in targets}
        except (StructureError, ValueError) as error:
            reasons[row] = str(error)
            continue
        ids += [f"{row}:{k}" for k in range(len(one.z))]
        ends += [(f"{row}:{a}", f"{row}:{b}") for a, b in one.bonds.tolist()]
        atoms.append(features.encode_atoms(one.x))
        bonds.append(features.encode_bonds(one.e))
        molecule += [row] * len(one.bonds)
        for c in targets:
            labels[c] += found[c]
        for c in others:
            labels[c] += [copied[c][row]] * len(one.bonds)
    if not ends:
        raise DataError(f"no molecule of {len(table):,} rows can be used, or none has bonds: {next(iter(reasons.values()), 'no rows')}")
    made = pa.table({"source": [a for a, _ in ends], "target": [b for _, b in ends], "bond": _lists(bonds), **labels})
    return Molecules(table, pa.table({"id": ids, "atom": _lists(atoms)}), made, np.array(molecule), reasons)


def values(cell: Any, n: int, name: str) -> list[str]:
    """The n values that a cell lists, as text. Raises ValueError where they are not as many."""
    if isinstance(cell, list | np.ndarray):
        found = ["" if v is None else str(v) for v in cell]
    else:
        text = "" if cell is None else str(cell).strip().strip("[]()").strip()
        found = re.split(r"\s*[;,]\s*|\s+", text) if text else []
    if not found:
        return [""] * n
    if len(found) != n:
        raise ValueError(f"{name} lists {len(found)} values for {n} bonds")
    return found


def _lists(parts: list[np.ndarray]) -> pa.Array:
    x = np.concatenate(parts)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(x, np.float32).ravel()), x.shape[1])
