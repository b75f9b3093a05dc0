"""SAN: spectral attention network (Kreuzer et al. 2021, arXiv:2106.03893).

    p_i  = sum_k transformer({W_p [lambda_k, phi_ki] : k = 1, ..., m})_k                      sec. 3.2: learned encoding
    h_i  = [W x_i, p_i]
    s_ij = Q h_i . (K h_j * E e_ij) / sqrt(d / H)                                             eq. 3; Q', K', E' where no edge is
    w_ij = softmax over edges of s_ij / (1 + gamma),  over the others, gamma / (1 + gamma)    eq. 4
    u_i  = norm(h_i + O cat_heads sum_j w_ij V h_j)                                           eqs. 2 and 5
    h_i' = norm(u_i + W_2 relu(W_1 u_i))                                                      eq. 6
    y    = head(sum_i h_i)

norm is batch normalisation in the layers, layer normalisation in the encoding. The eigenvectors of a node are a small complete
graph of their own, over which that transformer's attention runs.
Departures: eigenvectors as in `views.LaplacianEigenvectors` (determined signs instead of random ones in training, the first one
left out); E' e_ij is one vector, as all pairs without an edge are alike.
Expressivity: above 1-WL, since eigenvalues tell the hexagon from two triangles, though not the rook's graph from Shrikhande's.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import nn

from heliograph import segment
from heliograph.blocks import AddNorm, Attention, Head, Pool, on_rows
from heliograph.edge import Edge
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.topology import Topology
from heliograph.views import CompleteGraph, LaplacianEigenvectors

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "above 1-WL"
PARTS = False
DEPTH, HEADS = 2, 4  # of the encoding's transformer


class All(nn.Module):
    """Attention to all: softmax_j(q_i . k_j / sqrt(d / H)) v_j."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.attention = Attention(d, heads)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": self.attention(e.i["h"], e.j["h"], e.graph.topology.incoming)}


class Embed(nn.Module):
    """[W x_i, p_i]."""

    def __init__(self, d_node: int, d: int, d_p: int):
        super().__init__()
        self.W, self.W_p = nn.Linear(d_node, d - d_p), nn.Linear(2, d_p)
        self.complete = CompleteGraph(self_pairs=True)
        self.layers = nn.Sequential(*[Layer(All(d_p, HEADS), AddNorm(d_p, nn.LayerNorm)) for _ in range(DEPTH)])

    def forward(self, graph: Graph) -> Graph:
        t, phi = graph.topology, dense(graph.nodes["eigenvectors"])  # [N, m]
        both = torch.stack([dense(graph.globals["eigenvalues"])[t.nodes_by_graph.index], phi], -1)  # [N, m, 2]
        count = (t.n_node[t.nodes_by_graph.index] - 1).clamp(max=phi.shape[1])  # [N] eigenvectors of the node's graph
        there = torch.arange(phi.shape[1], device=phi.device) < count[:, None]
        none = count.new_zeros(0)
        frequencies = Graph(Topology(none, none, count, torch.zeros_like(count), N=int(count.sum())), {"h": self.W_p(both[there])})
        p = segment.sum(dense(self.layers(self.complete(frequencies)).nodes["h"]), frequencies.topology.nodes_by_graph)  # [N, d_p]
        return graph.with_nodes(h=torch.cat([on_rows(self.W, graph.nodes["x"]), p], -1))


class Message(nn.Module):
    """w_ij V h_j, with weights of their own for edges and for the other pairs."""

    def __init__(self, d: int, d_edge: int, heads: int, gamma: float):
        super().__init__()
        self.Q, self.K, self.E = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False), nn.Linear(d_edge, d)
        self.Q2, self.K2, self.E2 = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False), nn.Parameter(torch.ones(d))
        self.V, self.heads, self.gamma = nn.Linear(d, d, bias=False), heads, gamma

    def forward(self, e: Edge) -> dict[str, Any]:
        weight: Any = 0.0
        for s, here, share in (
            (self.Q(e.i["h"]) * self.K(e.j["h"]) * self.E(e.e["edge_attr"]), e.e["real"], 1.0),
            (self.Q2(e.i["h"]) * (self.K2(e.j["h"]) * self.E2), 1.0 - e.e["real"], self.gamma),
        ):
            s = s.unflatten(-1, (self.heads, -1))  # [E, heads, d / heads]
            score = s.sum(-1) / sqrt(s.shape[-1]) - 1e4 * (1.0 - here)
            weight = weight + segment.softmax(score, e.graph.topology.incoming) * here * (share / (1.0 + self.gamma))  # [E, heads]
        return {"m": weight.unsqueeze(-1) * self.V(e.j["h"]).unflatten(-1, (self.heads, -1))}


def build(
    inputs: Inputs,
    out: int,
    d: int = 56,
    depth: int = 10,
    heads: int = 8,
    m: int = 10,
    gamma: float = 1e-5,
    aggregate: Aggregate = segment.sum,
) -> MPNN:
    """`depth` layers of width `d`, of which 8 hold the encoding of `m` eigenvectors (for ZINC; gamma from 1e-7 to 1e-1)."""
    view = nn.Sequential(LaplacianEigenvectors(m), CompleteGraph())
    layers = [Layer(Message(d, inputs.edges, heads, gamma), AddNorm(d, nn.BatchNorm1d)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d, 8), layers, Pool(Head(d, out), aggregate), view=view)
