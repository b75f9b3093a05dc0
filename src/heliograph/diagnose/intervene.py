"""The intervention do(i) on a network: cut what comes into a node, run again, and see which nodes change.

It says what the network would compute if the node heard nobody, or if its features were others. That is a cause as far as the network's
edges are the causes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph.errors import DataError
from heliograph.graph import Graph, dense, take
from heliograph.model import MPNN


def cut(graph: Graph, node: int) -> Graph:
    """Take away the edges that come into `node`; all others keep their features. Raises DataError where there is no such node."""
    if not 0 <= node < graph.N:
        raise DataError(f"do({node}): this graph has nodes 0 to {graph.N - 1}")
    t = graph.topology
    t.need_whole("an intervention")
    kept = (t.receivers != node).nonzero().squeeze(1)
    topology, rows = t.rewired(t.senders[kept], t.receivers[kept], shift=None if t.shift is None else t.shift[kept])
    edges = {name: take(feature, kept[rows]) for name, feature in graph.edges.items()}
    return Graph(topology, graph.nodes, edges, graph.globals, graph.asked)


def intervention(net: MPNN, graph: Graph, node: int, x: Tensor | None = None) -> Tensor:
    """Compute |h_v after do(node) - h_v| of each node's last state, [N]; with `x` [width] the node's features become these.

    Nodes that the node can't reach within the network's steps have exactly zero, if the network has no view that joins others.
    """
    net.eval()
    with torch.no_grad():
        before = dense(net.states(graph).nodes["h"])
        other = cut(graph, node)
        if x is not None:
            features = dense(graph.nodes["x"]).clone()
            features[node] = x
            other = other.with_nodes(x=features)
        after = dense(net.states(other).nodes["h"])
    return (after - before).flatten(1).norm(dim=1)
