"""GPS: a general, powerful, scalable graph transformer (Rampasek et al. 2022, arXiv:2205.12454).

    h_i^0 = W [x_i, p_i]                                      p_i = probabilities of return after 1, ..., K steps
    a_i   = mlp_1(h_i + sum_{j in N(i)} relu(h_j + W e_ij))   the local part, here GINE
    b_i   = O cat_heads sum_j softmax_j(q_i . k_j / sqrt(d / H)) v_j        j over all nodes of the graph, i too
    u_i   = norm(h_i + a_i) + norm(h_i + b_i)                 sec. 3.3 and appendix D: both parts side by side
    h_i'  = norm(u_i + mlp_2(u_i))
    y     = head(sum_i h_i)

norm is batch normalisation. One complete graph carries both parts: the local one is zero where there is no edge.
With attention="performer" b_i is taken by random features in O(n) (sec. 3.3) and messages go along the edges that there are; for large
graphs walks=0 leaves the encodings out, which take O(n^3).
Departures: encodings enter beside x without a norm and a map of their own; dropout on attention weights is left out.
Expressivity: above 1-WL, since the random walks tell the hexagon from two triangles, though not the rook's graph from Shrikhande's;
attention to all adds nothing to 1-WL by itself.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import MLP, Attention, Dropout, Embed, Head, Performer, Pool
from heliograph.edge import Edge
from heliograph.graph import Features, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import CompleteGraph, Concatenate, RandomWalks

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "above 1-WL"
PARTS = False


class Message(nn.Module):
    """relu(h_j + W e_ij) from neighbours, attention from all."""

    def __init__(self, d: int, d_edge: int, heads: int):
        super().__init__()
        self.W, self.attention = nn.Linear(d_edge, d), Attention(d, heads)

    def forward(self, e: Edge) -> dict[str, Any]:
        near = torch.relu(e.j["h"] + self.W(e.e["edge_attr"])) * e.e["real"]  # [E, d]
        return {"near": near, "all": self.attention(e.i["h"], e.j["h"], e.graph.topology.incoming)}  # [E, heads, d / heads]


class Near(nn.Module):
    """relu(h_j + W e_ij): the local part alone."""

    def __init__(self, d: int, d_edge: int):
        super().__init__()
        self.W = nn.Linear(d_edge, d)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"near": torch.relu(e.j["h"] + self.W(e.e["edge_attr"]))}


class Update(nn.Module):
    """norm(u_i + mlp_2(u_i))."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.mlp1, self.mlp2, self.O = MLP(d, d, d), MLP(d, 2 * d, d, dropout=dropout), nn.Linear(d, d)
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm1d(d), nn.BatchNorm1d(d), nn.BatchNorm1d(d)
        self.dropout = Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        h = dense(nodes["h"])  # [N, d]
        a = self.mlp1(h + messages["near"])
        b = self.O((messages["all"] if "all" in messages else dense(nodes["attended"])).flatten(1))
        u = self.norm1(h + self.dropout(a)) + self.norm2(h + self.dropout(b))
        return {"h": self.norm3(u + self.dropout(self.mlp2(u)))}


def build(
    inputs: Inputs,
    out: int,
    d: int = 64,
    depth: int = 5,
    heads: int = 4,
    walks: int = 20,
    attention: Literal["full", "performer"] = "full",
    dropout: float = 0.0,
    aggregate: Aggregate = segment.sum,
) -> MPNN:
    """`depth` layers of width `d`, `walks` steps of the random walks (0: none), `attention` full or performer.

    The paper has 64, 4 heads and 20 for ZINC, 10 layers; 5 layers for PCQM4Mv2.
    """
    views: list[nn.Module] = [RandomWalks(walks), Concatenate("walks")] if walks else []
    layers: list[nn.Module] = []
    for _ in range(depth):
        if attention == "performer":
            layers += [Performer(d, heads), Layer(Near(d, inputs.edges), Update(d, dropout))]
        else:
            layers.append(Layer(Message(d, inputs.edges, heads), Update(d, dropout)))
    views += [] if attention == "performer" else [CompleteGraph(self_pairs=True)]
    view = nn.Sequential(*views) if views else None
    return MPNN(Embed(inputs.nodes + walks, d), layers, Pool(Head(d, out, dropout=dropout), aggregate), view=view)
