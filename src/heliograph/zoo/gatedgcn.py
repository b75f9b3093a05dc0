"""GatedGCN: residual gated graph convolutions (Bresson & Laurent 2017, arXiv:1711.07553).

    g_ij = sigmoid(A h_i + B h_j + C e_ij)                    edge gates
    m_i  = sum_j g_ij * V h_j
    h_i' = h_i + relu(norm(U h_i + m_i))                      gated convolution, and the residual
    y    = head(mean_i h_i)

norm is batch normalisation, where the authors' later form has it (Dwivedi et al. 2020, arXiv:2003.00982).
Departures: C e_ij, since molecules have bonds (the paper's edges have no features); h_i^0 = W x_i.
Expressivity: at most 1-WL (on graphs with node and edge labels).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Embed, Head, Pool
from heliograph.edge import Edge
from heliograph.graph import Features, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Message(nn.Module):
    """sigmoid(A h_i + B h_j + C e_ij) * V h_j."""

    self_normalised = True

    def __init__(self, d: int, d_edge: int):
        super().__init__()
        self.A, self.B, self.C = nn.Linear(d, d), nn.Linear(d, d, bias=False), nn.Linear(d_edge, d, bias=False)
        self.V = nn.Linear(d, d)

    def forward(self, e: Edge) -> dict[str, Any]:
        gate = torch.sigmoid(self.A(e.i["h"]) + self.B(e.j["h"]) + self.C(e.e["edge_attr"]))  # [E, d]
        return {"m": gate * self.V(e.j["h"])}


class Update(nn.Module):
    """h_i + relu(norm(U h_i + m_i))."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.U, self.norm, self.dropout = nn.Linear(d, d), nn.BatchNorm1d(d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        h = dense(nodes["h"])
        return {"h": h + self.dropout(self.norm(self.U(h) + messages["m"]).relu())}  # [N, d]


def build(inputs: Inputs, out: int, d: int = 64, depth: int = 4, dropout: float = 0.0, aggregate: Aggregate = segment.mean) -> MPNN:
    """`depth` layers of width `d`; `aggregate` pools nodes into graphs."""
    layers = [Layer(Message(d, inputs.edges), Update(d, dropout)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate))
