"""What DimeNet and DimeNet++ share: functions of distances and directions on directed edges, messages m_ji on them, answers of atoms.

After Gasteiger et al. 2020, arXiv:2003.03123 and arXiv:2011.14115.
"""

from __future__ import annotations

from math import pi
from typing import final

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.blocks.basic import MLP
from heliograph.blocks.harmonics import Envelope, SphericalBessel, harmonics
from heliograph.graph import Graph, Indexed, dense


@final
class DirectedStart(nn.Module):
    """Functions of distances and directions, and the first messages [E, d]."""

    def __init__(self, d: int, out: int, wide: int | None, spherical: int, radial: int, cutoff: float):
        super().__init__()
        self.frequency, self.cutoff, self.orders, self.out = nn.Parameter(pi * torch.arange(1.0, radial + 1)), cutoff, spherical, out
        self.envelope, self.bessel = Envelope(), SphericalBessel(spherical, radial, cutoff)
        self.element, self.e, self.W = nn.Embedding(119, d), nn.Linear(radial, d), nn.Linear(3 * d, d)
        self.answer = Answer(d, out, wide, radial)

    def forward(self, graph: Graph) -> Graph:
        t, act, x = graph.topology, nn.functional.silu, (dense(graph.edges["distance"]) / self.cutoff).clamp(min=1e-3)  # [E, 1]
        e = self.envelope(x) * (self.frequency * x).sin()  # [E, radial]
        h, own = self.element(dense(graph.nodes["z"]).long()), act(self.e(e))
        m = act(self.W(torch.cat([kernels.gather(h, t.receivers), kernels.gather(h, t.senders), own], -1)))  # [E, d]
        toward = -dense(graph.edges["direction"])  # from sender to receiver
        distance = graph.edges["distance"]
        assert isinstance(distance, Indexed)
        a = Indexed(self.bessel(distance.table), distance.index)  # [E, l, n], a row for each pair
        edges = {"e": e, "a": a, "Y": harmonics(toward, self.orders - 1), "m": m}
        return self.answer(graph.with_edges(**edges).with_nodes(h=h, answer=h.new_zeros(graph.N, self.out)))


@final
class Answer(nn.Module):
    """answer_i += mlp(sum_j W e(r_ji) * m_ji); the last linear map has no bias. `wide`: sums are widened first, as in DimeNet++."""

    def __init__(self, d: int, out: int, wide: int | None, radial: int):
        super().__init__()
        w = wide or d
        self.e, self.up = nn.Linear(radial, d, bias=False), nn.Linear(d, w, bias=False) if wide else nn.Identity()
        self.mlp, self.last = MLP(w, w, w, w, act=nn.SiLU), nn.Linear(w, out, bias=False)

    def forward(self, graph: Graph) -> Graph:
        m = self.e(dense(graph.edges["e"])) * dense(graph.edges["m"])
        h = nn.functional.silu(self.mlp(self.up(segment.sum(m, graph.topology.incoming))))  # [N, wide]
        return graph.with_nodes(h=h, answer=dense(graph.nodes["answer"]) + self.last(h))


@final
class MessageResidual(nn.Module):
    """m + act W act W m."""

    def __init__(self, d: int):
        super().__init__()
        self.W = nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d), nn.SiLU())

    def forward(self, m: Tensor) -> Tensor:
        return m + self.W(m)
