"""Graphormer (Ying et al. 2021, arXiv:2106.05234).

    h_i^0 = W x_i + z_deg(i)                                                     eq. 5: centrality; v for the virtual node
    b_ij  = B_hops(i, j) + sum_{n <= steps} C_n . e_n                            eqs. 6 and 7: the edges e_n of a shortest way
    m_i   = sum_j softmax_j(q_i . k_j / sqrt(d / H) + b_ij) v_j                  eq. 6; q, k, v from norm(h); j over all nodes
    u_i   = h_i + O cat_heads m_i                                                eq. 8
    h_i'  = u_i + W_2 gelu(W_1 norm(u_i))                                        eq. 9
    y     = head(h of the virtual node)                                          sec. 3.2: a node joined to all, with a b of its own

norm is layer normalisation; b_ij has a value per head and is the same in all layers. e_n is divided by the number of positions.
Departures: of several shortest ways the paper takes any one, here e_n is the mean over all, so that numbering does not matter;
one degree for both directions; nodes that can't be reached are as far as those beyond `limit`.
Expressivity: above 1-WL (sec. 3.3): hops tell the hexagon from two triangles, though not the rook's graph from Shrikhande's. The
virtual node is needed for that: attention is a mean, and a mean over nodes that are all alike sees no weights.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from heliograph.algebra import held
from heliograph.blocks import MLP, Attention, Head, on_rows
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import Degree, MasterNode, ShortestPaths, without_master

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "above 1-WL"
PARTS = False
DEGREES = 64  # nodes with more neighbours share a vector


class Embed(nn.Module):
    """h_i^0 and b_ij."""

    def __init__(self, inputs: Inputs, d: int, heads: int, limit: int, steps: int):
        super().__init__()
        self.W, self.z = nn.Linear(inputs.nodes, d), nn.Linear(DEGREES + 1, d, bias=False)
        self.B, self.C = nn.Linear(limit + 2, heads, bias=False), nn.Linear(steps * inputs.edges, heads, bias=False)
        self.v, self.b = nn.Linear(1, d, bias=False), nn.Linear(1, heads, bias=False)  # of the virtual node and its edges

    def forward(self, graph: Graph) -> Graph:
        e = Edge(graph)
        b = self.B(e.e["hops"]) + self.C(e.e["path"]) + self.b(e.e["master"])  # [E, heads]
        h = on_rows(self.W, graph.nodes["x"]) + on_rows(self.z, graph.nodes["degree"]) + on_rows(self.v, graph.nodes["master"])  # [N, d]
        return graph.with_nodes(h=h).with_edges(**held({"b": b}))


class Message(nn.Module):
    """softmax_j(q_i . k_j / sqrt(d / H) + b_ij) v_j."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(d), Attention(d, heads)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": self.attention(self.norm(e.i["h"]), self.norm(e.j["h"]), e.graph.topology.incoming, e.e["b"])}


class Update(nn.Module):
    """u_i + W_2 gelu(W_1 norm(u_i))."""

    def __init__(self, d: int):
        super().__init__()
        self.O, self.norm, self.mlp = nn.Linear(d, d), nn.LayerNorm(d), MLP(d, d, d, act=nn.GELU)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        u = dense(nodes["h"]) + self.O(messages["m"].flatten(1))  # [N, d]
        return {"h": u + self.mlp(self.norm(u))}


class Split(nn.Module):
    """The virtual node's state becomes the graph's."""

    def forward(self, graph: Graph) -> Graph:
        return without_master(graph)


class Readout(nn.Module):
    """head(h of the virtual node)."""

    def __init__(self, d: int, out: int):
        super().__init__()
        self.head = Head(d, out)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return {"y": self.head(dense(graph.globals["h"]))}


def build(inputs: Inputs, out: int, d: int = 80, depth: int = 12, heads: int = 8, limit: int = 20, steps: int = 5) -> MPNN:
    """`depth` layers of width `d` (the paper's slim model); hops up to `limit`, edges of the first `steps` >= 1 on the way."""
    view = nn.Sequential(Degree(DEGREES), ShortestPaths(limit, steps), MasterNode())
    layers = [Layer(Message(d, heads), Update(d)) for _ in range(depth)]
    return MPNN(Embed(inputs, d, heads, limit, steps), [*layers, Split()], Readout(d, out), view=view)
