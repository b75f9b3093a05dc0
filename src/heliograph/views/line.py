"""The line graph: directed edges become nodes."""

from __future__ import annotations

import torch

from heliograph.graph import Graph, dense
from heliograph.topology import Topology


def line_graph(graph: Graph) -> Graph:
    """Nodes are the edges of `graph`; (k -> j) sends to (j -> i) unless that turns back (i = k).

    A node's features are its edge's, and those of its sender as `NAME_j`. A complete graph of n nodes gives n (n - 1) (n - 2) edges.
    """
    t = graph.topology
    a, b = t.continuations
    order = b.argsort(stable=True)
    a, b = a[order], b[order]
    n_edge = torch.zeros_like(t.n_edge).index_add_(0, t.edge_members.index[b], torch.ones_like(b))
    nodes = {**graph.edges, **{f"{k}_j": dense(v).index_select(0, t.senders) for k, v in graph.nodes.items()}}
    return Graph(Topology(a, b, t.n_edge, n_edge, N=t.E), nodes, None, graph.globals)
