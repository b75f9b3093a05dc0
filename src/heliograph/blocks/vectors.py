"""Readouts of scalars and vectors: dipole moments and polarizabilities that rotate with the structure.

After PaiNN (Schuett, Unke & Gastegger 2021, arXiv:2102.03150). Node states are scalars `h` [N, d] and vectors `v` [N, 3, d].
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.blocks.basic import MLP
from heliograph.graph import Graph, dense


@final
class GatedVectors(nn.Module):
    """s', g = mlp([s, |V_1 v|]);  v' = g * V_2 v: a gated equivariant block, fig. 3 of the paper.

    [N, d] and [N, 3, d] become [N, out] and [N, 3, out]. The norm is sqrt(sum + 1e-8), so that it has derivatives at zero.
    """

    def __init__(self, d: int, out: int):
        super().__init__()
        self.V_1, self.V_2 = nn.Linear(d, d, bias=False), nn.Linear(d, out, bias=False)
        self.mlp, self.out = MLP(2 * d, d, 2 * out, act=nn.SiLU), out

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        norm = (self.V_1(v).square().sum(1) + 1e-8).sqrt()  # [N, d]
        s, gate = self.mlp(torch.cat([s, norm], -1)).split(self.out, -1)
        return s, gate[:, None] * self.V_2(v)


class _Moments(nn.Module):
    """Scalars and vectors of each atom, [N, out] and [N, 3, out], and positions [N, 3] from each graph's mean position."""

    def __init__(self, d: int, out: int):
        super().__init__()
        self.first, self.last, self.act = GatedVectors(d, d // 2), GatedVectors(d // 2, out), nn.SiLU()

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        s, v = self.first(dense(graph.nodes["h"]), dense(graph.nodes["v"]))
        s, v = self.last(self.act(s), v)
        pos, by_graph = dense(graph.nodes["pos"]), graph.topology.nodes_by_graph
        return s, v, pos - kernels.gather(segment.mean(pos, by_graph), by_graph.index)


@final
class DipoleVector(nn.Module):
    """mu_g = sum_i mu_i + q_i r_i: `dipole` [G, 3, out] and its length `y` [G, out].

    Charges q_i are shifted to add up to zero in each graph, so that the origin does not matter. Periodic structures have no dipole of
    this kind. The length's derivative at zero is zero.
    """

    def __init__(self, d: int, out: int = 1):
        super().__init__()
        self.moments = _Moments(d, out)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        q, mu, r = self.moments(graph)
        by_graph = graph.topology.nodes_by_graph
        q = q - kernels.gather(segment.mean(q, by_graph), by_graph.index)  # [N, out]
        dipole = segment.sum(mu + q[:, None] * r[:, :, None], by_graph)  # [G, 3, out]
        square = dipole.square().sum(1)
        length = torch.where(square > 0, square, 1).sqrt().where(square > 0, square)
        return {"y": length, "dipole": dipole}


@final
class Polarizability(nn.Module):
    """alpha_g = sum_i alpha_i I + nu_i (x) r_i + r_i (x) nu_i: `polarizability` [G, 3, 3] and a third of its trace, `y` [G, 1]."""

    def __init__(self, d: int):
        super().__init__()
        self.moments = _Moments(d, 1)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        alpha, nu, r = self.moments(graph)
        outer = nu * r[:, None, :]  # [N, 3, 3]
        each = alpha[:, :, None] * torch.eye(3, dtype=r.dtype, device=r.device) + outer + outer.transpose(1, 2)
        total = segment.sum(each, graph.topology.nodes_by_graph)  # [G, 3, 3]
        return {"y": total.diagonal(dim1=1, dim2=2).mean(1, keepdim=True), "polarizability": total}
