"""HGNN: hypergraph neural network (Feng et al. 2019, arXiv:1809.09401).

    h_e  = (1 / |e|) sum_{j in e} h_j / sqrt(d_j)             D_e^-1 H^T D_v^-1/2 X; d_j counts the hyperedges of j
    h_i' = relu(W sum_{e with i} h_e / sqrt(d_i))             relu(D_v^-1/2 H W ... Theta), W = 1
    y    = head(mean_i h_i)

Steps run on the graph of vertices and hyperedges (`views.incidence`): to the hyperedges, then back. A graph without hyperedges gets one
for each node with its neighbours, as in the paper's sec. 3.2.
Departures: hyperedges weigh one; h_i^0 = relu(W x_i); the pooled head is for graphs. Edge features are not used.
Expressivity: at most 1-WL on the graph of vertices and hyperedges, and less (a mean).
"""

from __future__ import annotations

from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Embed, Head, Pool, Scales, collect, spread
from heliograph.graph import Features, dense
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import Incidence, OnView

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
PARTS = False


class Update(nn.Module):
    """relu(W m_i / sqrt(d_i))."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.W, self.dropout = nn.Linear(d, d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.dropout(self.W(messages["m"] * dense(nodes["at_vertices"])).relu())}  # [C, d]


def build(inputs: Inputs, out: int, d: int = 64, depth: int = 2, dropout: float = 0.0, aggregate: Aggregate = segment.mean) -> MPNN:
    """`depth` layers of width `d`, each to the hyperedges and back; `aggregate` pools nodes into graphs."""
    steps: list[nn.Module] = [Scales()]
    for _ in range(depth):
        steps += [collect("at_vertices"), spread(Update(d, dropout))]
    return MPNN(Embed(inputs.nodes, d), [OnView(steps, Incidence())], Pool(Head(d, out, dropout=dropout), aggregate))
