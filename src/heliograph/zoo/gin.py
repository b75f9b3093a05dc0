"""GIN: graph isomorphism network (Xu et al. 2019, arXiv:1810.00826), with edge features (Hu et al. 2020, arXiv:1905.12265).

    m_i  = sum_j relu(h_j + W e_ij)                           Hu et al., appendix A
    h_i' = relu(mlp((1 + eps) h_i + m_i))                     eq. 4.1; a layer's mlp is linear, batch norm, relu, linear
    y    = head(cat_t sum_i h_i^t)                            eq. 4.2, t = 0 .. depth

Expressivity: equal to 1-WL on countable features with enough layers and width (theorem 3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Dropout, Head, Pool, on_rows
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Embed(nn.Module):
    """h_i^0 = W x_i."""

    def __init__(self, d_node: int, d: int):
        super().__init__()
        self.W = nn.Linear(d_node, d)

    def forward(self, graph: Graph) -> Graph:
        h = on_rows(self.W, graph.nodes["x"])  # [N, d]
        return graph.with_nodes(h=h, all=h)


class Message(nn.Module):
    """relu(h_j + W e_ij)."""

    def __init__(self, d_edge: int, d: int):
        super().__init__()
        self.W = nn.Linear(d_edge, d)

    def forward(self, e: Edge) -> dict[str, Tensor]:
        return {"m": torch.relu(e.j["h"] + self.W(e.e["edge_attr"]))}


class Update(nn.Module):
    """relu(mlp((1 + eps) h_i + m_i)), eq. 4.1; the states of all layers are kept for the readout."""

    lazy = True  # runs on one row of each colour, where that pays

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(()))
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.BatchNorm1d(2 * d), nn.ReLU(), nn.Linear(2 * d, d))
        self.dropout = Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        h = self.dropout(self.mlp((1 + self.eps) * dense(nodes["h"]) + messages["m"]).relu())  # [N, d]
        return {"h": h, "all": torch.cat([dense(nodes["all"]), h], -1)}  # [N, (t + 1) d]


def build(inputs: Inputs, out: int, d: int = 300, depth: int = 4, dropout: float = 0.0, aggregate: Aggregate = segment.sum) -> MPNN:
    """`depth` layers of width `d`; `aggregate` pools nodes into graphs."""
    layers = [Layer(Message(inputs.edges, d), Update(d, dropout)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head((depth + 1) * d, out, hidden=d, dropout=dropout), aggregate, of="all"))
