"""A graph in whatever form it comes (networkx, PyTorch Geometric, SciPy, DataFrames) as tables of nodes and edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from heliograph.data.formats.graph_tables import read_cells
from heliograph.errors import DataError
from heliograph.graph import Graph, dense

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
        return _arrays(
            graph.N, ends, None if x is None else dense(x).numpy(), None if attr is None else dense(attr).numpy()
        )
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
