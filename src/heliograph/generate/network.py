"""The network of a generator: a zoo architecture's layers between an embedding of noisy molecules and four answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from heliograph import kernels
from heliograph.blocks import MLP, ByLength, centred, lengths
from heliograph.generate.data import CHARGES, ORDERS
from heliograph.graph import Graph, Indexed, dense
from heliograph.model import MPNN
from heliograph.zoo import semla

FREQUENCIES = 8
CENTRES = 16


class Near(nn.Module):
    """Distances [P] as Gaussians of `CENTRES` lengths, on the scale of the coordinates."""

    centres: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(0.3, 3.0, CENTRES), persistent=False)

    def forward(self, r: Tensor) -> Tensor:
        return torch.exp(-10 * (r[:, None] - self.centres) ** 2)  # [P, CENTRES]


class Clock(nn.Module):
    """The time and the conditions of a molecule, for each of its atoms [N, d]."""

    frequencies: Tensor

    def __init__(self, d: int, conditions: int):
        super().__init__()
        self.mlp = MLP(2 * FREQUENCIES + 1 + conditions, d, d, act=nn.SiLU)
        self.register_buffer("frequencies", torch.pi * torch.arange(1, FREQUENCIES + 1), persistent=False)

    def forward(self, graph: Graph) -> Tensor:
        t = dense(graph.globals["t"])  # [G, 1]
        waves = t * self.frequencies  # [G, F]
        known = [t, waves.sin(), waves.cos(), *([dense(graph.globals["condition"])] if "condition" in graph.globals else [])]
        return kernels.gather(self.mlp(torch.cat(known, -1)), graph.topology.nodes_by_graph.index)


def of_pairs(graph: Graph, pos: Tensor) -> Tensor:
    """Lengths [P] of undirected pairs of rows of `pos` [N, 3]."""
    t = graph.topology
    return lengths(pos[t.receivers[t.pairs.edges]] - pos[t.senders[t.pairs.edges]])


@final
class Embed(nn.Module):
    """Sets h from the type (or mask), the time and the conditions of its molecule; X from the centred positions; p of pairs.

    What the network said before, where the graph has it, is seen too (self-conditioning, Chen et al. 2023, arXiv:2208.04202): nodes
    "end" [N, 3] and "guess" [N, K], edges "bond" [E, 4].
    """

    def __init__(self, d: int, sets: int, species: int, conditions: int, pair: int):
        super().__init__()
        self.types, self.clock = nn.Embedding(species + 1, d), Clock(d, conditions)
        self.sets, self.near = nn.Linear(1, sets, bias=False), Near()
        self.guess, self.ends = nn.Linear(species, d, bias=False), nn.Linear(1, sets, bias=False)
        self.pairs = MLP(2 * CENTRES + ORDERS, pair, pair, act=nn.SiLU)

    def forward(self, graph: Graph) -> Graph:
        by_graph, pairs = graph.topology.nodes_by_graph, graph.topology.pairs
        h, pos = self.types(dense(graph.nodes["species"])) + self.clock(graph), dense(graph.nodes["pos"])
        X = self.sets(centred(pos[:, :, None], by_graph))  # [N, 3, C]
        r = self.near(of_pairs(graph, pos))  # [P, CENTRES]
        if "end" in graph.nodes:
            end = dense(graph.nodes["end"])
            h, X = h + self.guess(dense(graph.nodes["guess"])), X + self.ends(centred(end[:, :, None], by_graph))
            said = [self.near(of_pairs(graph, end)), dense(graph.edges["bond"])[pairs.edges]]
        else:
            said = [r.new_zeros(len(r), CENTRES + ORDERS)]
        return graph.with_nodes(h=h, X=X).with_edges(p=Indexed(self.pairs(torch.cat([r, *said], -1)), pairs.index))


@final
class Answers(nn.Module):
    """Answers "move" [N, 3] the displacement to the data (centred), "species" [N, K], "charge" [N, 3], "order" [E, 4], symmetric."""

    def __init__(self, d: int, sets: int, species: int, pair: int):
        super().__init__()
        self.norm, self.by_length, self.near = nn.LayerNorm(d), ByLength(sets), Near()
        self.move = nn.Linear(sets, 1, bias=False)
        self.species, self.charge = MLP(d, d, species, act=nn.SiLU), MLP(d, d // 2, len(CHARGES), act=nn.SiLU)
        self.u, self.order = nn.Linear(d, pair), MLP(3 * pair + sets + CENTRES, 2 * pair, ORDERS, act=nn.SiLU)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        by_graph, t = graph.topology.nodes_by_graph, graph.topology
        h, X, pos = self.norm(dense(graph.nodes["h"])), dense(graph.nodes["X"]), dense(graph.nodes["pos"])
        move = self.move(centred(X, by_graph)).squeeze(-1)  # [N, 3]
        time = kernels.gather(dense(graph.globals["t"]), by_graph.index)  # [N, 1]
        end = pos + (1 - time) * move  # the predicted molecule
        u, Y = self.u(h), self.by_length(X, by_graph)
        pairs = t.pairs
        i, j = t.receivers[pairs.edges], t.senders[pairs.edges]  # [P]
        p = graph.edges["p"]
        known = p.table if isinstance(p, Indexed) else p[pairs.edges]
        both = torch.cat([u[i] + u[j], u[i] * u[j], known, (Y[i] * Y[j]).sum(1), self.near(of_pairs(graph, end))], -1)
        order = kernels.gather(self.order(both), pairs.index)  # symmetric in i and j
        return {"move": move, "species": self.species(h), "charge": self.charge(h), "order": order}


def build(species: int, conditions: int, d: int = 128, depth: int = 5, sets: int = 8, pair: int = 32, heads: int = 8) -> MPNN:
    """The generator's network for `species` types of atoms and `conditions` columns of conditions."""
    layers = semla.layers(d, depth, sets, pair, heads, edges=pair)
    return MPNN(Embed(d, sets, species, conditions, pair), layers, Answers(d, sets, species, pair))


def told(graph: Graph, found: Mapping[str, Tensor]) -> Graph:
    """The graph with what the network has said of it, for the next time it is asked."""
    time = kernels.gather(dense(graph.globals["t"]), graph.topology.nodes_by_graph.index)
    end = dense(graph.nodes["pos"]) + (1 - time) * found["move"]
    bond = found["order"].softmax(-1)
    return graph.with_nodes(end=end.detach(), guess=found["species"].softmax(-1).detach()).with_edges(bond=bond.detach())
