"""DimeNet++ (Gasteiger et al. 2020, arXiv:2011.14115), messages with angles, computed without triplets.

    m_ji   = act W [h_j, h_i, act W e(r_ji)]                                           embedding of directed edges j -> i
    x_kj   = act D (act(W m_kj) * W e(r_kj))
    s_ji   = sum_(k in N(j) - i) x_kj * W a(r_kj, angle of kj and ji)                  eq. 7
    m_ji'  = residual layers (act(W m_ji) + act(U s_ji)) + m_ji, h_ij' in other papers' letters
    y      = sum_i sum_blocks mlp(sum_j W e(r_ji) * m_ji)

e are Bessel functions sin(n pi x) under the envelope, a_ln = j_l(z_ln x) sqrt((2 l + 1) / 4 pi) P_l(cos angle), x = r / cutoff. By
the addition theorem P_l(a . b) is a sum over m of Y_lm(a) Y_lm(b), so the sum over k is, for each node j, one sum of outer products
over its edges, and s_ji reads it with Y_lm of its own direction; the term k = i, for which P_l(-1) = (-1)^l, is taken off. That is exact:
no angle is computed, collinear atoms are nothing special, and time grows with edges instead of pairs of edges.
The angle is that between the directions k -> j and j -> i (the paper's is its supplement: another sign of the weights of odd l).
Expressivity: above 1-WL on distances, since angles enter; energies are invariant under rotation, reflection and translation.
"""

from __future__ import annotations

import torch
from torch import nn

from heliograph.blocks import AtomWise
from heliograph.blocks.continued import Continued
from heliograph.blocks.directed import Answer, DirectedStart, MessageResidual
from heliograph.graph import Graph, Indexed, dense
from heliograph.model import MPNN, Inputs
from heliograph.views import Neighbours

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "above 1-WL"


class Interaction(nn.Module):
    """s_ji of eq. 7 from sums over the edges of node j, then the new message, then a new part of the answer."""

    def __init__(self, d: int, out: int, wide: int, narrow: int, spherical: int, radial: int):
        super().__init__()
        self.e = nn.Sequential(nn.Linear(radial, 8, bias=False), nn.Linear(8, d, bias=False))
        self.a_in, self.a_out = nn.Linear(spherical * radial, 8, bias=False), nn.Linear(8, narrow, bias=False)
        self.kj, self.ji = nn.Linear(d, d), nn.Linear(d, d)
        self.down, self.up = nn.Linear(d, narrow, bias=False), nn.Linear(narrow, d, bias=False)
        self.before, self.W, self.after = MessageResidual(d), nn.Linear(d, d), nn.Sequential(MessageResidual(d), MessageResidual(d))
        self.answer, self.continued = Answer(d, out, wide, radial), Continued(spherical)

    def forward(self, graph: Graph) -> Graph:
        act, m = nn.functional.silu, dense(graph.edges["m"])  # [E, d]
        x = act(self.down(act(self.kj(m)) * self.e(dense(graph.edges["e"]))))  # [E, narrow]
        a = graph.edges["a"]
        assert isinstance(a, Indexed)
        weights = (self.a_out.weight @ self.a_in.weight).unflatten(1, a.table.shape[1:])  # [narrow, l, n]
        R = Indexed(torch.einsum("pln,cln->plc", a.table, weights), a.index)  # [E, l, narrow]: the radial part of each order
        s = self.continued(x, R, dense(graph.edges["Y"]), graph.topology)
        new = self.before(act(self.ji(m)) + act(self.up(s)))
        return self.answer(graph.with_edges(m=self.after(act(self.W(new)) + m)))


def build(inputs: Inputs, out: int, d: int = 128, depth: int = 4, spherical: int = 7, radial: int = 6, cutoff: float = 5.0) -> MPNN:
    """`depth` interactions of width `d`; orders l below `spherical`, `radial` functions of the distance within `cutoff` angstrom."""
    blocks = [Interaction(d, out, 2 * d, d // 2, spherical, radial) for _ in range(depth)]
    start, readout = DirectedStart(d, out, 2 * d, spherical, radial, cutoff), AtomWise(nn.Identity(), of="answer")
    return MPNN(start, blocks, readout, view=Neighbours(cutoff))
