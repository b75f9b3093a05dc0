"""The network of a generator: a zoo architecture's layers between an embedding of noisy molecules and four answers."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph import kernels
from heliograph.blocks import MLP, ByLength, centred, lengths
from heliograph.generate.data import CHARGES, ORDERS
from heliograph.graph import Graph, dense
from heliograph.model import MPNN
from heliograph.zoo import semla

FREQUENCIES = 8


@final
class Embed(nn.Module):
    """Sets h from the type (or mask), the time and the conditions of its molecule; X from the centred positions."""

    frequencies: Tensor

    def __init__(self, d: int, sets: int, species: int, conditions: int):
        super().__init__()
        self.types = nn.Embedding(species + 1, d)
        self.of_graph = MLP(2 * FREQUENCIES + 1 + conditions, d, d, act=nn.SiLU)
        self.sets = nn.Linear(1, sets, bias=False)
        self.register_buffer("frequencies", torch.pi * torch.arange(1, FREQUENCIES + 1), persistent=False)

    def forward(self, graph: Graph) -> Graph:
        t, by_graph = dense(graph.globals["t"]), graph.topology.nodes_by_graph  # [G, 1]
        waves = t * self.frequencies  # [G, F]
        known = [t, waves.sin(), waves.cos(), dense(graph.globals["condition"])]
        of_graph = kernels.gather(self.of_graph(torch.cat(known, -1)), by_graph.index)  # [N, d]
        X = self.sets(centred(dense(graph.nodes["pos"])[:, :, None], by_graph))  # [N, 3, C]
        return graph.with_nodes(h=self.types(dense(graph.nodes["species"])) + of_graph, X=X)


@final
class Answers(nn.Module):
    """"move" [N, 3] the displacement to the data (centred), "species" [N, K], "charge" [N, 3], "order" [E, 4], the same both ways."""

    centres: Tensor

    def __init__(self, d: int, sets: int, species: int, pair: int):
        super().__init__()
        self.norm, self.by_length = nn.LayerNorm(d), ByLength(sets)
        self.move, self.scale = nn.Linear(sets, 1, bias=False), nn.Linear(1, 1)
        self.species, self.charge = MLP(d, d, species, act=nn.SiLU), MLP(d, d // 2, len(CHARGES), act=nn.SiLU)
        self.u, self.order = nn.Linear(d, pair), MLP(2 * pair + sets + 16, 2 * pair, ORDERS, act=nn.SiLU)
        self.register_buffer("centres", torch.linspace(0.3, 3.0, 16), persistent=False)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        by_graph, t = graph.topology.nodes_by_graph, graph.topology
        h, X, pos = self.norm(dense(graph.nodes["h"])), dense(graph.nodes["X"]), dense(graph.nodes["pos"])
        move = self.move(centred(X, by_graph)).squeeze(-1)  # [N, 3]
        time = kernels.gather(dense(graph.globals["t"]), by_graph.index)  # [N, 1]
        end = pos + (1 - time) * move  # the predicted molecule
        u, Y = self.u(h), self.by_length(X, by_graph)
        pairs = t.pairs
        i, j = t.receivers[pairs.edges], t.senders[pairs.edges]  # [P]
        r = lengths(end[i] - end[j])  # [P]
        near = torch.exp(-10 * (r[:, None] - self.centres) ** 2)
        both = torch.cat([u[i] + u[j], u[i] * u[j], (Y[i] * Y[j]).sum(1), near], -1)  # [P, ...], symmetric in i and j
        order = kernels.gather(self.order(both), pairs.index)
        return {"move": move, "species": self.species(h), "charge": self.charge(h), "order": order}


def build(species: int, conditions: int, d: int = 128, depth: int = 5, sets: int = 8, pair: int = 32, heads: int = 8) -> MPNN:
    """The generator's network for `species` types of atoms and `conditions` columns of conditions."""
    return MPNN(Embed(d, sets, species, conditions), semla.layers(d, depth, sets, pair, heads), Answers(d, sets, species, pair))
