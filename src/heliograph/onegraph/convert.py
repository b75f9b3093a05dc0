"""A graph in whatever form it comes (networkx, PyTorch Geometric, SciPy, DataFrames) as tables of nodes and edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from heliograph.data.formats.graph_tables import read_cells
from heliograph.data.formats.schema import EdgeType, NodeType, Schema
from heliograph.errors import DataError
from heliograph.graph import Graph, dense
from heliograph.onegraph.data import OneGraph

ID, SOURCE, TARGET = "id", "source", "target"


def tables_of(graph: Any) -> tuple[pa.Table | None, pa.Table, bool]:
    """Nodes (None: no table), edges, and whether the edges are directed.

    `graph`: a networkx graph (node ids become text), PyG's `Data` (`x`, `edge_index`, `edge_attr`), a `heliograph.Graph` of one graph, a
    pair (adjacency, x) of a SciPy matrix and an array [N, d] or None, or a pair of tables (nodes or None, edges). Raises DataError.
    """
    if hasattr(graph, "is_directed") and hasattr(graph, "adj"):
        return _networkx(graph)
    if isinstance(graph, Graph):
        if graph.G != 1:
            raise DataError(f"one graph is learned from; this batch has {graph.G}")
        t, x = graph.topology, graph.nodes.get("x")
        attr = graph.edges.get("edge_attr")
        ends = np.stack([t.senders.numpy(), t.receivers.numpy()])
        return _arrays(graph.N, ends, None if x is None else dense(x).numpy(), None if attr is None else dense(attr).numpy())
    if hasattr(graph, "edge_index"):
        x, attr = getattr(graph, "x", None), getattr(graph, "edge_attr", None)
        as_array = lambda t: None if t is None else t.detach().cpu().numpy()  # noqa: E731
        ends = np.asarray(as_array(graph.edge_index))
        return _arrays(int(graph.num_nodes), ends, as_array(x), as_array(attr))
    if isinstance(graph, tuple | list) and len(graph) == 2:
        first, second = graph
        if hasattr(first, "tocoo"):
            A = first.tocoo()
            return _arrays(A.shape[0], np.stack([A.row, A.col]), None if second is None else np.asarray(second), None)
        return None if first is None else read_cells(first), read_cells(second), False
    raise DataError(
        "a graph is a networkx graph, PyG's Data, a heliograph.Graph, (adjacency, x) or (table of nodes, table of edges); got "
        f"{type(graph).__name__}"
    )


def is_hetero(graph: Any) -> bool:
    """Whether it is PyG's `HeteroData`."""
    return hasattr(graph, "node_types") and hasattr(graph, "edge_types")


def schema_of(graph: Any, columns: Mapping[str, Mapping[str, pa.Array]] | None = None) -> Schema:
    """The types of PyG's `HeteroData` as tables: `x` and `edge_index`. `columns`: more columns of some types of nodes.

    Nodes are called by their numbers. An edge type is called by its own name, or SOURCE-NAME-TARGET where two have that name.
    """
    nodes, edges = {}, {}
    for name in graph.node_types:
        x, n = graph[name].get("x"), int(graph[name].num_nodes)
        table = {ID: pa.array(np.arange(n)).cast(pa.string())}
        if x is not None:
            table["x"] = _lists(x.detach().cpu().numpy())
        nodes[name] = NodeType(pa.table(table | dict((columns or {}).get(name, {}))), ID)
    for (source, _, target), name in zip(graph.edge_types, edge_names(graph), strict=True):
        ends = graph[source, _, target].edge_index.detach().cpu().numpy()
        table = {SOURCE: pa.array(ends[0]).cast(pa.string()), TARGET: pa.array(ends[1]).cast(pa.string())}
        edges[name] = EdgeType(pa.table(table), source, target)
    return Schema(nodes, edges, "HeteroData")


def edge_names(graph: Any) -> list[str]:
    """A name for each edge type of `HeteroData`."""
    names = [rel for _, rel, _ in graph.edge_types]
    return [rel if names.count(rel) == 1 else f"{a}-{rel}-{b}" for a, rel, b in graph.edge_types]


def to_hetero(graph: OneGraph) -> Any:
    """PyG's `HeteroData` of a graph of several types: `x` where a type has features, else `num_nodes`; `edge_index` of relations."""
    from torch_geometric.data import HeteroData

    made, kinds, column = HeteroData(), graph.encoders.kinds, len(graph.encoders.kinds)
    for kind, a, b in zip(kinds, graph.begins, graph.begins[1:], strict=False):
        if kind.encoder.width:
            made[kind.name].x = torch.from_numpy(graph.store.columns["x"][a:b, column : column + kind.encoder.width].copy())
        else:
            made[kind.name].num_nodes = b - a
        column += kind.encoder.width
    assert graph.relation is not None
    for r, ((a, b), name) in enumerate(zip(graph.encoders.between, graph.encoders.relations, strict=True)):
        ends = graph.ends[graph.relation == r] - [graph.begins[a], graph.begins[b]]
        made[kinds[a].name, name, kinds[b].name].edge_index = torch.from_numpy(ends.T.astype(np.int64).copy())
    return made


def _networkx(graph: Any) -> tuple[pa.Table, pa.Table, bool]:
    names = list(graph.nodes)
    texts = [str(name) for name in names]
    if len(set(texts)) < len(texts):
        raise DataError("two nodes of this graph have the same text as a name; rename them")
    nodes = {ID: pa.array(texts)} | _attributes([graph.nodes[name] for name in names])
    pairs = list(graph.edges(data=True))
    edges = {
        SOURCE: pa.array([str(a) for a, _, _ in pairs], pa.string()),
        TARGET: pa.array([str(b) for _, b, _ in pairs], pa.string()),
    }
    return pa.table(nodes), pa.table(edges | _attributes([d for _, _, d in pairs])), bool(graph.is_directed())


def _attributes(rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
    """Columns of what rows have; a value that is no number, text or list of numbers is left out."""
    found = {}
    for name in dict.fromkeys(str(key) for row in rows for key in row):
        values = [_plain(row.get(name)) for row in rows]
        try:
            found[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            found[name] = pa.array([None if v is None else str(v) for v in values])
    return {name: column for name, column in found.items() if not pa.types.is_null(column.type)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, bool | int | float | str | list) else str(value)


def _arrays(n: int, ends: np.ndarray, x: np.ndarray | None, attr: np.ndarray | None) -> tuple[pa.Table, pa.Table, bool]:
    """Nodes are called by their numbers. Edges are undirected where each has its reverse."""
    key, back = ends[0].astype(np.int64) * n + ends[1], ends[1].astype(np.int64) * n + ends[0]
    directed = not np.array_equal(np.unique(key), np.unique(back))
    nodes = {ID: pa.array(np.arange(n)).cast(pa.string())}
    if x is not None:
        if len(x) != n:
            raise DataError(f"x has {len(x)} rows; the graph has {n} nodes")
        nodes["x"] = _lists(x)
    edges = {SOURCE: pa.array(ends[0]).cast(pa.string()), TARGET: pa.array(ends[1]).cast(pa.string())}
    if attr is not None and attr.size:
        edges["edge_attr"] = _lists(attr)
    return pa.table(nodes), pa.table(edges), directed


def _lists(x: np.ndarray) -> pa.Array:
    x = np.asarray(x, np.float32).reshape(len(x), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
