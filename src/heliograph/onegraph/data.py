"""From the tables of one graph to a store, labels and parts; what was left out is counted with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliograph.data.columns import Encoder
from heliograph.data.formats.graph_files import is_graph_file, read_graph_file
from heliograph.data.formats.graph_tables import EdgeTable, NodeTable, as_text, read_edges, read_nodes
from heliograph.data.formats.schema import Schema, is_schema, read_schema
from heliograph.data.graph_store import GraphStore
from heliograph.errors import DataError, suggest
from heliograph.onegraph import times
from heliograph.onegraph.arrays import mapped, opened
from heliograph.onegraph.bonds import Molecules, read_molecules
from heliograph.onegraph.config import GraphDataConfig

Tables = tuple[Any, Any]  # nodes (None: none) and edges: files, DataFrames or Arrow tables


@dataclass(frozen=True)
class Kind:
    """A type of nodes, and what turns its columns into features; without any, its nodes have a learned vector each."""

    name: str
    encoder: Encoder = field(default_factory=Encoder)


@dataclass(frozen=True)
class Encoders:
    """What turns columns into features, and how edges are read: kept in the model file.

    Of a graph of several types: its `kinds` of nodes, the numbers of the kinds at both ends of each relation (`between`), and the
    kind that is answered for (`target`).
    """

    nodes: Encoder = field(default_factory=Encoder)
    edges: Encoder = field(default_factory=Encoder)
    directed: bool = False
    bipartite: bool = False
    relations: tuple[str, ...] = ()
    relation_column: str | None = None
    kinds: tuple[Kind, ...] = ()
    between: tuple[tuple[int, int], ...] = ()
    target: str = ""
    hyperedges: bool = False
    array: int = 0  # width of features that come as an array instead of columns
    smiles_column: str | None = None  # of a table of molecules, whose bonds are the edges

    @property
    def width(self) -> int:
        """Features of a node; of several types, which one it is comes first, then the features of each type."""
        return len(self.kinds) + sum(k.encoder.width for k in self.kinds) if self.kinds else self.array or self.nodes.width

    @property
    def learned(self) -> tuple[str, ...]:
        """Types of nodes that have no features of their own."""
        return tuple(k.name for k in self.kinds if not k.encoder.width)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain = {k: getattr(self, k) for k in ("directed", "bipartite", "relation_column")}
        several = {
            "kinds": [[k.name, k.encoder.to_dict()] for k in self.kinds],
            "between": [list(b) for b in self.between],
            "target": self.target,
        }
        return {
            "nodes": self.nodes.to_dict(),
            "edges": self.edges.to_dict(),
            "relations": list(self.relations),
            **plain,
            **(several if self.kinds else {}),
            **({"hyperedges": True} if self.hyperedges else {}),
            **({"array": self.array} if self.array else {}),
            **({"smiles_column": self.smiles_column} if self.smiles_column else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Encoders:
        nodes, edges = Encoder.from_dict(data["nodes"]), Encoder.from_dict(data["edges"])
        kinds = tuple(Kind(name, Encoder.from_dict(encoder)) for name, encoder in data.get("kinds", ()))
        between = tuple((int(a), int(b)) for a, b in data.get("between", ()))
        return cls(
            nodes, edges, data["directed"], data["bipartite"], tuple(data["relations"]), data["relation_column"],
            kinds, between, data.get("target", ""), bool(data.get("hyperedges", False)), int(data.get("array", 0)),
            data.get("smiles_column"),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class OneGraph:
    """A graph as the tables have it. `ends` [M, 2] are its edges after cleaning, `edge_rows` [M] their rows in the file.

    `node_rows` [N]: the row in the node table of each node (of the users' and items' ids, where there is no table: -1).
    `first_side`: how many nodes are of the first side, where the graph is bipartite. `reasons`: rows left out, by table and reason.
    `begins` [T + 1]: where the nodes of each type begin, where there are several; `node_table` is then that of the type that is
    answered for.
    """

    store: GraphStore
    encoders: Encoders
    ids: pa.Array
    ends: np.ndarray
    edge_rows: np.ndarray
    edge_cells: pa.Table
    relation: np.ndarray | None
    node_table: NodeTable | None
    node_rows: np.ndarray
    edge_name: str
    rows_read: dict[str, int]
    reasons: dict[str, dict[str, int]]
    notes: list[str]
    first_side: int = 0
    end_columns: tuple[str, str] = ("source", "target")
    begins: tuple[int, ...] = ()
    molecules: Molecules | None = None

    @cached_property
    def names(self) -> pa.Array:
        """Names of all nodes that no two share: TYPE:ID where there are several types."""
        if not self.begins:
            return self.ids
        each = [
            pc.binary_join_element_wise(pa.array([kind.name]).take(pa.array(np.zeros(b - a, int))), self.ids[a:b], ":")
            for kind, a, b in zip(self.encoders.kinds, self.begins, self.begins[1:], strict=False)
        ]
        return pa.concat_arrays(each)

    @cached_property
    def learned(self) -> np.ndarray:
        """Nodes that have a learned vector where the model has such vectors, [N] bool: without several types, all."""
        if not self.begins:
            return np.ones(self.N, bool)
        return np.repeat([k.name in self.encoders.learned for k in self.encoders.kinds], np.diff(self.begins))

    @property
    def N(self) -> int:
        """Nodes."""
        return self.store.N

    def node_cells(self, column: str) -> pa.Array:
        """Cells of a column of the node table, node by node. Raises DataError where there is no such column.

        Of several types it may be written TYPE.COLUMN; nodes of other types have "".
        """
        column = column.removeprefix(f"{self.encoders.target}.") if self.begins else column
        if self.node_table is None:
            raise DataError(f"there is no table of nodes, so no column {column!r}: give it as the first argument")
        if column not in self.node_table.cells.column_names:
            raise DataError(f"{self.node_table.name} has no column {column!r}; {suggest(column, self.node_table.cells.column_names)}")
        rows = pa.array(self.node_rows, mask=self.node_rows < 0)
        return as_text(self.node_table.cells[column].take(rows))

    def edge_texts(self, column: str) -> pa.Array:
        """Cells of a column of the edge table, edge by edge. Raises DataError where there is no such column."""
        if column not in self.edge_cells.column_names:
            raise DataError(f"{self.edge_name} has no column {column!r}; {suggest(column, self.edge_cells.column_names)}")
        return as_text(self.edge_cells[column])


def load(config: GraphDataConfig, tables: Tables, labels_of_edges: Sequence[str] = (), encoders: Encoders | None = None) -> OneGraph:
    """Read both tables. `labels_of_edges`: columns of the edge table that are no features. `encoders`: a trained model's.

    Raises DataError where a table can't be read or holds nothing that can be used.
    """
    given_nodes, given_edges = tables
    if config.smiles_column is not None:
        return _of_molecules(config, given_nodes, labels_of_edges, encoders)
    if is_schema(given_nodes):
        from heliograph.onegraph.typed import load_typed

        return load_typed(config, read_schema(given_nodes), encoders)
    if config.hyperedges:
        from heliograph.onegraph.hyper import load_hyper

        return load_hyper(config, given_nodes, given_edges, encoders)
    if is_graph_file(given_edges):
        inside, given_edges = read_graph_file(given_edges)
        given_nodes = inside if given_nodes is None and not config.bipartite else given_nodes
    nodes = None if given_nodes is None else read_nodes(given_nodes, config.id_column)
    usable = None if nodes is None else nodes.usable
    known = None if nodes is None else nodes.ids.take(pa.array(usable))
    if given_edges is None:
        raise DataError("no edges: give their table with --edges")
    edges = _edges(given_edges, known, config, nodes)
    if config.time_column is not None and encoders is None:
        edges, labels_of_edges = times.in_order(edges, config.time_column), (*labels_of_edges, config.time_column)
    relation_column = encoders.relation_column if encoders else config.relation_column
    relation, relations, strange = _relations(edges, relation_column, encoders)
    directed = encoders.directed if encoders else config.directed or relation is not None
    ends, one_way = edges.ends, np.ones(len(edges.ends), bool)
    if config.direction:
        one_way = runs_one_way(ends)
    keep, dropped, notes = clean(ends, directed or config.bipartite, relation)
    if not one_way.all():
        keep, dropped = keep[one_way[keep]], dropped | {"an edge that runs both ways has no direction": int((~one_way).sum())}
    reasons = {"edges": dict(Counter(edges.reasons) + Counter(dropped))}
    reasons["edges"] |= strange
    cells = edges.cells if len(keep) == len(edges.ends) else edges.cells.take(pa.array(keep))
    ends = edges.ends[keep]
    relation = None if relation is None else relation[keep]
    if nodes is not None:
        reasons["nodes"] = dict(Counter(nodes.reasons.values()))
    fitted, more = (encoders, []) if encoders else fit_encoders(config, nodes, usable, cells, labels_of_edges, directed, relations)
    x = None
    if fitted.array:
        x = mapped(config.features, nodes, usable, fitted.array)
    elif nodes is not None and usable is not None and fitted.nodes.width:
        x = fitted.nodes.encode(nodes.cells if len(usable) == len(nodes) else nodes.cells.take(pa.array(usable)))
    attr = fitted.edges.encode(cells) if fitted.edges.width else None
    n = len(edges.ids)
    store = GraphStore.build(
        ends,
        n,
        directed=directed,
        x=x,
        edge_attr=attr,
        relation=relation,
        relations=len(relations),
        origin=config.level == "link",  # which edges are asked for
        ids=edges.ids,
    )
    rows = np.full(n, -1) if usable is None else usable
    read = {"edges": edges.read} | ({} if nodes is None else {"nodes": len(nodes)})
    return OneGraph(
        store, fitted, edges.ids, ends, edges.rows[keep], cells, relation, nodes, rows, edges.name, read, reasons,
        [*notes, *more], edges.first_side, edges.columns,
    )  # fmt: skip


def _of_molecules(config: GraphDataConfig, given: Any, labels_of_edges: Sequence[str], encoders: Encoders | None) -> OneGraph:
    """All molecules of a table as one graph, whose edges are their bonds."""
    others = () if config.splits_column is None or encoders else (config.splits_column,)
    found = read_molecules(given, config.smiles_column or "", labels_of_edges, others)
    plain = config.model_copy(update={"smiles_column": None, "target_columns": (), "id_column": "id", "edge_columns": None})
    graph = load(plain, (found.atoms, found.bonds), labels_of_edges, encoders)
    counts, usable = dict(Counter(found.reasons.values())), len(found.table) - len(found.reasons)
    return replace(
        graph, encoders=replace(graph.encoders, smiles_column=config.smiles_column), molecules=found,
        reasons={"edges": graph.reasons.get("edges", {}), "nodes": counts}, rows_read=graph.rows_read | {"nodes": len(found.table)},
        notes=[f"{usable:,} molecules; a bond's label is learned, whole molecules train or test.", *graph.notes],
    )  # fmt: skip


def _edges(given: Any, known: pa.Array | None, config: GraphDataConfig, nodes: NodeTable | None) -> EdgeTable:
    if not config.bipartite:
        name = "the table of nodes" if nodes is None else nodes.name
        return read_edges(given, known, config.edge_columns, known_as=name)
    if nodes is not None:
        raise DataError("a bipartite graph is read from its edges alone, for both sides may use the same ids: leave the table of nodes out")
    return read_edges(given, None, config.edge_columns, two_sides=True)


def _relations(
    edges: EdgeTable, column: str | None, encoders: Encoders | None
) -> tuple[np.ndarray | None, tuple[str, ...], dict[str, int]]:
    """The relation of each edge [m], the names of relations, and, for a trained model, how many edges are of an unknown one."""
    if column is None:
        return None, (), {}
    if column not in edges.cells.column_names:
        raise DataError(f"{edges.name} has no column {column!r} of relations; {suggest(column, edges.cells.column_names)}")
    text = as_text(edges.cells[column])
    names = encoders.relations if encoders else tuple(sorted(pc.unique(text).to_pylist()))
    code = np.asarray(pc.fill_null(pc.index_in(text, value_set=pa.array(names, pa.string())), -1)).astype(np.int64)
    unknown = int((code < 0).sum())
    return code, names, {"a relation that the model has not seen": unknown} if unknown else {}


def clean(ends: np.ndarray, directed: bool, relation: np.ndarray | None = None) -> tuple[np.ndarray, dict[str, int], list[str]]:
    """Which edges [m, 2] stay: loops and repeated ones do not, and, where edges are undirected, the way back of one that is there.

    Returns the rows that stay, ascending, counts per reason, and sentences.
    """
    a, b = ends[:, 0], ends[:, 1]
    loop = a == b
    if relation is not None:
        loop = relation < 0  # an entity may stand in a relation to itself
    key = (a if directed else np.minimum(a, b)).astype(np.int64)
    key *= int(ends.max(initial=0)) + 1
    key += b if directed else np.maximum(a, b)
    if relation is not None:
        key *= int(relation.max(initial=0)) + 1
        key += relation
    order = np.argsort(key, kind="stable")
    again = np.zeros(len(key), bool)
    again[order[1:]] = key[order[1:]] == key[order[:-1]]
    again &= ~loop
    keep = np.flatnonzero(~(loop | again))
    found = {"an edge from a node to itself": 0 if relation is not None else int(loop.sum())}
    if directed:
        found["an edge that came before"] = int(again.sum())
        return keep, {k: v for k, v in found.items() if v}, []
    rows = np.flatnonzero(again)
    first = order[np.searchsorted(key, key[rows], sorter=order)]  # the first row of each such pair
    back = np.zeros(len(key), bool)
    back[rows] = a[rows] != a[first]
    found["an edge that came before"] = int((again & ~back).sum())
    found["the way back of an edge that came before (edges are undirected)"] = int(back.sum())
    notes = ["Edges are undirected: each is used both ways (--directed: as the table has them)."]
    return keep, {k: v for k, v in found.items() if v}, notes


def runs_one_way(ends: np.ndarray) -> np.ndarray:
    """Which edges [m, 2] have no reverse in the table, [m] bool."""
    n = int(ends.max(initial=0)) + 1
    forth, back = ends[:, 0].astype(np.int64) * n + ends[:, 1], ends[:, 1].astype(np.int64) * n + ends[:, 0]
    return ~np.isin(forth, back) | (forth == back)


def fit_encoders(
    config: GraphDataConfig,
    nodes: NodeTable | None,
    usable: np.ndarray | None,
    edge_cells: pa.Table,
    labels_of_edges: Sequence[str],
    directed: bool,
    relations: tuple[str, ...],
) -> tuple[Encoders, list[str]]:
    """Choose what turns the columns of both tables into features, and say what was chosen. Raises DataError for an unknown column."""
    notes: list[str] = []
    set_aside = {config.splits_column, *config.target_columns, config.relation_column, *labels_of_edges}
    encoder = Encoder()
    if nodes is not None:
        names = [c for c in nodes.cells.column_names if c != nodes.id_column and c not in set_aside]
        if config.features is not None:
            if config.feature_columns is not None:
                raise DataError("features come from columns or from an array: give --feature-columns or --features")
            names = []
        if config.feature_columns is not None:
            for column in config.feature_columns:
                if column not in nodes.cells.column_names:
                    raise DataError(f"{nodes.name} has no column {column!r}; {suggest(column, nodes.cells.column_names)}")
            names = list(config.feature_columns)
        encoder, notes = Encoder.fit(nodes.cells.take(pa.array(usable)), names)
        if names:
            notes.insert(0, f"Features of a node: {encoder.width:,} from {len(encoder.columns):,} columns.")
    of_edges = Encoder()
    wanted = [c for c in edge_cells.column_names if c not in set_aside] if not relations else []
    if wanted:
        of_edges, more = Encoder.fit(edge_cells, wanted)
        notes += more
        if of_edges.width:
            notes.append(f"Features of an edge: {of_edges.width:,} ({', '.join(c.name for c in of_edges.columns[:6])}).")
    array = 0 if config.features is None else opened(config.features).shape[1]
    if array:
        notes.append(f"Features of a node: {array:,} from {config.features}, mapped.")
    return Encoders(encoder, of_edges, directed, config.bipartite, relations, config.relation_column, array=array), notes


def name_of(given: Any) -> str:
    """What a table is called in messages and configurations."""
    if isinstance(given, Schema):
        return given.name
    return str(given) if isinstance(given, str | Path) else "tables in memory"
