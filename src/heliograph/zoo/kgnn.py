"""1-k-GNN: graph networks on sets of k nodes, k = 2 or 3 (Morris et al. 2019, arXiv:1810.02244), the local, hierarchical version.

    h_i'  = relu(W_1 h_i + W_2 sum_{j in N(i)} h_j)                    1-GNN on the nodes, T steps
    g_s^0 = relu(W [edges(s), e(s), sum_{i in s} h_i^T])               s: all sets of k nodes
    g_s'  = relu(W_1 g_s + W_2 sum_{t in N(s)} g_t)                    t is s but for one node, which a neighbour of it replaces
    y     = head(mean_i [h_i^T, mean_{s with i} g_s])

edges(s) counts the pairs in s that are joined, one-hot: for k <= 3 it is the isomorphism type of s; e(s) adds up their edge features.
Sets, not tuples; all sets, not the connected ones alone. The mean over i of the means is the mean over all sets.
Departures: edge features enter there alone and as a sum; 1-2-3-GNN runs k = 2 between, here k = 3 starts from the nodes.
Expressivity: above 1-WL, at most folklore k-WL: k = 2 tells the hexagon from two triangles, though not the rook's graph from Shrikhande's;
k = 3 with three steps does that, too.
"""

from __future__ import annotations

import torch
from torch import nn

from heliograph import segment
from heliograph.blocks import Combine, Embed, Head, Neighbour, Pool
from heliograph.errors import UsageError
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.topology import Segments
from heliograph.views import node_sets

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "above 1-WL"
PARTS = False


class OnSets(nn.Module):
    """The same steps on the graph of k-sets, then each node's mean over the sets that it is in."""

    def __init__(self, d: int, d_edge: int, k: int, depth: int):
        super().__init__()
        self.W = nn.Linear(k * (k - 1) // 2 + 1 + d_edge + d, d)
        self.layers, self.k = nn.Sequential(*[Layer(Neighbour(), Combine(d)) for _ in range(depth)]), k

    def forward(self, graph: Graph) -> Graph:
        sets, h = node_sets(graph, self.k), dense(graph.nodes["h"])
        members = dense(sets.nodes["members"])  # [S, k]
        start = torch.cat([dense(sets.nodes["edges"]), dense(sets.nodes["edge_attr"]), h[members].sum(1)], -1)
        g = dense(self.layers(sets.with_nodes(h=self.W(start).relu())).nodes["h"])  # [S, d]
        of_node, order = members.flatten().sort(stable=True)
        return graph.with_nodes(h=torch.cat([h, segment.mean(g[order // self.k], Segments(of_node, graph.N))], -1))  # [N, 2 d]


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 3, k: int = 2, set_depth: int = 2, aggregate: Aggregate = segment.mean
) -> MPNN:
    """`depth` steps of width `d` on the nodes, then `set_depth` on the sets of `k` nodes."""
    if k not in (2, 3):
        raise UsageError(f"kgnn takes k = 2 or 3; got {k}. Sets of more nodes are too many.")
    layers = [*(Layer(Neighbour(), Combine(d)) for _ in range(depth)), OnSets(d, inputs.edges, k, set_depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(2 * d, out), aggregate))
