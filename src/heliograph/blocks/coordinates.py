"""Sets of coordinates in the states of nodes: X [N, 3, C], C last."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.graph import Graph, dense
from heliograph.topology import Segments

EPSILON = 1e-4  # below square roots, so that lengths have derivatives at zero


def centred(X: Tensor, by_graph: Segments) -> Tensor:
    """X [N, 3, C] less its mean over each graph."""
    return X - kernels.gather(segment.mean(X, by_graph), by_graph.index)


def lengths(X: Tensor, dim: int = 1) -> Tensor:
    """|X| along the spatial axis, with derivatives at zero."""
    return (X.square().sum(dim) + EPSILON).sqrt()


@final
class ByLength(nn.Module):
    """Centred sets over their mean length in each graph, times a weight a set."""

    def __init__(self, sets: int):
        super().__init__()
        self.w = nn.Parameter(torch.ones(sets))

    def forward(self, X: Tensor, by_graph: Segments) -> Tensor:
        X = centred(X, by_graph)  # [N, 3, C]
        mean = kernels.gather(segment.mean(lengths(X), by_graph), by_graph.index)  # [N, C]
        return X * (self.w / mean)[:, None, :]


@final
class Lengths(nn.Module):
    """h = [LN(h), |X|], for a readout of invariants."""

    def __init__(self, d: int, sets: int):
        super().__init__()
        self.norm, self.by_length = nn.LayerNorm(d), ByLength(sets)

    def forward(self, graph: Graph) -> Graph:
        Y = self.by_length(dense(graph.nodes["X"]), graph.topology.nodes_by_graph)
        return graph.with_nodes(h=torch.cat([self.norm(dense(graph.nodes["h"])), lengths(Y)], -1))
