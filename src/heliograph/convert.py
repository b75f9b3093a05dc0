"""Graphs of other libraries in and out. Imports those libraries only when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from heliograph.errors import DataError
from heliograph.graph import Feature, Graph, dense

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data


def from_edge_index(
    edge_index: Tensor, num_nodes: int | None, asked: Tensor | None, edge_attr: Feature | None, nodes: Mapping[str, Feature]
) -> Graph:
    """One graph from `edge_index` [2, E]; see `Graph.from_edge_index`."""
    if edge_index.dim() != 2 or len(edge_index) != 2 or edge_index.dtype != torch.long:
        raise DataError(f"edge_index must be [2, E], long; it is {list(edge_index.shape)} {edge_index.dtype}")
    N = num_nodes if num_nodes is not None else next((len(f) for f in nodes.values()), None)
    if N is None:
        raise DataError("how many nodes are there? give num_nodes, or a feature of nodes such as x [N, width]")
    edges = {} if edge_attr is None else {"edge_attr": edge_attr}
    return Graph.build(edge_index[0], edge_index[1], [N], [edge_index.shape[1]], nodes=nodes, edges=edges, asked=asked)


def from_pyg(data: Data) -> Graph:
    """A Graph from a PyTorch Geometric `Data` or `Batch`.

    A tensor with a row per node, edge or graph becomes that feature: in a `Batch` by the slices that it was made from, in a single
    `Data` by PyG's own rule (`is_node_attr`, `is_edge_attr`), but for `y` and `y_...`, which are of the graph unless there is a row for
    each of several nodes. NumPy arrays and Python numbers become tensors, texts are skipped. N is `data.num_nodes`, so nodes without
    edges are kept. Raises DataError: no edge_index, HeteroData, indices out of range, anything else that is no feature.
    """
    if hasattr(data, "node_types"):
        raise DataError("from_pyg reads Data and Batch; HeteroData has several types of nodes: take one relation, or data.to_homogeneous()")
    N = data.num_nodes
    if getattr(data, "edge_index", None) is None or N is None:
        raise DataError("from_pyg needs edge_index and num_nodes (or x, z or pos); this Data has " + (", ".join(data.keys()) or "nothing"))
    edge_index = torch.as_tensor(data.edge_index)
    if edge_index.dim() != 2 or len(edge_index) != 2 or edge_index.is_floating_point():
        raise DataError(f"edge_index must be whole numbers of shape [2, E]; got {edge_index.dtype} of shape {tuple(edge_index.shape)}")
    edge_index = edge_index.long()
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < N:
        raise DataError(f"edge_index has nodes {int(edge_index.min())} to {int(edge_index.max())}, but there are {N} nodes (from 0)")
    n_node, n_edge, of = _graphs(data, N, edge_index)
    nodes, edges, globals_ = {}, {}, {}
    for name, value in data.items():
        if name in ("edge_index", "batch", "ptr", "num_nodes") or (feature := _feature(f"attribute {name!r}", value)) is None:
            continue
        level = _level(data, name, feature, N, edge_index.shape[1], len(n_node))
        if level == "node":
            nodes[name] = feature
        elif level == "edge":
            edges[name] = feature
        else:
            globals_[name] = feature if feature.dim() and len(feature) == len(n_node) else feature[None]
            if len(globals_[name]) != len(n_node):
                raise DataError(f"attribute {name!r} of shape {tuple(feature.shape)} has no row for each of {len(n_node)} graphs")
    if len(edge_index[0]) and bool((of[edge_index[0]].diff() < 0).any()):
        raise DataError("from_pyg needs the edges of one graph to stand together; batch with torch_geometric.data.Batch")
    shift = edges.pop("shift", None)
    return Graph.build(edge_index[0], edge_index[1], n_node, n_edge, nodes=nodes, edges=edges, globals=globals_, shift=shift)


def _graphs(data: Data, N: int, edge_index: Tensor) -> tuple[list[int], list[int], Tensor]:
    """Nodes and edges of each graph, and the graph of each node [N]. Raises DataError on a `batch` that is none."""
    batch = getattr(data, "batch", None)
    of = torch.zeros(N, dtype=torch.long) if batch is None else torch.as_tensor(batch).long()
    if of.shape != (N,) or (N and (int(of.min()) < 0 or bool((of.diff() < 0).any()))):
        raise DataError(f"batch must be the graph of each of the {N} nodes, ascending from 0; got shape {tuple(of.shape)}")
    G = 1 if batch is None else max(int(getattr(data, "num_graphs", 0)), int(of.max()) + 1 if N else 0)
    if G > 0 and edge_index.numel() and bool((of[edge_index[0]] != of[edge_index[1]]).any()):
        raise DataError("an edge joins nodes of two graphs: does edge_index count nodes from 0 in each graph? Batch shifts them")
    return torch.bincount(of, minlength=G).tolist(), torch.bincount(of[edge_index[0]], minlength=G).tolist(), of


def _level(data: Data, name: str, value: Tensor, N: int, E: int, G: int) -> str:
    """Whether an attribute is of nodes, edges or graphs: not from lengths alone where something better is known."""
    slices = getattr(data, "_slice_dict", {}).get(name)
    if slices is not None and value.dim():
        rows = torch.as_tensor(slices).diff()
        per_node = torch.as_tensor(data.ptr).diff()
        per_edge = torch.as_tensor(data._slice_dict["edge_index"]).diff() if "edge_index" in data._slice_dict else None
        of_graphs = bool((rows == 1).all()) and _of_graph(name)
        levels = [level for level, per in (("node", per_node), ("edge", per_edge)) if per is not None and torch.equal(rows, per)]
        if levels and not of_graphs:
            return levels[-1] if "edge" in name else levels[0]
        return "graph"
    if value.dim() and _of_graph(name) and len(value) == G and (G > 1 or len(value) == 1):
        return "graph"
    if data.is_node_attr(name) and value.dim() and len(value) == N:
        return "node"
    return "edge" if data.is_edge_attr(name) and value.dim() and len(value) == E else "graph"


def _of_graph(name: str) -> bool:
    """Names that mean labels of graphs wherever there is a choice."""
    return name == "y" or name.startswith("y_")


def _feature(what: str, value: object) -> Tensor | None:
    """A value as a tensor; None for texts, and for nothing. Raises DataError for anything else, with `what` it is."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (list, tuple)) and value and all(v is None or isinstance(v, (str, bytes)) for v in value):
        return None
    try:
        array = np.asarray(value)
        if array.dtype.kind in "US":
            return None
        if array.dtype.kind not in "biuf":
            raise TypeError(f"its type is {array.dtype}")
        if array.dtype.kind == "f":
            return torch.from_numpy(array.copy() if isinstance(value, np.ndarray) else array.astype(np.float32))
        return torch.from_numpy(array.astype(np.bool_ if array.dtype.kind == "b" else np.int64))
    except (TypeError, ValueError) as error:
        shown = repr(value)[:60]
        raise DataError(f"{what} is no feature: {type(value).__name__} {shown} ({error}); give numbers of one shape, or drop it") from None


def to_pyg(graph: Graph) -> Data:
    """A PyTorch Geometric `Data` with `edge_index` [2, E] and edge features in the order that was given, `batch` [N] and `ptr` [G + 1]."""
    from torch_geometric.data import Data

    t = graph.topology
    data = Data(
        edge_index=torch.stack([t.given(t.senders), t.given(t.receivers)]),
        num_nodes=graph.N,
        batch=t.nodes_by_graph.index,
        ptr=t.nodes_by_graph.pointer,
    )
    for name, value in [*graph.nodes.items(), *graph.globals.items()]:
        data[name] = dense(value)
    for name, value in graph.edges.items():
        data[name] = t.given(dense(value))
    if t.shift is not None:
        data["shift"] = t.given(t.shift)
    return data


def from_networkx(graph: networkx.Graph, node_features: tuple[str, ...] = (), edge_features: tuple[str, ...] = ()) -> Graph:
    """A Graph from a NetworkX graph, nodes in its own order; an undirected edge becomes two. Named attributes become features.

    They become float32; whole numbers above 2^24, which float32 can't hold, stay whole (int64). Raises DataError
    where a node or an edge has no such attribute, a text, or another shape than the first, and names it.
    """
    index = {node: k for k, node in enumerate(graph.nodes)}
    ends, attributes, names = [], [], []
    for u, v, values in graph.edges(data=True):
        both = [(index[u], index[v])] if graph.is_directed() or u == v else [(index[u], index[v]), (index[v], index[u])]
        ends += both
        attributes += [values] * len(both)
        names += [f"edge {u!r} to {v!r}"] * len(both)
    edge = torch.tensor(ends, dtype=torch.long).reshape(-1, 2)
    of_nodes = [graph.nodes[n] for n in graph.nodes]
    nodes = {k: _attribute(k, of_nodes, [f"node {n!r}" for n in graph.nodes]) for k in node_features}
    edges = {k: _attribute(k, attributes, names) for k in edge_features}
    return Graph.build(edge[:, 0], edge[:, 1], [len(index)], [len(edge)], nodes=nodes, edges=edges)


def _attribute(name: str, of: Sequence[Mapping[str, object]], whose: Sequence[str]) -> Tensor:
    """One attribute of all nodes or edges, [n, ...]."""
    rows: list[np.ndarray] = []
    for values, who in zip(of, whose, strict=True):
        if name not in values:
            raise DataError(f"{who} has no attribute {name!r}: it has {', '.join(map(str, values)) or 'none'}")
        value = values[name]
        row = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        if row.dtype.kind not in "biuf":
            raise DataError(f"{who}: attribute {name!r} is {str(value)[:40]!r} ({type(value).__name__}); features are numbers")
        if rows and row.shape != rows[0].shape:
            raise DataError(f"{who}: attribute {name!r} has shape {row.shape}, others have {rows[0].shape}")
        rows.append(row)
    if not rows:
        return torch.zeros(0)
    whole = np.stack(rows)
    large = whole.dtype.kind in "iu" and whole.size and int(np.abs(whole).max()) > 2**24
    return torch.from_numpy(whole.astype(np.int64 if large else np.float32))
