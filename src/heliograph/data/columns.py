"""From columns of a table to features: numbers are standardised, 0/1 stays, categories become one-hot vectors.

What was fitted on the training table is kept as plain data, so that another table gets the same features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliograph.data.formats.graph_tables import as_text, missing
from heliograph.data.formats.table import as_number
from heliograph.errors import DataError, suggest

MAX_CATEGORIES = 64
TOLERATED = 0.05  # share of cells without a number that a column of numbers may have; they count as missing
ROWS = 100_000  # encoded at a time

Kind = Literal["number", "flag", "category", "vector"]


@dataclass(frozen=True)
class Column:
    """One column as features. number: (x - mean) / std; flag: 0 or 1; category: one-hot; vector: a list of `width` numbers.

    What is missing is zero; `gaps` adds a feature that says so.
    """

    name: str
    kind: Kind
    mean: float = 0.0
    std: float = 1.0
    categories: tuple[str, ...] = ()
    gaps: bool = False
    width: int = 1

    @property
    def features(self) -> int:
        """How many features the column becomes."""
        return (len(self.categories) if self.kind == "category" else self.width) + self.gaps

    def encode(self, column: pa.ChunkedArray) -> np.ndarray:
        """[n] cells -> [n, features] float32."""
        if self.kind == "vector":
            return _vectors(column, self.width, self.name)
        if self.kind == "category":
            place = pc.index_in(as_text(column), value_set=pa.array(self.categories, pa.string()))
            code = np.asarray(pc.fill_null(place, -1))
            out = np.zeros((len(code), self.features), np.float32)
            there = code >= 0
            out[np.flatnonzero(there), code[there]] = 1.0
            if self.gaps:
                out[missing(as_text(column)), -1] = 1.0
            return out
        values = numbers(column)
        known = np.isfinite(values)
        scaled = np.where(known, (values - self.mean) / self.std, 0.0).astype(np.float32)
        return np.stack([scaled, (~known).astype(np.float32)], axis=1) if self.gaps else scaled[:, None]


@dataclass(frozen=True)
class Encoder:
    """The columns that are features, in order. `Encoder.fit(table, names)` looks at them, `encode` gives [n, width] float32."""

    columns: tuple[Column, ...] = ()

    @property
    def width(self) -> int:
        """Features of a row."""
        return sum(c.features for c in self.columns)

    @classmethod
    def fit(cls, cells: pa.Table, names: Sequence[str]) -> tuple[Encoder, list[str]]:
        """Decide how each of the named columns becomes features; also sentences on those that do not."""
        columns, notes = [], []
        for name in names:
            column, why = _fit(name, cells[name])
            if column is None:
                notes.append(f"The column {name!r} is not used: {why}.")
            else:
                columns.append(column)
        if len(notes) > 6:
            notes = [*notes[:5], f"{len(notes) - 5} more columns are not used for such reasons."]
        return cls(tuple(columns)), notes

    def encode(self, cells: pa.Table) -> np.ndarray:
        """[n, width] float32. Raises DataError where a column is not there."""
        for column in self.columns:
            if column.name not in cells.column_names:
                raise DataError(
                    f"the table has no column {column.name!r}, a feature of the model; {suggest(column.name, cells.column_names)}"
                )
        out = np.zeros((len(cells), self.width), np.float32)
        for start in range(0, len(cells), ROWS):
            piece, at = cells.slice(start, ROWS), 0
            for column in self.columns:
                out[start : start + len(piece), at : at + column.features] = column.encode(piece[column.name])
                at += column.features
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"columns": [asdict(c) | {"categories": list(c.categories)} for c in self.columns]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Encoder:
        return cls(tuple(Column(**c | {"categories": tuple(c["categories"])}) for c in data["columns"]))


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Cells as float64 [n], NaN where there is no finite number."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = column.cast(pa.float64()).to_numpy().copy()
    else:
        text = as_text(column)
        try:
            blank = missing(text)
            values = np.asarray(pc.if_else(pa.array(blank), None, text).cast(pa.float64()).to_numpy(zero_copy_only=False)).copy()
        except pa.ArrowInvalid:
            found = [as_number(cell) for cell in text.to_pylist()]
            values = np.array([np.nan if x is None else x for x in found], np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def _fit(name: str, column: pa.ChunkedArray) -> tuple[Column | None, str]:
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type) or pa.types.is_large_list(column.type):
        lengths = pc.unique(pc.list_value_length(column).combine_chunks()).to_pylist()
        if len(lengths) != 1 or not lengths[0]:
            return None, "its lists are not of one length"
        return Column(name, "vector", width=int(lengths[0])), ""
    values = numbers(column)
    text = None if pa.types.is_floating(column.type) or pa.types.is_integer(column.type) else as_text(column)
    there = np.isfinite(values)
    filled = len(column) - column.null_count if text is None else int((~missing(text)).sum())
    gaps = filled < len(column)
    if not filled:
        return None, "it is blank"
    if there.sum() >= (1 - TOLERATED) * filled:
        known = values[there]
        if not gaps and known.min() == known.max():
            return None, "it has the same value everywhere"
        if np.isin(known, (0.0, 1.0)).all():
            return Column(name, "flag", gaps=gaps), ""
        std = float(known.std())
        if not std > 1e-12 * max(1.0, abs(float(known.mean()))):
            return None, "it has the same value everywhere"
        return Column(name, "number", float(known.mean()), std, gaps=gaps or not there.all()), ""
    assert text is not None
    counts = pc.value_counts(text.filter(pa.array(~missing(text))))
    found = {c["values"]: c["counts"] for c in counts.to_pylist()}
    if len(found) > MAX_CATEGORIES or len(found) > max(2, filled // 2):
        return None, f"it is text with {len(found):,} different values"
    if len(found) == 1:
        return None, "it has the same value everywhere"
    return Column(name, "category", categories=tuple(sorted(found)), gaps=gaps), ""


def _vectors(column: pa.ChunkedArray, width: int, name: str) -> np.ndarray:
    flat = column.combine_chunks()
    values = np.asarray(flat.flatten(), np.float32)
    if len(values) != width * len(column):
        raise DataError(f"the column {name!r} holds lists of {width} numbers for the model; here some are missing or of another length")
    return values.reshape(len(column), width)
