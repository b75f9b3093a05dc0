"""Neural fingerprints (Duvenaud et al. 2015, arXiv:1509.09292, algorithm 2).

    m_i  = sum_j [h_j, e_ij]                                  line 8: neighbours and the bonds to them
    h_i' = relu(W h_i + H_deg(i) m_i + b)                     line 9: a matrix per number of neighbours
    f    = sum_t sum_i softmax(V_t h_i^t + c_t)               lines 10 and 11: each atom adds one to the fingerprint, at each step
    y    = head(f)

Steps t = 0 .. T, h^0 = x. As in the authors' code, an atom's own state has a matrix of its own (in the algorithm it is added to
its neighbours'), bond features enter, and the first states are part of the fingerprint.
Departures: no batch normalisation; more neighbours than `max_degree` share the last matrix. Expressivity: at most 1-WL (on graphs
with node and edge labels).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Head, Pool, on_rows
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Start(nn.Module):
    """h_i = x_i, its part of the fingerprint, and the number of neighbours."""

    def __init__(self, d_node: int, length: int, max_degree: int):
        super().__init__()
        self.V, self.max_degree = nn.Linear(d_node, length), max_degree

    def forward(self, graph: Graph) -> Graph:
        x = graph.nodes["x"]
        degree = graph.topology.degree.clamp(max=self.max_degree)  # [N]
        return graph.with_nodes(h=x, f=on_rows(lambda x: self.V(x).softmax(-1), x), degree=degree)


class Message(nn.Module):
    """[h_j, e_ij]."""

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": torch.cat([e.j["h"], e.e["edge_attr"]], -1)}


class Update(nn.Module):
    """h_i' = relu(W h_i + H_deg(i) m_i + b), and what it adds to the fingerprint."""

    def __init__(self, d_in: int, d_edge: int, d: int, length: int, max_degree: int):
        super().__init__()
        self.W, self.V = nn.Linear(d_in, d), nn.Linear(d, length)
        bound = (d_in + d_edge) ** -0.5
        self.H = nn.Parameter(torch.empty(max_degree + 1, d_in + d_edge, d).uniform_(-bound, bound))

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        degree, m = dense(nodes["degree"]), messages["m"]  # [N], [N, d_in + d_edge]
        by_degree = (m @ self.H)[degree, torch.arange(len(m), device=m.device)]  # [degrees, N, d] -> [N, d]
        h = (on_rows(self.W, nodes["h"]) + by_degree).relu()
        return {"h": h, "f": dense(nodes["f"]) + self.V(h).softmax(-1)}  # [N, d], [N, length]


def build(inputs: Inputs, out: int, d: int = 100, depth: int = 2, length: int = 512, max_degree: int = 5) -> MPNN:
    """`depth` steps of width `d`; `length` of the fingerprint (the authors' code has these defaults)."""
    widths = [inputs.nodes] + [d] * depth
    layers = [Layer(Message(), Update(w, inputs.edges, d, length, max_degree)) for w in widths[:-1]]
    return MPNN(Start(inputs.nodes, length, max_degree), layers, Pool(Head(length, out, hidden=100), segment.sum, of="f"))
