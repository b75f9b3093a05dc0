"""The line graph: directed edges become nodes."""

from __future__ import annotations

from heliograph.graph import Graph, dense


def line_graph(graph: Graph) -> Graph:
    """Nodes are the edges of `graph`; (k -> j) sends to (j -> i) unless that turns back (i = k).

    A node's features are its edge's, and those of its sender as `NAME_j`. A complete graph of n nodes gives n (n - 1) (n - 2) edges.
    What is asked of the graph's nodes is not asked of these.
    """
    t = graph.topology
    a, b = t.continuations
    topology, _ = t.rewired(a, b, n_node=t.n_edge, N=t.E)
    nodes = {**graph.edges, **{f"{k}_j": dense(v).index_select(0, t.senders) for k, v in graph.nodes.items()}}
    return Graph(topology, nodes, None, graph.globals)
