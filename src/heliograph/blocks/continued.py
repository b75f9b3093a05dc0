"""Sums over edges k -> j that an edge j -> i continues, weighted by functions of the angle, without listing pairs of edges.

    s_ji = sum_(k in N(j) - i) x_kj sum_l R_l(r_kj) sqrt((2 l + 1) / 4 pi) P_l(u_kj . u_ji)

By the addition theorem P_l(a . b) = 4 pi / (2 l + 1) sum_m Y_lm(a) Y_lm(b), so that node j has one sum of x R Y over its edges, which
each edge j -> i reads with Y of its own direction. k = i is the edge itself, run backwards, where P_l(-1) = (-1)^l: it is taken off, by its
image.
"""

from __future__ import annotations

from math import pi
from typing import final

import torch
from torch import Tensor, nn

from heliograph import kernels
from heliograph.graph import Indexed
from heliograph.topology import Segments, Topology


@final
class Continued(nn.Module):
    """s_ji [E, d] of x_kj [E, d], R [E, orders, d] (a row for each pair) and Y [E, orders^2], harmonics of directions to the receiver."""

    rows: Tensor
    order: Tensor

    def __init__(self, orders: int):
        super().__init__()
        order = torch.arange(orders).repeat_interleave(2 * torch.arange(orders) + 1)  # l of each row (l, m)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("rows", torch.arange(len(order)), persistent=False)

    def forward(self, x: Tensor, R: Indexed, Y: Tensor, t: Topology) -> Tensor:
        none, M = torch.zeros_like(self.rows), len(self.rows)
        into = torch.stack([self.order, none, self.rows])
        A = kernels.coupled_sum(Y, None, R.table, R.index, x[:, None], None, into, M, t.incoming)  # [N, M, d]
        n = torch.arange(R.table.shape[1], dtype=x.dtype, device=x.device)
        norm = (4 * pi / (2 * n + 1)).sqrt()
        one, edges = x.new_ones(1, 1, x.shape[1]), torch.arange(t.E, device=x.device)
        out_of, each = torch.stack([self.rows, none, none]), Segments(edges, t.E)
        s = kernels.coupled_sum(Y * norm[self.order], None, A, t.senders, one, torch.zeros_like(edges), out_of, 1, each)[:, 0]
        signed = (R.table * ((-1) ** n / norm)[:, None]).sum(1)  # [P, d]
        turned = x[t.reverse.clamp(min=0)] * (t.reverse >= 0).to(x.dtype)[:, None]
        return s - turned * kernels.gather(signed, R.index)
