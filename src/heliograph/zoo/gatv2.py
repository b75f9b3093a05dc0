"""GATv2: attention that ranks neighbours anew for each node (Brody et al. 2022, arXiv:2105.14491), with edge features.

    s_ij = a . leaky_relu(W_r h_i + W_l h_j + W_e e_ij)       eq. 7, slope 0.2
    w_ij = softmax_j s_ij                                     eq. 3, j over the neighbours of i and i itself
    m_i  = [sum_j w_ij W_l h_j of each head]                  eq. 4
    h_i' = elu(m_i + b)
    y    = head(mean_i h_i)

Departures: edge features as in PyTorch Geometric (eq. 7 has none); a loop has zeros there, not the
mean over the node's edges; no bias in W_l: it would be a part of b, since weights add up to one. h_i^0 = W x_i, and heads are
concatenated in all layers.
Expressivity: at most 1-WL (on graphs with node and edge labels), and less, for the reason given in `gat`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from heliograph import segment
from heliograph.blocks import Dropout, Embed, Head, Heads, Pool, per_head
from heliograph.edge import Edge
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import SelfLoops

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Message(nn.Module):
    """w_ij W_l h_j, eqs. 3, 4 and 7."""

    self_normalised = True

    def __init__(self, d: int, d_edge: int, heads: int, dropout: float):
        super().__init__()
        self.W_l, self.W_r, self.W_e = nn.Linear(d, d, bias=False), nn.Linear(d, d), nn.Linear(d_edge, d, bias=False)
        self.a = nn.Parameter(nn.init.xavier_uniform_(torch.empty(heads, per_head(d, heads))))
        self.dropout = Dropout(dropout)

    def forward(self, e: Edge) -> dict[str, Any]:
        h_j = self.W_l(e.j["h"])  # [E, d]
        u = F.leaky_relu(self.W_r(e.i["h"]) + h_j + self.W_e(e.e["edge_attr"]), 0.2)  # [E, d]
        score = (u.unflatten(-1, self.a.shape) * self.a).sum(-1)  # [E, H]
        w = self.dropout(segment.softmax(score, e.graph.topology.incoming)).unsqueeze(-1)  # [E, H, 1]
        return {"m": w * h_j.unflatten(-1, self.a.shape)}  # [E, H, d / H]


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 2, heads: int = 8, dropout: float = 0.0, aggregate: Aggregate = segment.mean
) -> MPNN:
    """`depth` layers of width `d`, all heads together; `aggregate` pools nodes into graphs."""
    layers = [Layer(Message(d, inputs.edges, heads, dropout), Heads(d, dropout)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate), view=SelfLoops())
