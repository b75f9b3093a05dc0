"""DimeNet: directional message passing (Gasteiger et al. 2020, arXiv:2003.03123), computed without triplets.

    m_ji   = act W [h_j, h_i, act W e(r_ji)]                                           embedding of directed edges j -> i
    s_ji   = sum_(k in N(j) - i) sum_b W_b x_kj a_b(r_kj, angle of kj and ji),   x_kj = act(W m_kj) * W e(r_kj)       eq. 9
    m_ji'  = residual layers (act W m_ji + s_ji) + m_ji, h_ij' in other papers' letters
    y      = sum_i sum_blocks mlp(sum_j W e(r_ji) * m_ji)

a_b are `bilinear` linear combinations of a_ln = j_l(z_ln x) sqrt((2 l + 1) / 4 pi) P_l(cos angle) under the envelope, e are Bessel
functions sin(n pi x) under it, x = r / cutoff. The sum over k is exact without listing pairs of edges (`blocks.continued`). The angle is
that of the paper, between k -> j and j -> i (its supplement: another sign of the weights of odd l); the authors' code and PyTorch
Geometric's DimeNet take the angle at i between j and k, which is no function of the edge k -> j and its continuation. DimeNet++ is cheaper
and no worse. Expressivity: above 1-WL on distances, since angles enter; energies are invariant under rotation, reflection and translation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph.blocks import AtomWise
from heliograph.blocks.continued import Continued
from heliograph.blocks.directed import Answer, DirectedStart, MessageResidual
from heliograph.graph import Graph, Indexed, dense
from heliograph.model import MPNN, Inputs
from heliograph.views import Neighbours

FEATURIZER, GEOMETRY, BOUND = "elements", "required", "above 1-WL"


class Interaction(nn.Module):
    """s_ji of eq. 9 from sums over the edges of node j, then the new message, then a new part of the answer."""

    def __init__(self, d: int, out: int, bilinear: int, spherical: int, radial: int):
        super().__init__()
        self.e, self.a = nn.Linear(radial, d, bias=False), nn.Linear(spherical * radial, bilinear, bias=False)
        self.kj, self.ji, self.bilinear = nn.Linear(d, d), nn.Linear(d, d), nn.Parameter(torch.randn(d, bilinear, d) * 2 / d)
        self.before, self.W = MessageResidual(d), nn.Linear(d, d)
        self.after = nn.Sequential(MessageResidual(d), MessageResidual(d))
        self.answer, self.continued = Answer(d, out, None, radial), Continued(spherical)

    def sums(self, x: Tensor, graph: Graph) -> Tensor:
        """s_ji [E, d] of x_kj [E, d]."""
        a, Y = graph.edges["a"], dense(graph.edges["Y"])
        assert isinstance(a, Indexed)
        R = torch.einsum("pln,bln->bpl", a.table, self.a.weight.unflatten(1, a.table.shape[1:]))  # [b, P, l]
        s = torch.zeros_like(x)
        for b, W in zip(R.unbind(), self.bilinear.unbind(1), strict=True):
            wide = Indexed(b[:, :, None].expand(-1, -1, x.shape[1]), a.index)
            s = s + self.continued(x, wide, Y, graph.topology) @ W.T
        return s

    def forward(self, graph: Graph) -> Graph:
        act, m = nn.functional.silu, dense(graph.edges["m"])  # [E, d]
        x = act(self.kj(m)) * self.e(dense(graph.edges["e"]))  # [E, d]
        new = self.before(act(self.ji(m)) + self.sums(x, graph))
        return self.answer(graph.with_edges(m=self.after(act(self.W(new)) + m)))


def build(
    inputs: Inputs, out: int, d: int = 128, depth: int = 6, bilinear: int = 8, spherical: int = 7, radial: int = 6, cutoff: float = 5.0
) -> MPNN:
    """`depth` interactions of width `d`; orders l below `spherical`, `radial` functions of the distance within `cutoff` angstrom."""
    blocks = [Interaction(d, out, bilinear, spherical, radial) for _ in range(depth)]
    start, readout = DirectedStart(d, out, None, spherical, radial, cutoff), AtomWise(nn.Identity(), of="answer")
    return MPNN(start, blocks, readout, view=Neighbours(cutoff))
