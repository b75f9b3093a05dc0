"""Hypergraphs as tables: one row for each member of each hyperedge (`edge,member`), and a table of nodes with their features.

    edge,member          id,x1,x2,area
    p1,alice             alice,0.1,3,physics
    p1,bob               bob,0.4,1,biology

A third table may have features of hyperedges, by their ids. Everything is counted: unknown members, repeated members, single ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from heliograph.errors import DataError, suggest

NODE_IDS, EDGE_IDS = ("id", "node_id", "node", "member"), ("id", "edge_id", "edge", "hyperedge")


@dataclass(frozen=True, eq=False)
class Hypergraph:
    """N nodes, H hyperedges; member m says that node `member[m]` is in hyperedge `edge[m]`, [M] each, no pair twice.

    `node_ids`, `edge_ids`: as they were given. `x` [N, width], `edge_x` [H, width]: numeric columns. `notes`: what was odd, counted.
    """

    edge: np.ndarray
    member: np.ndarray
    node_ids: tuple[str, ...]
    edge_ids: tuple[str, ...]
    x: np.ndarray
    edge_x: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def N(self) -> int:
        return len(self.node_ids)

    @property
    def H(self) -> int:
        return len(self.edge_ids)


def read(members: Path, nodes: Path | None = None, edges: Path | None = None) -> Hypergraph:
    """Read a hypergraph from CSV, TSV or Parquet. Raises DataError where there is no such file, no column, or nothing in it.

    Without a table of nodes they are the members that occur. With one, rows that name another node are left out and counted.
    """
    table = _table(members)
    a, b = _column(table, EDGE_IDS, members, 0), _column(table, NODE_IDS, members, 1)
    sides = [_text(table[name]) for name in (a, b)]
    blank = pc.or_(*(pc.or_(pc.is_null(side), pc.equal(side, "")) for side in sides)).to_numpy(zero_copy_only=False)
    notes = [f"{int(blank.sum()):,} rows have no edge or no member: left out"] if blank.any() else []
    edge_text, node_text = (pc.fill_null(side, "").to_numpy(zero_copy_only=False)[~blank] for side in sides)
    node_ids, x = _features(nodes, NODE_IDS) if nodes else (tuple(dict.fromkeys(node_text)), np.zeros((len(set(node_text)), 0)))
    number = {name: k for k, name in enumerate(node_ids)}
    member = np.array([number.get(name, -1) for name in node_text], dtype=np.int64)
    if (member < 0).any():
        first = node_text[np.flatnonzero(member < 0)[0]]
        notes.append(f"{int((member < 0).sum()):,} rows name a node that is not in {nodes} (the first: {first!r}): left out")
    edge_ids, edge_x = _features(edges, EDGE_IDS) if edges else (tuple(dict.fromkeys(edge_text)), np.zeros((len(set(edge_text)), 0)))
    known = {name: k for k, name in enumerate(edge_ids)}
    edge = np.array([known.get(name, -1) for name in edge_text], dtype=np.int64)
    if (edge < 0).any():
        notes.append(f"{int((edge < 0).sum()):,} rows name a hyperedge that is not in {edges}: left out")
    there = (member >= 0) & (edge >= 0)
    pairs = np.unique(np.stack([edge[there], member[there]], 1), axis=0)
    if len(pairs) < there.sum():
        notes.append(f"{int(there.sum()) - len(pairs):,} members are named twice in one hyperedge: each counts once")
    size = np.bincount(pairs[:, 0], minlength=len(edge_ids))
    for count, what in (((size == 1).sum(), "hyperedges have one member"), ((size == 0).sum(), "hyperedges have no members")):
        if count:
            notes.append(f"{int(count):,} {what}: kept")
    if not node_ids:
        raise DataError(f"{members}: no node is named; there is nothing to learn from")
    return Hypergraph(pairs[:, 0], pairs[:, 1], node_ids, edge_ids, x, edge_x, tuple(notes))


def _table(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give a CSV, TSV or Parquet table")
    try:
        if path.suffix in (".parquet", ".pq"):
            return pyarrow.parquet.read_table(path)
        return pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter="\t" if ".tsv" in path.suffixes else ","))
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no table that can be read: {error}") from None


def _column(table: pa.Table, names: tuple[str, ...], path: Path, place: int) -> str:
    found = next((n for n in names[::-1] if n in table.column_names), None)
    if found is not None:
        return found
    columns = table.column_names
    if len(columns) <= place:
        raise DataError(f"{path} has the columns {columns}; a table of members has two: {suggest(names[-1], columns)}")
    return str(columns[place])


def _text(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().cast(pa.string())


def _features(path: Path, names: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
    """Ids and numeric columns of a table of nodes or hyperedges."""
    table = _table(path)
    name = next((n for n in names if n in table.column_names), table.column_names[0])
    ids = tuple(_text(table[name]).to_pylist())
    if len(set(ids)) < len(ids):
        raise DataError(f"{path}: the column {name!r} names one thing more than once; ids must be unique")
    numbers = [c for c in table.column_names if c != name and (pa.types.is_integer(table[c].type) or pa.types.is_floating(table[c].type))]
    columns = [pc.fill_null(table[c].cast(pa.float64()), float("nan")).to_numpy() for c in numbers]
    return ids, np.stack(columns, 1) if columns else np.zeros((len(ids), 0))
