"""Graphs of all pairs, or of all pairs near in space."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph import geometry
from heliograph.graph import Feature, Graph, Indexed, dense, take
from heliograph.topology import Pairs
from heliograph.views.matrices import need_few_pairs, precision


@final
class CompleteGraph(nn.Module):
    """Every ordered pair i != j of a graph becomes an edge; pairs that were edges keep their features, the others get zeros.

    `real` [E, 1] is one where a pair was an edge. With `self_pairs` a node is its own neighbour, too.
    """

    def __init__(self, self_pairs: bool = False):
        super().__init__()
        self.self_pairs = self_pairs

    def forward(self, graph: Graph) -> Graph:
        need_few_pairs(graph.topology)
        one = torch.ones(1, 1, dtype=precision(graph), device=graph.topology.senders.device)
        graph = graph.with_edges(real=Indexed(one, torch.zeros_like(graph.topology.senders)))
        return _pairs(graph, None, self.self_pairs)


@final
class RadiusGraph(nn.Module):
    """Every ordered pair of a graph nearer than `cutoff` [angstrom] becomes an edge, with its `distance` [E, 1]; old edges are dropped.

    A graph that comes with vectors of pairs (`heliograph.geometry`: structures with a list of neighbours, periodic or not) keeps its own
    edges. Else all pairs are formed first, which is meant for molecules, not for thousands of atoms.
    """

    def __init__(self, cutoff: float):
        super().__init__()
        self.cutoff = cutoff

    def forward(self, graph: Graph) -> Graph:
        if geometry.VECTOR in graph.edges:
            return with_distances(within(graph, self.cutoff))
        return with_distances(_pairs(graph.with_topology(graph.topology), self.cutoff))


@final
class Neighbours(nn.Module):
    """`RadiusGraph` with the `direction` [E, 3] of each edge: the unit vector from receiver to sender."""

    def __init__(self, cutoff: float):
        super().__init__()
        self.near = RadiusGraph(cutoff)

    def forward(self, graph: Graph) -> Graph:
        graph = self.near(graph)
        if geometry.VECTOR not in graph.edges:
            graph = geometry.with_vectors(graph)
        r, distance = geometry.pair_vectors(graph), graph.edges["distance"]
        assert isinstance(distance, Indexed)
        return graph.with_edges(direction=geometry.directions(graph, r, distance.table))


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
    own = t.nodes_by_graph.index[t.receivers]
    back = cell[block] + k % width * width + k // width
    topology, _ = t.rewired(senders[kept], receivers[kept], known={"reverse": place[back[kept]]})  # known without a search
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
    """Return the graph with `distance` [E, 1] in angstrom, one row of a table per undirected pair."""
    r = geometry.pair_vectors(graph)  # [P, 3]
    return graph.with_edges(distance=Indexed(geometry.lengths(r), graph.topology.pairs.index))


def within(graph: Graph, cutoff: float) -> Graph:
    """Return a graph with vectors of pairs without the edges that are `cutoff` long or longer."""
    t, vectors = graph.topology, graph.edges[geometry.VECTOR]
    assert isinstance(vectors, Indexed)
    near = vectors.table.detach().square().sum(-1) < cutoff * cutoff  # [P]
    if bool(near.all()):
        return graph
    keep = near[vectors.index]
    kept = keep.nonzero().squeeze(1)
    place = keep.long().cumsum(0) - 1  # [E_old] a kept edge's number
    shift = None if t.shift is None else t.shift[kept]
    index = (near.long().cumsum(0) - 1)[vectors.index[kept]]  # the number of each pair that stays
    pairs = Pairs(place[t.pairs.edges[near]], index, t.pairs.sign[kept])
    topology, _ = t.rewired(t.senders[kept], t.receivers[kept], shift=shift, known={"reverse": place[t.reverse[kept]], "pairs": pairs})
    graph = graph.with_topology(topology, {k: take(v, kept) for k, v in graph.edges.items()})
    return graph.with_edges(**{geometry.VECTOR: Indexed(vectors.table[near], index)})
