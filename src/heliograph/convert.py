"""Graphs of other libraries in and out, and a batch taken apart. Imports those libraries only when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from heliograph.errors import DataError
from heliograph.graph import Feature, Features, Graph, dense, take
from heliograph.topology import Topology

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data


def unbatch(graph: Graph) -> list[Graph]:
    """The G graphs of a batch on their own, in order; each keeps what is asked of its nodes. Raises DataError for bipartite ones."""
    topology, graphs = graph.topology, []
    if graph.G == 1:
        return [graph]
    if not topology.whole:
        raise DataError("a batch of bipartite graphs can't be taken apart: a node that does not receive may be anybody's")
    asked = graph.asked
    of_asked = None if asked is None else topology.members.index[asked.reshape(len(asked), -1)[:, 0]]
    node_end, edge_end = topology.n_node.cumsum(0).tolist(), topology.n_edge.cumsum(0).tolist()
    node = edge = 0
    for g in range(graph.G):
        nodes, edges = torch.arange(node, node_end[g]), torch.arange(edge, edge_end[g])
        one = Topology(
            topology.senders[edges] - node,
            topology.receivers[edges] - node,
            topology.n_node[g : g + 1],
            topology.n_edge[g : g + 1],
            N=len(nodes),
            shift=None if topology.shift is None else topology.shift[edges],
            order=None if topology.order is None else topology.order[edges] - edge,
        )
        mine = None if asked is None else asked[of_asked == g] - node
        graphs.append(Graph(one, _rows(graph.nodes, nodes), _rows(graph.edges, edges), _rows(graph.globals, torch.tensor([g])), mine))
        node, edge = node_end[g], edge_end[g]
    return graphs


def _rows(features: Features, rows: Tensor) -> dict[str, Feature]:
    return {k: take(v, rows) for k, v in features.items()}


def from_pyg(data: Data) -> Graph:
    """A Graph from a PyTorch Geometric `Data` or `Batch`.

    A tensor with a row per node, edge or graph becomes that feature, by PyG's own rule (`is_node_attr`, `is_edge_attr`);
    N is `data.num_nodes`, so nodes without edges are kept.
    """
    N = data.num_nodes
    if data.edge_index is None or N is None:
        raise DataError("from_pyg needs edge_index and num_nodes (or x, z or pos); this Data has " + ", ".join(data.keys()))
    of = data.batch if data.batch is not None else torch.zeros(N, dtype=torch.long)
    G = int(data.num_graphs) if data.batch is not None else 1
    n_node = torch.bincount(of, minlength=G).tolist()
    n_edge = torch.bincount(of[data.edge_index[0]], minlength=G).tolist()
    nodes, edges, globals_ = {}, {}, {}
    for name, value in data.items():
        if name in ("edge_index", "batch", "ptr", "num_nodes") or not isinstance(value, Tensor):
            continue
        if data.is_node_attr(name):
            nodes[name] = value
        elif data.is_edge_attr(name):
            edges[name] = value
        else:
            globals_[name] = value if value.dim() and len(value) == G else value[None]
    if len(data.edge_index[0]) and bool((of[data.edge_index[0]].diff() < 0).any()):
        raise DataError("from_pyg needs the edges of one graph to stand together; batch with torch_geometric.data.Batch")
    shift = edges.pop("shift", None)
    return Graph.build(data.edge_index[0], data.edge_index[1], n_node, n_edge, nodes=nodes, edges=edges, globals=globals_, shift=shift)


def to_pyg(graph: Graph) -> Data:
    """A PyTorch Geometric `Data` with `edge_index` [2, E] and edge features in the order that was given, `batch` [N] and `ptr` [G + 1]."""
    from torch_geometric.data import Data

    t = graph.topology
    data = Data(
        edge_index=torch.stack([t.given(t.senders), t.given(t.receivers)]), num_nodes=graph.N, batch=t.members.index, ptr=t.members.pointer
    )
    for name, value in [*graph.nodes.items(), *graph.globals.items()]:
        data[name] = dense(value)
    for name, value in graph.edges.items():
        data[name] = t.given(dense(value))
    if t.shift is not None:
        data["shift"] = t.given(t.shift)
    return data


def from_networkx(graph: networkx.Graph, node_features: tuple[str, ...] = (), edge_features: tuple[str, ...] = ()) -> Graph:
    """A Graph from a NetworkX graph, nodes in its own order; an undirected edge becomes two. Named attributes become float32 features."""
    index = {node: k for k, node in enumerate(graph.nodes)}
    ends, attributes = [], []
    for u, v, values in graph.edges(data=True):
        both = [(index[u], index[v])] if graph.is_directed() or u == v else [(index[u], index[v]), (index[v], index[u])]
        ends += both
        attributes += [values] * len(both)
    edge = torch.tensor(ends, dtype=torch.long).reshape(-1, 2)
    nodes = {k: torch.tensor([graph.nodes[n][k] for n in graph.nodes], dtype=torch.float32) for k in node_features}
    edges = {k: torch.tensor([a[k] for a in attributes], dtype=torch.float32) for k in edge_features}
    return Graph.build(edge[:, 0], edge[:, 1], [len(index)], [len(edge)], nodes=nodes, edges=edges)
