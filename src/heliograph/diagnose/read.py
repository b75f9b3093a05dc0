"""A graph from a table of edges and, where there is one, a table of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from heliograph.data.formats.columns import ENDS
from heliograph.errors import DataError, suggest
from heliograph.views.curvature import Ints

IDS = ("id", "node_id", "_id", "node")


@dataclass(frozen=True, eq=False)
class Tables:
    """`senders`, `receivers` [E], `n` nodes, `nodes` their table (None: only edges were given); `unknown`: edges of nodes not in it."""

    senders: Ints
    receivers: Ints
    n: int
    nodes: pa.Table | None
    unknown: int
    columns: tuple[str, str]


def table(path: Path) -> pa.Table:
    """Read a CSV, TSV (compressed or not) or Parquet file. Raises DataError."""
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give a CSV, TSV or Parquet table")
    try:
        if path.suffix in (".parquet", ".pq"):
            return pyarrow.parquet.read_table(path)
        tab = ".tsv" in path.suffixes
        return pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter="\t" if tab else ","))
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no table that can be read: {error}") from None


def read(edges: Path, nodes: Path | None = None, columns: Sequence[str] | None = None) -> Tables:
    """Read a graph; ids may be of any type. Without a table of nodes, they are those that edges name. Raises DataError."""
    given = table(edges)
    a, b = _ends(given, edges, columns)
    if nodes is None:
        number, n = _numbered(pa.chunked_array([*given[a].chunks, *given[b].chunks]))
        return Tables(number[: len(given)], number[len(given) :], n, None, 0, (a, b))
    rows = table(nodes)
    name = next((c for c in IDS if c in rows.column_names), rows.column_names[0])
    ids = rows[name].combine_chunks()
    if len(pc.unique(ids)) < len(ids):
        raise DataError(f"{nodes}: the column {name!r} names a node more than once; ids must be unique")
    text = not (pa.types.is_integer(ids.type) and pa.types.is_integer(given[a].type))
    sides = [pc.index_in(_cast(given[side], text), value_set=_cast(ids, text)) for side in (a, b)]
    i, j = (np.asarray(pc.fill_null(side, -1)) for side in sides)
    there = (i >= 0) & (j >= 0)
    return Tables(i[there].astype(np.int64), j[there].astype(np.int64), len(rows), rows, int((~there).sum()), (a, b))


def classes(nodes: pa.Table, column: str) -> Ints:
    """Number the values of a column, [N]; a blank is -1. Raises DataError where there is no such column."""
    if column not in nodes.column_names:
        raise DataError(f"the table of nodes has no column {column!r}: {suggest(column, nodes.column_names)}")
    coded = nodes[column].combine_chunks().dictionary_encode()
    return np.asarray(pc.fill_null(coded.indices, -1)).astype(np.int64)


def _cast(x: pa.ChunkedArray | pa.Array, text: bool) -> pa.ChunkedArray | pa.Array:
    return x.cast(pa.string()) if text else x.cast(pa.int64())


def _ends(given: pa.Table, path: Path, columns: Sequence[str] | None) -> tuple[str, str]:
    names = given.column_names
    if columns:
        for c in columns:
            if c not in names:
                raise DataError(f"{path} has no column {c!r}: {suggest(c, names)}")
        return columns[0], columns[1]
    if len(names) < 2:
        raise DataError(f"{path} has one column, {names}; a table of edges names two nodes a row")
    for a, b in ENDS:
        if a in names and b in names:
            return a, b
    return names[0], names[1]


def _numbered(ids: pa.ChunkedArray) -> tuple[Ints, int]:
    """Numbers 0 .. n - 1 of values; whole numbers keep their order."""
    if not len(ids):
        return np.zeros(0, dtype=np.int64), 0
    if ids.null_count:
        raise DataError(f"{ids.null_count:,} ends of edges are blank; every row must name two nodes")
    if pa.types.is_integer(ids.type):
        values = ids.to_numpy().astype(np.int64)
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, -1)
        if high - low < 8 * len(values) + 1024:
            there = np.zeros(high - low + 1, dtype=bool)
            there[values - low] = True
            return (there.cumsum() - 1)[values - low], int(there.sum())
    coded = ids.dictionary_encode().combine_chunks()
    return np.asarray(coded.indices).astype(np.int64), len(coded.dictionary)


def names_of(tables: Tables, edges: Path, nodes: Path | None) -> list[str]:
    """The ids of nodes 0 .. n - 1 as text, as `read` has numbered them."""
    if nodes is not None and tables.nodes is not None:
        name = next((c for c in IDS if c in tables.nodes.column_names), tables.nodes.column_names[0])
        return [str(v) for v in tables.nodes[name].to_pylist()]
    given = table(edges)
    names = [""] * tables.n
    for side, number in zip(tables.columns, (tables.senders, tables.receivers), strict=True):
        for k, value in zip(number.tolist(), given[side].to_pylist(), strict=True):
            names[k] = str(value)
    return names
