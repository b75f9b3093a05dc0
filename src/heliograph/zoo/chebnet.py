"""ChebNet: convolutions as Chebyshev polynomials of the Laplacian (Defferrard et al. 2016, arXiv:1606.09375).

    t^0 = h,   t^1 = L h,   t^k = 2 L t^{k-1} - t^{k-2}       eq. 4, L the rescaled Laplacian
    m_i  = (L t)_i = - sum_j t_j / sqrt(d_i d_j)              2 / lambda_max (1 - D^-1/2 A D^-1/2) - 1 with lambda_max = 2
    h_i' = relu(sum_{k < K} W_k t_i^k + b)
    y    = head(mean_i h_i)

A convolution is K - 1 message passing steps. Departures: lambda_max = 2, the bound on it, for every graph (its own largest
eigenvalue would tell apart pairs that 1-WL can't); the paper's coarsening of one fixed graph is left out, and h_i^0 = relu(W x_i).
Edge features are not used, as in the paper. Expressivity: at most 1-WL, and less (a normalised sum is not injective on multisets).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Embed, Head, Pool
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Begin(nn.Module):
    """t^0 = h, the sum's first term, W_0 t^0 + b, and norm_i = 1 / sqrt(d_i), zero for a node alone."""

    def __init__(self, d: int):
        super().__init__()
        self.W = nn.Linear(d, d)

    def forward(self, graph: Graph) -> Graph:
        h = dense(graph.nodes["h"])  # [N, d]
        degree = graph.topology.degree.to(h.dtype)[:, None]  # [N, 1]
        norm = degree.clamp(min=1).rsqrt() * (degree > 0)
        return graph.with_nodes(t=h, before=torch.zeros_like(h), sum=self.W(h), norm=norm)


class Message(nn.Module):
    """- t_j / sqrt(d_i d_j)."""

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": -(e.j["t"] * e.j["norm"] * e.i["norm"])}


class Step(nn.Module):
    """t^k = `factor` L t^{k-1} - t^{k-2}, and the sum grows by W_k t^k."""

    def __init__(self, d: int, factor: float):
        super().__init__()
        self.W, self.factor = nn.Linear(d, d, bias=False), factor

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Any]:
        t = self.factor * messages["m"] - dense(nodes["before"])  # [N, d]
        return {"t": t, "before": nodes["t"], "sum": dense(nodes["sum"]) + self.W(t)}


class End(nn.Module):
    """h' = relu(sum)."""

    def __init__(self, dropout: float):
        super().__init__()
        self.dropout = Dropout(dropout)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=self.dropout(dense(graph.nodes["sum"]).relu()))


def build(
    inputs: Inputs, out: int, d: int = 32, depth: int = 2, K: int = 5, dropout: float = 0.0, aggregate: Aggregate = segment.mean
) -> MPNN:
    """`depth` convolutions of width `d` with polynomials of `K` terms (the paper: 32 and 5 on text, up to 64 and 25 on images)."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        steps = [Layer(Message(), Step(d, 1.0 if k == 1 else 2.0)) for k in range(1, K)]  # t^{-1} counts as zero
        layers += [Begin(d), *steps, End(dropout)]
    return MPNN(Embed(inputs.nodes, d, torch.relu), layers, Pool(Head(d, out, dropout=dropout), aggregate))
