"""Graphs of all pairs, or of all pairs near in space."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph.graph import Feature, Graph, Indexed, dense
from heliograph.views.matrices import precision


@final
class CompleteGraph(nn.Module):
    """Every ordered pair i != j of a graph becomes an edge; pairs that were edges keep their features, the others get zeros.

    `real` [E, 1] is one where a pair was an edge. With `self_pairs` a node is its own neighbour, too.
    """

    def __init__(self, self_pairs: bool = False):
        super().__init__()
        self.self_pairs = self_pairs

    def forward(self, graph: Graph) -> Graph:
        one = torch.ones(1, 1, dtype=precision(graph), device=graph.topology.senders.device)
        graph = graph.with_edges(real=Indexed(one, torch.zeros_like(graph.topology.senders)))
        return _pairs(graph, None, self.self_pairs)


@final
class RadiusGraph(nn.Module):
    """Every ordered pair of a graph nearer than `cutoff` [angstrom] becomes an edge, with its `distance` [E, 1]; old edges are dropped.

    All pairs are formed first: meant for molecules, not for thousands of atoms.
    """

    def __init__(self, cutoff: float):
        super().__init__()
        self.cutoff = cutoff

    def forward(self, graph: Graph) -> Graph:
        return with_distances(_pairs(graph.with_topology(graph.topology), self.cutoff))


def _pairs(graph: Graph, cutoff: float | None, self_pairs: bool = False) -> Graph:
    t = graph.topology
    t.need_whole("all pairs of nodes")
    t.need_no_images("all pairs of nodes")
    n, device = t.n_node, t.n_node.device
    first = n.cumsum(0) - n  # [G] first node of each graph
    cell = (n * n).cumsum(0) - n * n  # [G] where each graph's n x n block starts
    block = torch.repeat_interleave(torch.arange(t.G, device=device), n * n)
    k = torch.arange(len(block), device=device) - cell[block]
    width = n[block]
    receivers, senders = first[block] + k // width, first[block] + k % width
    keep = torch.ones_like(senders, dtype=torch.bool) if self_pairs else senders != receivers
    if cutoff is not None:
        pos = dense(graph.nodes["pos"]).detach()
        keep &= (pos[receivers] - pos[senders]).square().sum(-1) < cutoff * cutoff
    kept = keep.nonzero().squeeze(1)  # once: a GPU is waited for each time that a mask picks rows
    place = keep.long().cumsum(0) - 1  # [sum n^2] the kept pair's number
    own = t.members.index[t.receivers]
    back = cell[block] + k % width * width + k // width
    topology, _ = t.rewired(senders[kept], receivers[kept], reverse=place[back[kept]])  # known without a search
    mine = cell[own] + (t.receivers - first[own]) * n[own] + t.senders - first[own]  # [E_old] an old edge's place among n x n
    rows = torch.where(keep[mine], place[mine], topology.E)  # an edge that is no pair goes nowhere
    edges = {name: _spread(feature, rows, topology.E) for name, feature in graph.edges.items()}
    return graph.with_topology(topology, edges)


def _spread(feature: Feature, rows: Tensor, E: int) -> Feature:
    """A feature of old edges as one of new edges: new edge `rows[k]` was old edge k (E: none was); row zero is for the others."""
    table, index = (
        (feature.table, feature.index) if isinstance(feature, Indexed) else (feature, torch.arange(len(feature), device=feature.device))
    )
    table = torch.cat([table.new_zeros(1, *table.shape[1:]), table])
    return Indexed(table, torch.zeros(E + 1, dtype=torch.long, device=table.device).index_copy(0, rows, index + 1)[:E])


def with_distances(graph: Graph) -> Graph:
    """The graph with `distance` [E, 1] in angstrom, one row of a table per undirected pair. Raises DataError for periodic images."""
    graph.topology.need_no_images("distances")
    t, pos = graph.topology, dense(graph.nodes["pos"])
    edges = t.pairs.edges
    apart = pos.index_select(0, t.receivers[edges]) - pos.index_select(0, t.senders[edges])  # [P, 3]
    return graph.with_edges(distance=Indexed(apart.square().sum(-1, keepdim=True).sqrt(), t.pairs.index))
