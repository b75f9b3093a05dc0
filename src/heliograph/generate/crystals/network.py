"""CSPNet: crystals as complete graphs of fractional coordinates (Jiao et al. 2023, DiffCSP, arXiv:2309.04475, sec. 4.3).

    m_ij = phi_m(h_i, h_j, l, psi(f_j - f_i))      psi: sines and cosines of multiples of 2 pi of each component      eq. 6
    h_i' = h_i + phi_h(h_i, sum_j m_ij)                                                                          eq. 7
    f    = phi_f(h_i),  l = phi_l(mean_i h_i)                                                                    eq. 8

Departures: the cell l is six numbers that do not turn with it, where the paper has L^T L; sums are means; states are
normalised. Invariant under rotation, reflection, translation and renumbering of atoms; not under another choice of the cell.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.blocks import MLP
from heliograph.edge import Edge
from heliograph.generate.network import Clock
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN

WAVES = 8  # multiples of 2 pi


@final
class Embed(nn.Module):
    """h from the element (or mask), the time and the cell; waves of fractional differences [E, 6 WAVES]."""

    multiples: Tensor

    def __init__(self, d: int, species: int):
        super().__init__()
        self.types, self.clock, self.lattice = nn.Embedding(species + 1, d), Clock(d, 0), MLP(6, d, d, act=nn.SiLU)
        self.register_buffer("multiples", 2 * torch.pi * torch.arange(1, WAVES + 1), persistent=False)

    def forward(self, graph: Graph) -> Graph:
        t, frac = graph.topology, dense(graph.nodes["frac"])
        cell = kernels.gather(self.lattice(dense(graph.globals["lattice"])), t.nodes_by_graph.index)
        h = self.types(dense(graph.nodes["species"])) + self.clock(graph) + cell
        turns = ((frac[t.senders] - frac[t.receivers])[:, :, None] * self.multiples).flatten(1)  # [E, 3 WAVES]
        return graph.with_nodes(h=h, l=cell).with_edges(wave=torch.cat([turns.sin(), turns.cos()], -1))


@final
class Message(nn.Module):
    """phi_m."""

    def __init__(self, d: int):
        super().__init__()
        self.phi_m = nn.Sequential(MLP(3 * d + 6 * WAVES, d, d, act=nn.SiLU), nn.SiLU())

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": self.phi_m(torch.cat([e.i["u"], e.j["u"], e.i["l"], e.e["wave"]], -1))}


@final
class Normed(nn.Module):
    """u = LN(h), what nodes send."""

    def __init__(self, d: int):
        super().__init__()
        self.norm = nn.LayerNorm(d)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(u=self.norm(dense(graph.nodes["h"])))


@final
class Update(nn.Module):
    """h + phi_h(h, m)."""

    def __init__(self, d: int):
        super().__init__()
        self.phi_h = MLP(2 * d, d, d, act=nn.SiLU)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": dense(nodes["h"]) + self.phi_h(torch.cat([dense(nodes["u"]), messages["m"]], -1))}


@final
class Answers(nn.Module):
    """Answers "move" [N, 3] fractional (mean 0 in each crystal), "lattice" [G, 6] its displacement, "species" [N, K]."""

    def __init__(self, d: int, species: int):
        super().__init__()
        self.norm, self.species = nn.LayerNorm(d), MLP(d, d, species, act=nn.SiLU)
        self.move, self.lattice = MLP(d, d, 3, act=nn.SiLU), MLP(d, d, 6, act=nn.SiLU)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        h, by_graph = self.norm(dense(graph.nodes["h"])), graph.topology.nodes_by_graph
        move = self.move(h)
        move = move - kernels.gather(segment.mean(move, by_graph), by_graph.index)
        return {"move": move, "lattice": self.lattice(segment.mean(h, by_graph)), "species": self.species(h)}


def build(species: int, d: int = 128, depth: int = 5) -> MPNN:
    """The network for `species` elements."""
    steps = [step for _ in range(depth) for step in (Normed(d), Layer(Message(d), Update(d), segment.mean))]
    return MPNN(Embed(d, species), steps, Answers(d, species))
