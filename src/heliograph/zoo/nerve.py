"""Message passing on the nerve of a hypergraph: cells of every rank, joined where one contains the other (Peltre, slides on MPNNs).

    M_{a > b} = mlp([h_a, h_b])                               a contains b: triangles, edges and vertices of the graph
    h_b' = h_b + sum_{a > b} M_{a > b} - sum_{b > c} M_{b > c}           what comes from above, minus what goes below
    y    = head(mean_i h_i')                                  over the vertices

The signed sum and the inclusions are those of github.com/opeltre/gnn; message passing on simplicial complexes in general is Bodnar et al.
2021, arXiv:2103.03212. Cells are the cliques of up to `largest` + 1 vertices (`views.nerve`); h_a^0 is the mean of W x_i over the
vertices of a, plus a vector of its rank.
Departures: the slides leave f open; here it has one hidden layer and a normalisation follows. Edge features are not used.
Expressivity: above 1-WL: cells know the triangles (with edges alone, `largest` = 1, at most 1-WL).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import MLP, Dropout, Embed, Head, Pool
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.segment import Aggregate
from heliograph.views import Nerve, OnView, cliques

FEATURIZER, GEOMETRY, BOUND = "table10_1", "none", "above 1-WL"
PARTS = False


class Ranks(nn.Module):
    """h_a + r_k, k the rank of a."""

    def __init__(self, ranks: int, d: int):
        super().__init__()
        self.r = nn.Embedding(ranks, d)

    def forward(self, graph: Graph) -> Graph:
        rank = dense(graph.nodes["rank"]).clamp(max=self.r.num_embeddings - 1)
        return graph.with_nodes(h=dense(graph.nodes["h"]) + self.r(rank))


class Inclusion(nn.Module):
    """M_{a > b}, with + where b receives it and - where a does."""

    def __init__(self, d: int):
        super().__init__()
        self.f = MLP(2 * d, d, d)

    def forward(self, e: Edge) -> dict[str, Any]:
        sign = dense(e.graph.edges["sign"])  # [E, 1] +1 from a to b
        j, i = (dense(e.graph.nodes["h"])[index] for index in (e.graph.topology.senders, e.graph.topology.receivers))
        return {"m": sign * self.f(torch.cat([torch.where(sign > 0, j, i), torch.where(sign > 0, i, j)], -1))}  # [E, d]


class Update(nn.Module):
    """LN(h_b + m_b)."""

    def __init__(self, d: int, dropout: float):
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(d), Dropout(dropout)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.norm(dense(nodes["h"]) + self.dropout(messages["m"]))}


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 3, largest: int = 2, dropout: float = 0.0, aggregate: Aggregate = segment.mean
) -> MPNN:
    """`depth` layers of width `d` on the cliques of up to `largest` + 1 vertices; `aggregate` pools nodes into graphs."""
    steps = [Ranks(largest + 1, d), *(Layer(Inclusion(d), Update(d, dropout)) for _ in range(depth))]
    return MPNN(Embed(inputs.nodes, d), [OnView(steps, Nerve(partial(cliques, largest=largest)))], Pool(Head(d, out), aggregate))
