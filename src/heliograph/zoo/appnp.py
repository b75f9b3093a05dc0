"""APPNP: approximate personalised propagation of neural predictions (Klicpera et al. 2019, arXiv:1810.05997).

    h_i^0 = mlp(x_i)                                          eq. 4: first predict,
    m_i  = sum_j h_j / sqrt(d_i d_j)                          eq. 4: then propagate, d = 1 + number of neighbours
    h_i' = (1 - alpha) (m_i + h_i / d_i) + alpha h_i^0        eq. 4, K steps that have no weights
    y    = head(mean_i h_i)

The steps are the power iteration of personalised PageRank: the state goes back to its start with probability alpha.
Departures: the paper's h^0 are class scores of nodes, and it drops edges, too, in training; the pooled head is for graphs. Edge features
are not used, as in the paper. Expressivity: at most 1-WL, and less: a linear propagation with weights that are given.
"""

from __future__ import annotations

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import MLP, Dropout, Head, Pool, Propagate, normalised, on_rows, propagated
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Predict(nn.Module):
    """h_i^0 = mlp(x_i)."""

    def __init__(self, d_node: int, d: int, dropout: float):
        super().__init__()
        self.mlp, self.dropout = MLP(d_node, d, d), Dropout(dropout)

    def forward(self, graph: Graph) -> Graph:
        h = self.dropout(on_rows(self.mlp, graph.nodes["x"]))  # [N, d]
        return normalised(graph, h, start=h)


class Teleport(nn.Module):
    """(1 - alpha) (S h)_i + alpha h_i^0."""

    def __init__(self, alpha: float):
        super().__init__()
        self.alpha = alpha

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": (1 - self.alpha) * propagated(nodes, messages) + self.alpha * dense(nodes["start"])}


def build(
    inputs: Inputs, out: int, d: int = 64, K: int = 10, alpha: float = 0.1, dropout: float = 0.0, aggregate: Aggregate = segment.mean
) -> MPNN:
    """`K` steps with teleport probability `alpha`; `d` width; `aggregate` pools nodes into graphs."""
    layer = Layer(Propagate(), Teleport(alpha))
    return MPNN(Predict(inputs.nodes, d, dropout), [layer] * K, Pool(Head(d, out, dropout=dropout), aggregate))
