"""A graph of several types: all nodes in one numbering, all types of edges as relations, so that one network takes them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from heliograph.data.columns import Encoder
from heliograph.data.formats.graph_tables import EdgeTable, Ids, NodeTable, read_between, read_nodes
from heliograph.data.formats.schema import EdgeType, NodeType, Schema
from heliograph.data.graph_store import GraphStore
from heliograph.errors import DataError, UsageError, suggest
from heliograph.onegraph.config import GraphDataConfig
from heliograph.onegraph.data import Encoders, Kind, OneGraph, clean

MAX_NUMBERS = 2**30  # features of all nodes together


def load_typed(config: GraphDataConfig, schema: Schema, encoders: Encoders | None = None) -> OneGraph:
    """Read all tables of a schema. `encoders`: a trained model's. Raises DataError, UsageError."""
    if encoders is not None:
        _same_types(schema, encoders)
    target, columns = encoders.target if encoders else _target(config, schema), _plain(config)
    tables = {name: read_nodes(t.table, t.id_column) for name, t in schema.nodes.items() if t.table is not None}
    if target and target not in tables:
        raise DataError(f"{schema.name}: nodes of the type {target} have no table, so nothing of theirs can be predicted")
    sides = {name: Ids(_usable_ids(tables[name]) if name in tables else None) for name in schema.nodes}
    names = list(encoders.relations) if encoders else list(schema.edges)
    edges = {name: _between(schema, schema.edges[name], sides) for name in names}
    twins = {} if encoders else _twins(schema, edges)
    names = [name for name in names if name not in twins]
    edges = {name: edges[name] for name in names}
    counts = [len(sides[name].known) for name in schema.nodes]
    begins = dict(zip(schema.nodes, np.cumsum([0, *counts]).tolist(), strict=False))
    first = {name: np.array([begins[e.source], begins[e.target]]) for name, e in schema.edges.items()}
    ends = np.concatenate([t.ends + first[name] for name, t in edges.items()])
    relation = np.repeat(np.arange(len(names)), [len(t.ends) for t in edges.values()])
    keep, dropped, _ = clean(ends, True, relation)
    found = encoders or _fitted(schema, tables, names, target, columns)
    N = sum(counts)
    if N * found.width > MAX_NUMBERS:
        raise DataError(
            f"{N:,} nodes with {found.width:,} features each, of all types together, are too many: name the columns that are wanted "
            "with features = [...] in the schema"
        )
    rows = np.concatenate([t.rows for t in edges.values()])[keep]
    reasons = {f"edges.{name}": dict(t.reasons) for name, t in edges.items()}
    reasons |= {f"nodes.{name}": dict(Counter(t.reasons.values())) for name, t in tables.items()}
    if dropped:
        reasons["edges"] = dropped
    store = GraphStore.build(
        ends[keep].astype(np.int32), N, directed=True, x=_features(found, tables, counts), relation=relation[keep], relations=len(names),
        origin=config.level == "link", ids=pa.concat_arrays([s.known for s in sides.values()]),
    )  # fmt: skip
    learned = np.repeat([k.name in found.learned for k in found.kinds], counts)
    store = store.with_columns(
        kind=np.repeat(np.arange(len(counts), dtype=np.uint8), counts), known=np.where(learned, np.cumsum(learned) - 1, -1)
    )
    node_rows = np.full(N, -1)
    if target:
        node_rows[begins[target] : begins[target] + len(sides[target].known)] = tables[target].usable
    read = {f"edges.{name}": t.read for name, t in edges.items()} | {f"nodes.{name}": len(t) for name, t in tables.items()}
    return OneGraph(
        store, found, store.ids, ends[keep], rows, pa.table({}), relation[keep], tables.get(target), node_rows, schema.name, read, reasons,
        [*_notes(schema, found, counts, edges), *twins.values()], end_columns=("head", "tail"),
        begins=tuple(np.cumsum([0, *counts]).tolist()),
    )  # fmt: skip


def _target(config: GraphDataConfig, schema: Schema) -> str:
    """The type whose columns are predicted."""
    if config.level == "link":
        return ""
    if config.level == "edge":
        raise UsageError("labels of edges are learned on a graph of one type: give its two tables instead of a schema")
    types = {c.partition(".")[0] if "." in c else "" for c in config.target_columns}
    if len(types) != 1 or "" in types:
        raise UsageError(f"with several types say whose column it is: --target-columns TYPE.COLUMN; types: {', '.join(schema.nodes)}")
    target = types.pop()
    if target not in schema.nodes:
        raise UsageError(f"--target-columns {config.target_columns[0]}: {suggest(target, schema.nodes)}")
    return target


def _plain(config: GraphDataConfig) -> set[str]:
    """Columns of the target's table that are no features."""
    return {c.rpartition(".")[2] for c in (*config.target_columns, *([config.splits_column] if config.splits_column else []))}


def _usable_ids(table: NodeTable) -> pa.Array:
    return table.ids.take(pa.array(table.usable))


def _between(schema: Schema, edges: EdgeType, sides: dict[str, Ids]) -> EdgeTable:
    where = (f"nodes.{edges.source}", f"nodes.{edges.target}")
    return read_between(edges.table, (sides[edges.source], sides[edges.target]), edges.columns, known_as=where)


def _twins(schema: Schema, edges: dict[str, EdgeTable]) -> dict[str, str]:
    """Types of edges that are another type the other way, with a sentence on each: what is asked of one would stand in the other."""
    names, found = list(edges), {}
    for k, a in enumerate(names):
        for b in names[k + 1 :]:
            one, two = schema.edges[a], schema.edges[b]
            if b in found or (one.source, one.target) != (two.target, two.source) or len(edges[a].ends) != len(edges[b].ends):
                continue
            forth, back = edges[a].ends.astype(np.int64), edges[b].ends[:, ::-1].astype(np.int64)
            n = int(max(forth.max(), back.max())) + 1
            forth, back = (np.sort(e[:, 0] * n + e[:, 1]) for e in (forth, back))
            if np.array_equal(forth, back):
                found[b] = f"{b} is {a} the other way, and left out: {a} has an inverse anyway."
    return found


def _fitted(schema: Schema, tables: dict[str, NodeTable], relations: list[str], target: str, aside: set[str]) -> Encoders:
    kinds = []
    for name, spec in schema.nodes.items():
        encoder = _encoder(spec, tables[name], aside if name == target else set()) if name in tables else Encoder()
        kinds.append(Kind(name, encoder))
    place = {name: k for k, name in enumerate(schema.nodes)}
    between = tuple((place[schema.edges[r].source], place[schema.edges[r].target]) for r in relations)
    return Encoders(directed=True, relations=tuple(relations), kinds=tuple(kinds), between=between, target=target)


def _encoder(spec: NodeType, table: NodeTable, aside: set[str]) -> Encoder:
    names = [c for c in table.cells.column_names if c != table.id_column and c not in aside]
    if spec.features is not None:
        for column in spec.features:
            if column not in table.cells.column_names:
                raise DataError(f"{table.name} has no column {column!r}; {suggest(column, table.cells.column_names)}")
        names = list(spec.features)
    return Encoder.fit(table.cells.take(pa.array(table.usable)), names)[0]


def _features(encoders: Encoders, tables: dict[str, NodeTable], counts: list[int]) -> np.ndarray:
    """[N, width] float32: which type a node is of, then each type's features, zero for nodes of others."""
    x, row, column = np.zeros((sum(counts), encoders.width), np.float32), 0, len(counts)
    for k, (kind, n) in enumerate(zip(encoders.kinds, counts, strict=True)):
        x[row : row + n, k] = 1.0
        if kind.encoder.width:
            table = tables[kind.name]
            x[row : row + n, column : column + kind.encoder.width] = kind.encoder.encode(table.cells.take(pa.array(table.usable)))
        row, column = row + n, column + kind.encoder.width
    return x


def _same_types(schema: Schema, encoders: Encoders) -> None:
    for what, have, want in (
        ("nodes", list(schema.nodes), [k.name for k in encoders.kinds]), ("edges", list(schema.edges), list(encoders.relations)),
    ):  # fmt: skip
        if (have != want) if what == "nodes" else not set(want) <= set(have):
            raise DataError(f"{schema.name} has the types of {what} {', '.join(have)}; the model was trained on {', '.join(want)}")


def _notes(schema: Schema, encoders: Encoders, counts: list[int], edges: dict[str, EdgeTable]) -> list[str]:
    nodes = ", ".join(f"{n:,} {k.name} ({k.encoder.width or 'no'} features)" for k, n in zip(encoders.kinds, counts, strict=True))
    kinds = ", ".join(f"{len(t.ends):,} {schema.edges[n].source} {n} {schema.edges[n].target}" for n, t in edges.items())
    ignored = sorted({c for t in edges.values() for c in t.cells.column_names})
    return [
        f"Nodes: {nodes}.",
        f"Edges: {kinds}. Each type of edges is a relation, and has an inverse.",
        *([f"Further columns of edges are not used with several types: {', '.join(ignored[:6])}."] if ignored else []),
    ]
