"""UniGCNII: deep hypergraph convolutions with initial residual and identity mapping (Huang & Yang 2021, arXiv:2105.00956).

    h_i^0 = relu(W x_i)
    h_e  = mean_{j in e} h_j                                  UniGCN, first stage
    m_i  = (1 / sqrt(d_i)) sum_{e with i} h_e / sqrt(d_e)     second; d_i counts the hyperedges of i, d_e is the mean of d_j over j in e
    u_i  = (1 - alpha) m_i + alpha h_i^0                      initial residual
    h_i' = relu((1 - beta) u_i + beta W u_i)                  identity mapping, beta = log(lambda / k + 1) in layer k
    y    = head(mean_i h_i)

Steps run on the graph of vertices and hyperedges (`views.incidence`). Without hyperedges, each node with its neighbours is one.
Departures: the pooled head is for graphs. Edge features are not used. The authors' code may scale m_i to length one, which the equations
do not; this does not. Expressivity: at most 1-WL on the graph of vertices and hyperedges (their theorem 1 says so of all UniGNNs).
"""

from __future__ import annotations

from math import log

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Head, Pool, Scales, collect, on_rows, spread
from heliograph.graph import Features, Graph, dense
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import Incidence, OnView

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
PARTS = False


class Embed(nn.Module):
    """h_i^0 = relu(W x_i), kept for all layers."""

    def __init__(self, d_node: int, d: int, dropout: float):
        super().__init__()
        self.W, self.dropout = nn.Linear(d_node, d), Dropout(dropout)

    def forward(self, graph: Graph) -> Graph:
        h = on_rows(lambda x: self.W(x).relu(), graph.nodes["x"])  # [N, d]
        return graph.with_nodes(h=self.dropout(dense(h)), start=h)


class Update(nn.Module):
    """relu((1 - beta) u_i + beta W u_i)."""

    def __init__(self, d: int, alpha: float, beta: float, dropout: float):
        super().__init__()
        self.W, self.dropout = nn.Linear(d, d, bias=False), Dropout(dropout)
        self.alpha, self.beta = alpha, beta

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        m = messages["m"] * dense(nodes["at_vertices"])
        u = (1 - self.alpha) * m + self.alpha * dense(nodes["start"])  # [C, d]
        return {"h": self.dropout(((1 - self.beta) * u + self.beta * self.W(u)).relu())}


def build(
    inputs: Inputs,
    out: int,
    d: int = 64,
    depth: int = 8,
    alpha: float = 0.1,
    lambda_: float = 0.5,
    dropout: float = 0.0,
    aggregate: Aggregate = segment.mean,
) -> MPNN:
    """`depth` layers of width `d`, each to the hyperedges and back (the paper: up to 64); `alpha` share of the start."""
    steps: list[nn.Module] = [Scales()]
    for k in range(1, depth + 1):
        steps += [collect(), spread(Update(d, alpha, log(lambda_ / k + 1), dropout), "at_hyperedges")]
    return MPNN(Embed(inputs.nodes, d, dropout), [OnView(steps, Incidence())], Pool(Head(d, out, dropout=dropout), aggregate))
