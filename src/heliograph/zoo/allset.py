"""AllSetTransformer: hypergraph layers as two functions of multisets (Chien et al. 2022, arXiv:2106.13264).

    h_e  = f({{h_j : j in e}})                                from vertices to hyperedges
    h_i' = relu(g({{h_e : e with i}}))                        and back
    f(S) = LN(Y + relu(mlp(Y))), Y = LN(theta + MH(S))        the set transformer's block
    MH(S) = [sum_s softmax_s(theta_k . K_k s) V_k s] of each head k      attention of a learned query theta_k
    y    = head(mean_i h_i)

Steps run on the graph of vertices and hyperedges (`views.incidence`). Without hyperedges, each node with its neighbours is one.
Departures: K_k and V_k are linear (the paper: MLPs); no scaling of scores; the pooled head is for graphs. Edge features are not used.
Expressivity: at most 1-WL on the graph of vertices and hyperedges; a softmax does not count members that are alike.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import MLP, At, Dropout, Embed, Head, Pool
from heliograph.edge import Edge
from heliograph.graph import Features
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.topology import Segments
from heliograph.views import Incidence, OnView

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
PARTS = False


class Values(nn.Module):
    """[V_k s, theta_k . K_k s] of each sender s: values and scores side by side."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.V, self.K = nn.Linear(d, d), nn.Linear(d, heads)  # theta_k . K_k is one vector a head

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": torch.cat([self.V(e.j["h"]), self.K(e.j["h"])], -1)}  # [E, d + heads]


class Attention(nn.Module):
    """sum_s softmax_s(score) V s, the heads side by side."""

    def __init__(self, heads: int):
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        V, score = x[:, : -self.heads].unflatten(1, (self.heads, -1)), x[:, -self.heads :]  # [E, heads, d / heads], [E, heads]
        return segment.sum((segment.softmax(score, segments)[..., None] * V).flatten(1), segments)


class Set(nn.Module):
    """LN(Y + relu(mlp(Y))), Y = LN(theta + m)."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.theta, self.first, self.second = nn.Parameter(torch.randn(d) / d**0.5), nn.LayerNorm(d), nn.LayerNorm(d)
        self.mlp, self.dropout = MLP(d, d, d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        Y = self.first(self.theta + messages["m"])  # [C, d]
        return {"h": self.dropout(self.second(Y + self.mlp(Y).relu()).relu())}


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 2, heads: int = 4, dropout: float = 0.0, aggregate: Aggregate = segment.mean
) -> MPNN:
    """`depth` layers of width `d`, each to the hyperedges and back, with `heads` heads; `aggregate` pools nodes into graphs."""
    steps = [Layer(Values(d, heads), At(rank, Set(d, dropout)), Attention(heads)) for _ in range(depth) for rank in (1, 0)]
    return MPNN(Embed(inputs.nodes, d), [OnView(steps, Incidence())], Pool(Head(d, out, dropout=dropout), aggregate))
