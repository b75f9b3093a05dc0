"""Weave: graph convolutions with learned states of pairs (Kearnes et al. 2016, arXiv:1603.00856).

    m_i   = sum_j relu(W_PA e_ij)                                                             pairs to atoms
    h_i'  = relu(W_A [relu(W_AA h_i), m_i])                                                   atoms
    e_ij' = relu(W_P [relu(W_AP [h_i, h_j]) + relu(W_AP [h_j, h_i]), relu(W_PP e_ij)])        pairs, from the same h and e
    y     = W tanh(V sum_i histogram(tanh(U h_i)))

The histogram spreads each of an atom's values over 11 overlapping Gaussian bins (DeepChem's means and widths). All pairs of atoms
are pairs, with the bond's features or zeros; the last step needs no new pairs. Every linear map has a bias.
Departures: the paper's pairs also carry graph distance and common rings, and an atom is a pair with itself; tanh instead of batch
normalisation brings values into the bins. Expressivity: at most 1-WL (pairs without a bond add only counts of what is there).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Pool, on_rows
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
PARTS = False
MEANS = [-1.645, -1.080, -0.739, -0.468, -0.228, 0.0, 0.228, 0.468, 0.739, 1.080, 1.645]  # bins of equal weight under a unit Gaussian
WIDTHS = [0.283, 0.170, 0.134, 0.118, 0.114, 0.114, 0.114, 0.118, 0.134, 0.170, 0.283]


class Start(nn.Module):
    """h_i = x_i and e_ij = the bond's features."""

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=graph.nodes["x"]).with_edges(e=graph.edges["edge_attr"])


class Pairs(nn.Module):
    """e_ij'. It runs at the start of the next step, hence from the atoms `before`."""

    def __init__(self, d_h: int, d_e: int, d: int):
        super().__init__()
        self.W_AP, self.W_PP, self.W_P = nn.Linear(2 * d_h, d), nn.Linear(d_e, d), nn.Linear(2 * d, d)

    def forward(self, e: Edge) -> dict[str, Any]:
        i, j = e.i["before"], e.j["before"]
        AP = torch.relu(self.W_AP(torch.cat([i, j], -1))) + torch.relu(self.W_AP(torch.cat([j, i], -1)))  # [E, d]
        return {"e": torch.relu(self.W_P(torch.cat([AP, torch.relu(self.W_PP(e.e["e"]))], -1)))}


class Message(nn.Module):
    """relu(W_PA e_ij)."""

    def __init__(self, d_e: int, d: int):
        super().__init__()
        self.W_PA = nn.Linear(d_e, d)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": torch.relu(self.W_PA(e.e["e"]))}


class Atoms(nn.Module):
    """h_i' = relu(W_A [relu(W_AA h_i), m_i])."""

    def __init__(self, d_h: int, d: int):
        super().__init__()
        self.W_AA, self.W_A = nn.Linear(d_h, d), nn.Linear(2 * d, d)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Any]:
        AA = on_rows(lambda h: self.W_AA(h).relu(), nodes["h"])  # [N, d]
        return {"h": self.W_A(torch.cat([AA, messages["m"]], -1)).relu(), "before": nodes["h"]}


class Histogram(nn.Module):
    """Each of d values as its shares in the bins, from tanh(U h_i): [N, d] -> [N, 11 width]."""

    means: Tensor
    widths: Tensor

    def __init__(self, d: int, width: int):
        super().__init__()
        self.U = nn.Linear(d, width)
        self.register_buffer("means", torch.tensor(MEANS))
        self.register_buffer("widths", torch.tensor(WIDTHS))

    def forward(self, graph: Graph) -> Graph:
        x = self.U(dense(graph.nodes["h"])).tanh()[:, :, None]  # [N, width, 1]
        share = (-0.5 * ((x - self.means) / self.widths).square()).softmax(-1)  # [N, width, 11]
        return graph.with_nodes(bins=share.flatten(1))


def build(inputs: Inputs, out: int, d: int = 50, depth: int = 2, width: int = 128) -> MPNN:
    """`depth` Weave modules of width `d`, `width` of the graph's vector."""
    h, e = [inputs.nodes] + [d] * depth, [inputs.edges] + [d] * depth  # widths before each module
    pairs = [None] + [Pairs(h[t], e[t], d) for t in range(depth - 1)]
    layers = [Layer(Message(e[t], d), Atoms(h[t], d), edge=pairs[t]) for t in range(depth)]
    head = nn.Sequential(nn.Linear(len(MEANS) * width, width), nn.Tanh(), nn.Linear(width, out))
    return MPNN(Start(), [*layers, Histogram(d, width)], Pool(head, segment.sum, of="bins"), view=CompleteGraph())
