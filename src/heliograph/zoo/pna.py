"""PNA: principal neighbourhood aggregation (Corso et al. 2020, arXiv:2004.05718).

    m_ij = M [h_i, h_j, e_ij]
    m_i  = [1, s_i, 1 / s_i] (x) [mean, max, min, std]_j m_ij             s_i = log(d_i + 1) / delta: degree scalers
    h_i' = h_i + relu(norm(U [h_i, m_i]))
    y    = head(sum_i h_i)

Twelve aggregations side by side; delta is the mean of log(d + 1) over the training data; norm is batch normalisation; M and U are linear.
Departures: one tower; std is sqrt(variance + 1e-5), as in the paper's code, and the attenuation of a node alone is zero.
Expressivity: at most 1-WL (on graphs with node and edge labels); also of continuous features it keeps more than one aggregation can.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Embed, Head, Pool, Principal
from heliograph.edge import Edge
from heliograph.graph import Features, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Message(nn.Module):
    """M [h_i, h_j, e_ij]."""

    def __init__(self, d: int, d_edge: int):
        super().__init__()
        self.M = nn.Linear(2 * d + d_edge, d)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": self.M(torch.cat([e.i["h"], e.j["h"], e.e["edge_attr"]], -1))}  # [E, d]


class Update(nn.Module):
    """h_i + relu(norm(U [h_i, m_i]))."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.U, self.norm, self.dropout = nn.Linear(13 * d, d), nn.BatchNorm1d(d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        h = dense(nodes["h"])
        u = self.U(torch.cat([h, messages["m"]], -1))  # [N, 13 d] -> [N, d]
        return {"h": h + self.dropout(self.norm(u).relu())}


def build(
    inputs: Inputs,
    out: int,
    d: int = 75,
    depth: int = 4,
    delta: float = 1.04,
    dropout: float = 0.0,
    aggregate: Aggregate = segment.sum,
) -> MPNN:
    """`depth` layers of width `d`; `delta` is 1.04 on molecules without hydrogens (`examples/molecules.csv`); `aggregate` pools nodes."""
    layers = [Layer(Message(d, inputs.edges), Update(d, dropout), Principal(delta)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate))
