"""Complete graphs whose edge features say, too, what a pair without an edge is (Gilmer et al. 2017, arXiv:1704.01212)."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Int
from torch import Tensor, nn

from heliograph.graph import Graph, Indexed
from heliograph.views.pairs import CompleteGraph, with_distances

BINS = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0)  # angstrom


@final
class VirtualEdges(nn.Module):
    """The complete graph; `edge_attr` has one column more, one for pairs that were no edges (sec. 5.2)."""

    def __init__(self) -> None:
        super().__init__()
        self.complete = CompleteGraph()

    def forward(self, graph: Graph) -> Graph:
        graph = self.complete(graph)
        return _labelled(graph, torch.zeros_like(graph.topology.senders), 1)


@final
class DistanceBins(nn.Module):
    """The complete graph; `edge_attr` has ten columns more: which bin the distance of a pair that was no edge falls into.

    The bins are [0, 2], eight between 2 and 6, and beyond 6 angstrom (sec. 6). Bonds keep their type and have no bin.
    """

    def __init__(self) -> None:
        super().__init__()
        self.complete = CompleteGraph()

    def forward(self, graph: Graph) -> Graph:
        graph = with_distances(self.complete(graph))
        distance = graph.edges["distance"]
        assert isinstance(distance, Indexed)
        bound = torch.tensor(BINS, dtype=distance.table.dtype, device=distance.table.device)
        return _labelled(graph, torch.bucketize(distance.table.detach()[:, 0], bound)[distance.index], len(BINS) + 1)


def _labelled(graph: Graph, label: Int[Tensor, " E"], size: int) -> Graph:
    """edge_attr with `size` columns more, one-hot where a pair was no edge: rows of one small table still."""
    attribute = graph.edges["edge_attr"]
    assert isinstance(attribute, Indexed)  # whose row zero is that of the pairs that were no edges
    table = torch.block_diag(attribute.table, torch.eye(size, dtype=attribute.table.dtype, device=attribute.table.device))
    return graph.with_edges(edge_attr=Indexed(table, torch.where(attribute.index == 0, len(attribute.table) + label, attribute.index)))
