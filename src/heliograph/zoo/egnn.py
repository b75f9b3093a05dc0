"""EGNN: E(n) equivariant graph neural network (Satorras et al. 2021, arXiv:2102.09844).

    m_ij   = phi_e(h_i, h_j, |x_i - x_j|^2)                                            eq. 3
    x_i'   = x_i + 1 / (n - 1) sum_j (x_i - x_j) / (|x_i - x_j| + 1) phi_x(m_ij)        eq. 4
    m_i    = sum_j a_ij m_ij,  a_ij = sigmoid(inf(m_ij))                               eqs. 5 and 8
    h_i'   = h_i + phi_h(h_i, m_i)                                                     eq. 6, with a residual
    y      = sum_i mlp(h_i)

Every other node is a neighbour. Coordinates move in all steps but the last, whose move nothing would read; the authors' run on QM9
moves none (`moves` = 0). Differences are over |x_i - x_j| + 1, as in the authors' code, which keeps sums bounded. Positions may have
any number of dimensions. Expressivity: above 1-WL on distances once coordinates have moved; energies are invariant under
rotation, reflection and translation, positions move along.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph.blocks import MLP, AtomWise, Elements
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "above 1-WL"


class Message(nn.Module):
    """a_ij m_ij and, where coordinates move, the weighted difference of eq. 4."""

    def __init__(self, d: int, moves: bool):
        super().__init__()
        self.phi_e = nn.Sequential(MLP(2 * d + 1, d, d, act=nn.SiLU), nn.SiLU())
        self.inf, self.phi_x = nn.Linear(d, 1), MLP(d, d, 1, act=nn.SiLU) if moves else None

    def forward(self, e: Edge) -> dict[str, Any]:
        apart = e.i["moved"] - e.j["moved"]  # [E, n]
        square = (apart * apart).sum(-1, keepdim=True)  # [E, 1]
        m = self.phi_e(torch.cat([e.i["h"], e.j["h"], square], -1))  # [E, d]
        found = {"m": m * torch.sigmoid(self.inf(m))}
        if self.phi_x is None:
            return found
        return found | {"dx": apart / ((square + 1e-8).sqrt() + 1) * self.phi_x(m)}


class Update(nn.Module):
    """h_i + phi_h(h_i, m_i); x_i + dx_i / (n - 1)."""

    def __init__(self, d: int):
        super().__init__()
        self.phi_h = MLP(2 * d, d, d, act=nn.SiLU)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        h = dense(nodes["h"])
        found = {"h": h + self.phi_h(torch.cat([h, messages["m"]], -1))}
        return found | ({"moved": dense(nodes["moved"]) + messages["dx"] * dense(nodes["per_move"])} if "dx" in messages else {})


class Start(nn.Module):
    """h_i from the element, x_i from the positions, and 1 / (n - 1) of each node's graph."""

    def __init__(self, d: int):
        super().__init__()
        self.elements = Elements(d)

    def forward(self, graph: Graph) -> Graph:
        pos, t = dense(graph.nodes["pos"]), graph.topology
        others = (t.n_node - 1).clamp(min=1).to(pos.dtype)[t.nodes_by_graph.index]
        return self.elements(graph).with_nodes(moved=pos, per_move=1 / others[:, None])


def build(inputs: Inputs, out: int, d: int = 128, depth: int = 7, moves: int = -1) -> MPNN:
    """`depth` steps of width `d`; coordinates move in the first `moves` of them (-1: in all but the last)."""
    moving = depth - 1 if moves < 0 else moves
    layers = [Layer(Message(d, k < moving), Update(d)) for k in range(depth)]
    return MPNN(Start(d), layers, AtomWise(MLP(d, d, out, act=nn.SiLU)), view=CompleteGraph())
