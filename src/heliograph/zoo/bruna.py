"""Spectral networks with smooth filters (Bruna, Zaremba, Szlam & LeCun 2014, arXiv:1312.6203).

    h'   = relu(V F(Lambda) V^T h + b)                        sec. 3.2: L = V Lambda V^T, F a matrix of channels per eigenvalue
    F(l) = sum_k beta_k(l) F_k                                sec. 3.4: smooth in l, K cubic B-splines on [0, 2]
    m_i  = sum_j F_ij h_j,  F_ij = sum_k (V beta_k V^T)_ij F_k              the same as messages between all nodes, i too
    h_i' = relu(m_i + b)
    y    = head(mean_i h_i)

L = 1 - D^-1/2 A D^-1/2. Departures: the paper's filters are smooth in the eigenvalue's number on one fixed graph; here in the
eigenvalue itself, so that degenerate spectra and graphs of other sizes are defined; its pooling of nodes into clusters is left out;
h_i^0 = W x_i. Edge features are not used, as in the paper.
Expressivity: at most 1-WL, since on any two graphs a function of L is a polynomial of L, many message passing steps at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Embed, Head, Pool, apply_matrix
from heliograph.edge import Edge
from heliograph.graph import Features
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import SpectralSplines

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"
PARTS = False


class Message(nn.Module):
    """F_ij h_j."""

    def __init__(self, d: int, K: int):
        super().__init__()
        self.F = nn.Linear(K, d * d, bias=False)
        nn.init.uniform_(self.F.weight, -(d**-0.5), d**-0.5)  # each F_k as a linear layer of its own

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": apply_matrix(self.F(e.e["spectrum"]), e.j["h"])}  # [E, d]


class Update(nn.Module):
    """relu(m_i + b)."""

    def __init__(self, d: int):
        super().__init__()
        self.b = nn.Parameter(torch.zeros(d))

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": (messages["m"] + self.b).relu()}


def build(inputs: Inputs, out: int, d: int = 32, depth: int = 2, K: int = 8, aggregate: Aggregate = segment.mean) -> MPNN:
    """`depth` layers of width `d` with `K` >= 4 splines."""
    layers = [Layer(Message(d, K), Update(d)) for _ in range(depth)]
    return MPNN(Embed(inputs.nodes, d), layers, Pool(Head(d, out), aggregate), view=SpectralSplines(K))
