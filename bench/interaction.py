"""Interaction network: a pair MLP as the message (Battaglia et al. 2016, arXiv:1612.00222), on complete graphs with distances.

    m_i  = sum_j W2 relu(W1 [h_i, h_j, e_ij])         h_i' = h_i + m_i         y = W (sum_i h_i)

Written as a file of the zoo would be, for `training_step.py`; the sum with h_i stands for the object model, which is not measured here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import MLP, Pool, on_rows
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph, with_distances

FEATURIZER, GEOMETRY = "table10_1", "required"


def all_pairs(graph: Graph) -> Graph:
    """The complete graph with distances."""
    return with_distances(CompleteGraph()(graph))


class Embed(nn.Module):
    """h_i = W x_i."""

    def __init__(self, d_node: int, d: int):
        super().__init__()
        self.W = nn.Linear(d_node, d)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=on_rows(self.W, graph.nodes["x"]))  # [N, d]


class PairMLP(nn.Module):
    """W2 relu(W1 [h_i, h_j, e_ij])."""

    def __init__(self, d: int, d_edge: int):
        super().__init__()
        self.phi = MLP(2 * d + d_edge, d, d)

    def forward(self, e: Edge) -> dict[str, Tensor]:
        return {"m": self.phi(torch.cat([e.i["h"], e.j["h"], e.e["edge_attr"], e.e["distance"]], -1))}  # [E, d]


class Update(nn.Module):
    """h_i + m_i."""

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": dense(nodes["h"]) + messages["m"]}  # [N, d]


def build(inputs: Inputs, out: int, d: int = 128, depth: int = 4) -> MPNN:
    """`depth` interactions of width `d`."""
    layers = [Layer(PairMLP(d, inputs.edges + 1), Update()) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(nn.Linear(d, out), segment.sum), view=all_pairs)
