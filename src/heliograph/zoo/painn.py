"""PaiNN: polarizable atom interaction network (Schuett, Unke & Gastegger 2021, arXiv:2102.03150).

    s_i^0 = a vector per element,  v_i^0 = 0                          s [N, d] scalars, v [N, 3, d] vectors
    W(r)  = linear(b(r)) f(r)           filters; b_n = sin(n pi r / cutoff) / r, f the cosine cutoff
    ds_i  = sum_j phi_s(s_j) * W_s(r_ij)     fig. 2b, message block
    dv_i  = sum_j v_j * phi_vv(s_j) * W_vv(r_ij) + phi_vs(s_j) * W_vs(r_ij) r_ij / |r_ij|
    h_i'  : s_i += a_ss + a_sv <U v_i, V v_i>      fig. 2c, update block; a = mlp([s_i, |V v_i|])
            v_i += a_vv U v_i
    y     = sum_i mlp(s_i);   dipole: |sum_i mu_i + q_i r_i|   from gated blocks of s_i and v_i, fig. 3

r_ij points from receiver i to its sender j. The norm |V v_i| is sqrt(sum + 1e-8), as in the authors' code, so that it has derivatives
at zero. Expressivity: above 1-WL on the graph labelled with distances, since vectors carry directions; energies are invariant
under rotation, reflection and translation, vectors rotate along.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import MLP, AtomWise, Bessel, CosineCutoff, DipoleVector, Elements
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, Indexed, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import Neighbours

FEATURIZER, GEOMETRY, BOUND, VECTORS = "elements", "required", "above 1-WL", ("v",)
EXTENSIVE = True


class Start(nn.Module):
    """s_i^0 from the element, v_i^0 = 0."""

    def __init__(self, d: int):
        super().__init__()
        self.elements = Elements(d)

    def forward(self, graph: Graph) -> Graph:
        graph = self.elements(graph)
        h = dense(graph.nodes["h"])
        return graph.with_nodes(v=h.new_zeros(graph.N, 3, h.shape[1]))  # [N, 3, d]


class Basis(nn.Module):
    """Neighbours with b(r) f(r) and f(r) side by side as the edges' `basis` [E, K + 1], the same for all layers."""

    def __init__(self, radial: int, cutoff: float):
        super().__init__()
        self.near, self.b, self.f = Neighbours(cutoff), Bessel(radial, cutoff), CosineCutoff(cutoff)

    def forward(self, graph: Graph) -> Graph:
        graph = self.near(graph)
        r = graph.edges["distance"]
        assert isinstance(r, Indexed)
        f = self.f(r.table)  # [P, 1]
        return graph.with_edges(basis=Indexed(torch.cat([self.b(r.table) * f, f], -1), r.index))


class Message(nn.Module):
    """The terms of the sums of fig. 2b, the two of dv apart. W has no bias: it is the weight of f.

    `vectors` false: v_j is zero, as before the first block, and so is its term.
    """

    def __init__(self, d: int, radial: int, vectors: bool):
        super().__init__()
        self.phi = MLP(d, d, (3 if vectors else 2) * d, act=nn.SiLU)
        self.W = nn.ModuleList(nn.Linear(radial + 1, d, bias=False) for _ in range(3 if vectors else 2))

    def forward(self, e: Edge) -> dict[str, Any]:
        phi_s, phi_vs, *phi_vv = self.phi(e.j["h"]).chunk(len(self.W), -1)  # [E, d] each
        W_s, W_vs, *W_vv = (W(e.e["basis"]) for W in self.W)
        along = phi_vs[:, None] * W_vs[:, None] * e.e["direction"][:, :, None]  # [E, 3, d]
        found = {"ds": phi_s * W_s, "along": along}
        if phi_vv:
            found["dv"] = e.j["v"] * phi_vv[0][:, None] * W_vv[0][:, None]
        return found


class Update(nn.Module):
    """Adds what came in, then mixes scalars and vectors, fig. 2c."""

    def __init__(self, d: int):
        super().__init__()
        self.U, self.V = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.a = MLP(2 * d, d, 3 * d, act=nn.SiLU)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        s = dense(nodes["h"]) + messages["ds"]  # [N, d]
        v = dense(nodes["v"]) + messages["along"]  # [N, 3, d]
        v = v + messages["dv"] if "dv" in messages else v
        Uv, Vv = self.U(v), self.V(v)
        norm = (Vv.square().sum(1) + 1e-8).sqrt()  # [N, d]
        a_vv, a_sv, a_ss = self.a(torch.cat([s, norm], -1)).chunk(3, -1)
        return {"h": s + a_ss + a_sv * (Uv * Vv).sum(1), "v": v + a_vv[:, None, :] * Uv}


def build(
    inputs: Inputs,
    out: int,
    d: int = 128,
    depth: int = 3,
    radial: int = 20,
    cutoff: float = 5.0,
    aggregate: Aggregate = segment.sum,
    dipole: bool = False,
) -> MPNN:
    """`depth` blocks of width `d`; `radial` functions within `cutoff` angstrom; `dipole`: targets are lengths of dipole moments."""
    layers = [Layer(Message(d, radial, vectors=t > 0), Update(d)) for t in range(depth)]
    readout = DipoleVector(d, out) if dipole else AtomWise(MLP(d, d // 2, out, act=nn.SiLU), aggregate)
    return MPNN(Start(d), layers, readout, view=Basis(radial, cutoff))
