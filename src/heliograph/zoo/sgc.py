"""SGC: simple graph convolution, a GCN without activations (Wu et al. 2019, arXiv:1902.07153).

    m_i  = sum_j h_j / sqrt(d_i d_j)                          d = 1 + number of neighbours
    h_i' = m_i + h_i / d_i                                    sec. 2.2: h^K = S^K x, features that nothing is learned for
    y    = W mean_i h_i^K + b                                 sec. 2.2: a linear model

Departures: the paper classifies nodes; here the linear model sees the pooled features. Edge features are not used, as in the paper.
Expressivity: at most 1-WL, and far less: a linear function of K-fold smoothed features.
"""

from __future__ import annotations

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Pool, Propagate, normalised, propagated
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Start(nn.Module):
    """h_i^0 = x_i."""

    def forward(self, graph: Graph) -> Graph:
        return normalised(graph, dense(graph.nodes["x"]))  # [N, d_node]


class Smooth(nn.Module):
    """(S h)_i."""

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": propagated(nodes, messages)}


def build(inputs: Inputs, out: int, K: int = 2, aggregate: Aggregate = segment.mean) -> MPNN:
    """`K` steps; `aggregate` pools nodes into graphs."""
    return MPNN(Start(), [Layer(Propagate(), Smooth())] * K, Pool(nn.Linear(inputs.nodes, out), aggregate))
