"""GG-NN: gated graph neural network (Li et al. 2016, arXiv:1511.05493; read as messages by Gilmer et al. 2017, sec. 2).

    m_i  = sum_j A(e_ij) h_j,        A(e) = sum_k e_k A_k                             eq. 2: a matrix A_k per edge type
    h_i' = GRU(h_i, m_i)                                                              eqs. 3 to 6, weights tied over T steps
    m_i  = [sum_{j -> i} A_in(e) h_j, sum_{i -> j} A_out(e) h_j]                      eq. 2 with `both_ways`: along and against each edge
    y    = W tanh(sum_i sigmoid(f([h_i^T, x_i])) * tanh(g([h_i^T, x_i])))             eq. 7

With one-hot edge labels A(e) is the matrix of the edge's type; bond features beside it (conjugated, in a ring) add a matrix each.
Departures: h_i^0 = W x_i instead of x_i padded with zeros (eq. 1, a special case); no bias in eq. 2, since the GRU has one; the
GRU is PyTorch's, whose reset gate acts after its matrix, not before; the paper's second set of matrices, for edges walked
backwards, is there with `both_ways` only: it is not needed where each bond is two edges with one label; a linear map makes `out`
targets of eq. 7's vector.
Expressivity: at most 1-WL (on graphs with node and edge labels).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph.blocks import GRU, BothWays, Embed, Gated, apply_matrix
from heliograph.edge import Edge
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import WithReverse

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "1-WL"


class Message(nn.Module):
    """A(e_ij) h_j, eq. 2."""

    def __init__(self, d_edge: int, d: int):
        super().__init__()
        self.A = nn.Linear(d_edge, d * d, bias=False)
        nn.init.uniform_(self.A.weight, -(d**-0.5), d**-0.5)  # each A_k as a linear layer of its own

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": apply_matrix(self.A(e.e["edge_attr"]), e.j["h"])}  # [E, d]


class Readout(nn.Module):
    """W tanh(sum_i sigmoid(f) * tanh(g)), eq. 7."""

    def __init__(self, d_node: int, d: int, out: int):
        super().__init__()
        self.gated, self.W = Gated(d + d_node, d), nn.Linear(d, out)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        x = torch.cat([dense(graph.nodes["h"]), dense(graph.nodes["x"])], -1)  # [N, d + d_node]
        return {"y": self.W(self.gated(x, graph.topology.nodes_by_graph))}


def build(inputs: Inputs, out: int, d: int = 64, steps: int = 5, both_ways: bool = False) -> MPNN:
    """`d` node width, `steps` T; `both_ways` sends against each edge, too, with matrices of its own: for directed graphs."""
    M = Message(inputs.edges, d)
    layer = Layer(BothWays(M, Message(inputs.edges, d)), GRU(d, 2 * d)) if both_ways else Layer(M, GRU(d))
    return MPNN(Embed(inputs.nodes, d), [layer] * steps, Readout(inputs.nodes, d, out), view=WithReverse() if both_ways else None)
