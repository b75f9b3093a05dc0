"""GCNII: deep graph convolutions with initial residual and identity mapping (Chen et al. 2020, arXiv:2007.02133).

    h_i^0 = relu(W x_i)
    m_i  = sum_j h_j / sqrt(d_i d_j)                          d = 1 + number of neighbours
    u_i  = (1 - alpha) (m_i + h_i / d_i) + alpha h_i^0        eq. 5: initial residual
    h_i' = relu((1 - beta) u_i + beta W u_i)                  eq. 5: identity mapping, beta = log(lambda / k + 1) in layer k
    y    = head(mean_i h_i)

Departures: the paper classifies nodes; the pooled head is for graphs. Edge features are not used, as in the paper.
Expressivity: at most 1-WL, and less (a normalised sum is not injective on multisets; Xu et al. 2019).
"""

from __future__ import annotations

from math import log

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Head, Pool, Propagate, normalised, on_rows, propagated
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Embed(nn.Module):
    """h_i^0 = relu(W x_i), kept for all layers."""

    def __init__(self, d_node: int, d: int):
        super().__init__()
        self.W = nn.Linear(d_node, d)

    def forward(self, graph: Graph) -> Graph:
        h = on_rows(lambda x: self.W(x).relu(), graph.nodes["x"])  # [N, d]
        return normalised(graph, h, start=h)


class Update(nn.Module):
    """relu((1 - beta) u_i + beta W u_i), eq. 5."""

    def __init__(self, d: int, alpha: float, beta: float, dropout: float):
        super().__init__()
        self.W, self.dropout = nn.Linear(d, d, bias=False), Dropout(dropout)
        self.alpha, self.beta = alpha, beta

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        u = (1 - self.alpha) * propagated(nodes, messages) + self.alpha * dense(nodes["start"])  # [N, d]
        return {"h": self.dropout(((1 - self.beta) * u + self.beta * self.W(u)).relu())}


def build(
    inputs: Inputs,
    out: int,
    d: int = 64,
    depth: int = 16,
    alpha: float = 0.1,
    lambda_: float = 0.5,
    dropout: float = 0.0,
    aggregate: Aggregate = segment.mean,
) -> MPNN:
    """`depth` layers of width `d` (the paper: up to 64 of them); `alpha` share of the start, `lambda_` that of the weights."""
    layers = [Layer(Propagate(), Update(d, alpha, log(lambda_ / k + 1), dropout)) for k in range(1, depth + 1)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate))
