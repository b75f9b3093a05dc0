"""The network of conformers: the layers of `zoo/semla.py` on molecules whose atoms, bonds and stereo are known.

It is equivariant under rotation, translation and renumbering; under reflection where the hands of the stereocentres change sign, so it
tells mirror images apart by these alone.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph.blocks import MLP, centred
from heliograph.generate.conformers.data import KINDS
from heliograph.generate.data import CHARGES
from heliograph.generate.network import CENTRES, Clock, Near, of_pairs
from heliograph.graph import Graph, Indexed, dense
from heliograph.model import MPNN
from heliograph.zoo import semla

WIDTH = 16  # of the embedding of what a pair of atoms is to one another


def handed(pos: Tensor, around: Tensor, hand: Tensor) -> Tensor:
    """[N, 1] how far stereocentres have the hand that was asked: 1 right, -1 wrong, 0 elsewhere.

    `around` [N, 3] the first three neighbours of each atom (itself where it is no centre), `hand` [N, 1] 1, -1 or 0.
    """
    a, b, c = (pos[around[:, k]] - pos for k in range(3))  # [N, 3]
    return torch.tanh(4 * (a * torch.linalg.cross(b, c)).sum(-1, keepdim=True)) * hand


@final
class Embed(nn.Module):
    """h from element, charge, hand and time; X from the positions; p from distances and what the pairs are.

    "end" [N, 3], the positions that the network said before, is seen too where the graph has it.
    """

    def __init__(self, d: int, sets: int, species: int, pair: int):
        super().__init__()
        self.types, self.charges, self.clock = nn.Embedding(species, d), nn.Embedding(len(CHARGES), d), Clock(d, 0)
        self.hands, self.near, self.kinds = nn.Linear(2, d, bias=False), Near(), nn.Embedding(KINDS, WIDTH)
        self.sets, self.ends = nn.Linear(1, sets, bias=False), nn.Linear(1, sets, bias=False)
        self.pairs = MLP(2 * CENTRES + WIDTH, pair, pair, act=nn.SiLU)

    def forward(self, graph: Graph) -> Graph:
        by_graph, pairs, pos = graph.topology.nodes_by_graph, graph.topology.pairs, dense(graph.nodes["pos"])
        around, hand = dense(graph.nodes["around"]), dense(graph.nodes["hand"])
        X, right = self.sets(centred(pos[:, :, None], by_graph)), handed(pos, around, hand)
        r = self.near(of_pairs(graph, pos))  # [P, CENTRES]
        if "end" in graph.nodes:
            end = dense(graph.nodes["end"])
            X, said, before = X + self.ends(centred(end[:, :, None], by_graph)), self.near(of_pairs(graph, end)), handed(end, around, hand)
        else:
            said, before = torch.zeros_like(r), torch.zeros_like(right)
        h = self.types(dense(graph.nodes["species"])) + self.charges(dense(graph.nodes["charge"])) + self.clock(graph)
        p = self.pairs(torch.cat([r, said, self.kinds(dense(graph.edges["kind"])[pairs.edges])], -1))
        return graph.with_nodes(h=h + self.hands(torch.cat([right, before], -1)), X=X).with_edges(p=Indexed(p, pairs.index))


@final
class Move(nn.Module):
    """Answers "move" [N, 3], the displacement to the data, centred: the sets, weighted by what an atom knows."""

    def __init__(self, d: int, sets: int):
        super().__init__()
        self.norm, self.weigh, self.move = nn.LayerNorm(d), nn.Linear(d, sets), nn.Linear(sets, 1, bias=False)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        by_graph, X = graph.topology.nodes_by_graph, dense(graph.nodes["X"])
        weights = 1 + self.weigh(self.norm(dense(graph.nodes["h"])))[:, None, :]  # [N, 1, C]
        return {"move": centred(self.move(centred(X, by_graph) * weights), by_graph).squeeze(-1)}


def build(species: int, d: int = 128, depth: int = 5, sets: int = 8, pair: int = 32, heads: int = 8) -> MPNN:
    """The network for `species` elements."""
    return MPNN(Embed(d, sets, species, pair), semla.layers(d, depth, sets, pair, heads, edges=pair), Move(d, sets))
