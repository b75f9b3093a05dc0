"""GCN: graph convolutional network (Kipf & Welling 2017, arXiv:1609.02907).

    m_i  = sum_j h_j / sqrt(d_i d_j)                          eq. 8, with d = 1 + number of neighbours
    h_i' = relu(W (m_i + h_i / d_i))                          eq. 8, the node itself being its own neighbour
    y    = head(mean_i h_i)

For nodes, as in the paper (eq. 9, here with K layers), y = S relu(... S relu(S x W_0) W_1 ...) W_K-1, (S h)_i = m_i + h_i / d_i.

Departures: the paper classifies nodes; the pooled head is for graphs, and so are the weights before the first and after the last step.
Edge features are not used, as in the paper.
Expressivity: at most 1-WL, and less (a normalised sum is not injective on multisets; Xu et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Head, Pool, Propagate, normalised, on_rows, propagated
from heliograph.graph import Features, Graph
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.zoo.sgc import Smooth

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Embed(nn.Module):
    """h_i = act(W x_i), with dropout on x_i, and norm_i = 1 / sqrt(d_i)."""

    def __init__(self, d_node: int, d: int, act: Callable[[Tensor], Tensor] = torch.relu, dropout: float = 0.0):
        super().__init__()
        self.W, self.act, self.dropout = nn.Linear(d_node, d), act, Dropout(dropout)

    def forward(self, graph: Graph) -> Graph:
        return normalised(graph, on_rows(lambda x: self.act(self.W(self.dropout(x))), graph.nodes["x"]))  # [N, d]


class Update(nn.Module):
    """relu(W (m_i + h_i / d_i)), eq. 8. `W`: another map than a linear one."""

    lazy = True  # runs on one row of each colour, where that pays

    def __init__(self, d: int, dropout: float, W: nn.Module | None = None):
        super().__init__()
        self.W, self.dropout = W or nn.Linear(d, d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.dropout(self.W(propagated(nodes, messages)).relu())}


def build(inputs: Inputs, out: int, d: int = 300, depth: int = 4, dropout: float = 0.0, aggregate: Aggregate = segment.mean) -> MPNN:
    """`depth` layers of width `d`; `aggregate` pools nodes into graphs."""
    layers = [Layer(Propagate(), Update(d, dropout)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out, dropout=dropout), aggregate))


def of_nodes(inputs: Inputs, out: int, d: int = 300, depth: int = 4, dropout: float = 0.0) -> MPNN:
    """The paper's network: x W_0 [N, d] before the first of `depth` steps, no activation after the last, dropout before each weight."""
    weights = [nn.Identity(), *(nn.Linear(d, d) for _ in range(depth - 2))][: depth - 1]
    steps = [Layer(Propagate(), Update(d, dropout, W)) for W in weights]
    return MPNN(Embed(inputs.nodes, d, nn.Identity(), dropout), [*steps, Layer(Propagate(), Smooth())], Pool(nn.Linear(d, out)))
