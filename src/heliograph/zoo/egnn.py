"""EGNN: E(n) equivariant graph neural network (Satorras et al. 2021, arXiv:2102.09844).

    m_ij   = phi_e(h_i, h_j, |x_i - x_j|^2)                                            eq. 3
    x_i'   = x_i + 1 / (n - 1) sum_j (x_i - x_j) / (|x_i - x_j| + 1) phi_x(m_ij)        eq. 4
    m_i    = sum_j a_ij m_ij,  a_ij = sigmoid(inf(m_ij))                               eqs. 5 and 8
    h_i'   = h_i + phi_h(h_i, m_i)                                                     eq. 6, with a residual
    y      = sum_i mlp(h_i)

Every other node is a neighbour, or with a `cutoff` those within it: then m_ij and the moves fade with c(|x_i - x_j|) of the positions as
they were given, 1 / `neighbours` stands for 1 / (n - 1), and crystals work, since x moves relative to neighbours and their images alone.
Coordinates move in all steps but the last, whose move nothing would read; the authors' run on QM9
moves none (`moves` = 0). Differences are over |x_i - x_j| + 1, as in the authors' code, which keeps sums bounded. Positions may have
any number of dimensions. Expressivity: above 1-WL on distances once coordinates have moved; energies are invariant under
rotation, reflection and translation, positions move along.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from heliograph.blocks import MLP, AtomWise, Elements, PolynomialCutoff
from heliograph.edge import Edge
from heliograph.geometry import pair_vectors
from heliograph.graph import Features, Graph, Indexed, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import Neighbours

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "above 1-WL"


class Message(nn.Module):
    """a_ij m_ij and, where coordinates move, the weighted difference of eq. 4. `fades`: times the edges' `fade`."""

    def __init__(self, d: int, moves: bool, fades: bool):
        super().__init__()
        self.phi_e = nn.Sequential(MLP(2 * d + 1, d, d, act=nn.SiLU), nn.SiLU())
        self.inf, self.phi_x, self.fades = nn.Linear(d, 1), MLP(d, d, 1, act=nn.SiLU) if moves else None, fades

    def forward(self, e: Edge) -> dict[str, Any]:
        apart = e.i["move"] - e.j["move"] - e.e["vector"]  # [E, n]: x_i - x_j, the vector is that from i to j
        square = (apart * apart).sum(-1, keepdim=True)  # [E, 1]
        m = self.phi_e(torch.cat([e.i["h"], e.j["h"], square], -1))  # [E, d]
        weighted = m * torch.sigmoid(self.inf(m))
        found = {"m": weighted * e.e["fade"] if self.fades else weighted}
        if self.phi_x is None:
            return found
        dx = apart / ((square + 1e-8).sqrt() + 1) * self.phi_x(m)
        return found | {"dx": dx * e.e["fade"] if self.fades else dx}


class Update(nn.Module):
    """h_i + phi_h(h_i, m_i); x_i + dx_i / (n - 1). `move` [N, n] is how far x_i is from where it was."""

    def __init__(self, d: int):
        super().__init__()
        self.phi_h = MLP(2 * d, d, d, act=nn.SiLU)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        h = dense(nodes["h"])
        found = {"h": h + self.phi_h(torch.cat([h, messages["m"]], -1))}
        return found | ({"move": dense(nodes["move"]) + messages["dx"] * dense(nodes["per_move"])} if "dx" in messages else {})


class Start(nn.Module):
    """h_i from the element; x_i has not moved. Vectors of edges, and what sums of moves are multiplied by."""

    def __init__(self, d: int, cutoff: float, neighbours: float):
        super().__init__()
        self.elements, self.neighbours = Elements(d), neighbours if cutoff else 0.0
        self.fade = PolynomialCutoff(cutoff, p=6) if cutoff else None

    def forward(self, graph: Graph) -> Graph:
        r, t, distance = pair_vectors(graph), graph.topology, graph.edges["distance"]
        assert isinstance(distance, Indexed)
        if self.fade is not None:
            graph = graph.with_edges(fade=Indexed(self.fade(distance.table), distance.index))
        vector = r.index_select(0, t.pairs.index) * t.pairs.sign[:, None].to(r.dtype)  # [E, n]
        others = torch.full((graph.N,), self.neighbours) if self.neighbours else (t.n_node - 1).clamp(min=1)[t.nodes_by_graph.index]
        move = r.new_zeros(graph.N, r.shape[1])
        return self.elements(graph).with_edges(vector=vector).with_nodes(move=move, per_move=1 / others.to(move)[:, None])


def build(inputs: Inputs, out: int, d: int = 128, depth: int = 7, moves: int = -1, cutoff: float = 0.0, neighbours: float = 15.0) -> MPNN:
    """`depth` steps of width `d`; coordinates move in the first `moves` of them (-1: in all but the last). Neighbours within `cutoff`
    angstrom, about `neighbours` of them; 0: all nodes are neighbours."""
    moving = depth - 1 if moves < 0 else moves
    layers = [Layer(Message(d, k < moving, cutoff > 0), Update(d)) for k in range(depth)]
    near = Neighbours(cutoff or math.inf)
    return MPNN(Start(d, cutoff, neighbours), layers, AtomWise(MLP(d, d, out, act=nn.SiLU)), view=near)
