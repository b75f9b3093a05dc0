"""GraphSAGE (Hamilton et al. 2017, arXiv:1706.02216).

    m_i  = mean_j h_j                                         mean aggregator, sec. 3.3
    m_i  = lstm(h_j1, h_j2, ...)                              LSTM aggregator, sec. 3.3: its last state, j1, j2, ... all neighbours
    m_i  = max_j relu(W_p h_j + b)                            pooling aggregator, eq. 3
    u_i  = relu(W [h_i, m_i])                                 algorithm 1, line 5
    h_i' = u_i / |u_i|                                        algorithm 1, line 7
    y    = head(mean_i h_i)

Any other aggregate takes eq. 3's transformed neighbours (sec. 3.3: another symmetric function may stand for the max).
Departures: all neighbours instead of a sample; the LSTM reads them in ascending order of their states, not in a random one, so that
the numbering of nodes does not matter; h_i^0 = W x_i; the pooled head is for graphs. Edge features are not used, as in the paper.
Expressivity: at most 1-WL, and less: neither mean nor max counts neighbours that are alike (Xu et al. 2019); the LSTM can.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Combine, Embed, Head, LSTMAggregation, Neighbour, Pool, Sorted
from heliograph.edge import Edge
from heliograph.graph import Features
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
AGGREGATES = {"lstm": LSTMAggregation}  # by name, beside those of `segment`


class Transformed(nn.Module):
    """relu(W_p h_j + b), eq. 3."""

    def __init__(self, d: int):
        super().__init__()
        self.W_p = nn.Linear(d, d)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": torch.relu(self.W_p(e.j["h"]))}


class Update(nn.Module):
    """u_i / |u_i|, u_i = relu(W [h_i, m_i])."""

    lazy = True  # runs on one row of each colour, where that pays

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.combine = Combine(d, dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        u = self.combine(nodes, messages)["h"]
        return {"h": u * u.square().sum(-1, keepdim=True).clamp(min=1e-12).rsqrt()}  # differentiable at zero, and twice


def step(d: int, dropout: float, aggregate: Aggregate | type[LSTMAggregation]) -> Layer:
    """One layer; the mean and the LSTM take the neighbours as they are."""
    if isinstance(aggregate, type):
        return Layer(Neighbour(), Update(d, dropout), Sorted(aggregate(d)))
    return Layer(Neighbour() if aggregate is segment.mean else Transformed(d), Update(d, dropout), aggregate)


def build(
    inputs: Inputs,
    out: int,
    d: int = 256,
    depth: int = 2,
    dropout: float = 0.0,
    aggregate: Aggregate | type[LSTMAggregation] = segment.mean,
) -> MPNN:
    """`depth` layers (K in the paper) of width `d`; `aggregate` is that of neighbours: mean, max or lstm."""
    layers = [step(d, dropout, aggregate) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), segment.mean))
