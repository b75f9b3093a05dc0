"""GCN: graph convolutional network (Kipf & Welling 2017, arXiv:1609.02907).

    m_i  = sum_j h_j / sqrt(d_i d_j)                          eq. 8, with d = 1 + number of neighbours
    h_i' = relu(W (m_i + h_i / d_i))                          eq. 8, the node itself being its own neighbour
    y    = head(mean_i h_i)

Departures: the paper classifies nodes; the pooled head is for graphs. Edge features are not used, as in the paper.
Expressivity: at most 1-WL, and less (a normalised sum is not injective on multisets; Xu et al. 2019).
"""

from __future__ import annotations

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Head, Pool, Propagate, normalised, on_rows, propagated
from heliograph.graph import Features, Graph
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Embed(nn.Module):
    """h_i = relu(W x_i), and norm_i = 1 / sqrt(d_i)."""

    def __init__(self, d_node: int, d: int):
        super().__init__()
        self.W = nn.Linear(d_node, d)

    def forward(self, graph: Graph) -> Graph:
        return normalised(graph, on_rows(lambda x: self.W(x).relu(), graph.nodes["x"]))  # [N, d]


class Update(nn.Module):
    """relu(W (m_i + h_i / d_i)), eq. 8."""

    lazy = True  # runs on one row of each colour, where that pays

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.W, self.dropout = nn.Linear(d, d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.dropout(self.W(propagated(nodes, messages)).relu())}


def build(inputs: Inputs, out: int, d: int = 300, depth: int = 4, dropout: float = 0.0, aggregate: Aggregate = segment.mean) -> MPNN:
    """`depth` layers of width `d`; `aggregate` pools nodes into graphs."""
    layers = [Layer(Propagate(), Update(d, dropout)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate))
