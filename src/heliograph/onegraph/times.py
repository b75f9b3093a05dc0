"""Times of edges: a column of numbers or dates, edges in their order, and parts of which none knows what comes after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliograph.data.columns import numbers
from heliograph.data.formats.graph_tables import EdgeTable, as_text
from heliograph.errors import DataError, suggest


def read(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Times as float64 [n]: numbers as they are, dates in seconds since 1970; NaN where a cell is neither."""
    if pa.types.is_temporal(column.type):
        return np.asarray(column.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()).fill_null(np.nan)) / 1e6
    text = as_text(column)
    try:  # all of them at once
        return read(pc.cast(text, pa.timestamp("us"))) if pa.types.is_string(column.type) else numbers(column)
    except pa.ArrowInvalid:
        found = numbers(column)
    strange = np.flatnonzero(np.isnan(found))
    found[strange] = [_date(cell) for cell in text.take(pa.array(strange)).to_pylist()]
    return found


def _date(cell: str) -> float:
    try:
        return float(pc.cast(pa.scalar(cell.strip()), pa.timestamp("us")).cast(pa.int64()).as_py()) / 1e6
    except pa.ArrowInvalid:
        return float("nan")


def in_order(edges: EdgeTable, column: str) -> EdgeTable:
    """The edges by their time; those without one are left out and counted. Raises DataError where there is no such column, or no time."""
    if column not in edges.cells.column_names:
        raise DataError(f"{edges.name} has no column {column!r} of times; {suggest(column, edges.cells.column_names)}")
    times = read(edges.cells[column])
    order = np.argsort(times, kind="stable")[: int(np.isfinite(times).sum())]
    if not len(order):
        raise DataError(f"{edges.name}: no cell of {column!r} is a number or a date like 2024-05-01 or 2024-05-01 12:30:00")
    without = {"its time is neither a number nor a date": len(times) - len(order)} if len(order) < len(times) else {}
    return replace(
        edges, ends=edges.ends[order], cells=edges.cells.take(pa.array(order)), rows=edges.rows[order],
        reasons=dict(Counter(edges.reasons) + Counter(without)),
    )  # fmt: skip


def parts(times: np.ndarray, sizes: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """The first to train, the next to validate, the last to test; edges of one time are in one part. `times` [M] ascending."""
    ends = np.round(np.cumsum(sizes) / sum(sizes) * len(times)).astype(int)[:2]
    a, b = (int(np.searchsorted(times, times[min(end, len(times) - 1)])) for end in ends)
    rows = np.arange(len(times))
    found = {"train": rows[:a], "val": rows[a:b], "test": rows[b:]}
    for part, chosen in found.items():
        if not len(chosen):
            raise DataError(f"too few different times to divide edges by: the part {part} has none; give a splits column instead")
    return found
