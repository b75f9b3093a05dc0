"""Two steps of a hypergraph network on the graph of vertices and hyperedges: collect at hyperedges, spread to vertices."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.segment import Aggregate


@final
class At(nn.Module):
    """h_a' = update(h_a, m_a) for cells of `rank` 0 (vertices) or 1 (hyperedges and above); the others stay."""

    def __init__(self, rank: int, update: nn.Module):
        super().__init__()
        self.rank, self.update = rank, update

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        here = (dense(nodes["rank"]) > 0)[:, None] == (self.rank > 0)  # [C, 1]
        made = self.update(nodes, messages)
        return {"h": torch.where(here, made["h"], dense(nodes["h"]))}


@final
class Weighted(nn.Module):
    """h_j s_j, `scale` naming s [C, 1]; None: h_j."""

    def __init__(self, scale: str | None):
        super().__init__()
        self.scale = scale

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": e.j["h"] if self.scale is None else e.j["h"] * e.j[self.scale]}


@final
class Received(nn.Module):
    """h_a' = m_a."""

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": messages["m"]}


@final
class Scales(nn.Module):
    """`at_vertices` and `at_hyperedges`: 1 / sqrt(degree) [C, 1] at cells of that kind, one at the others.

    A vertex's degree counts its hyperedges, a hyperedge's is the mean of its members'. Where there is none, zero.
    """

    def forward(self, graph: Graph) -> Graph:
        degree, vertex = dense(graph.nodes["degree"]), (dense(graph.nodes["rank"]) == 0)[:, None]
        root = torch.where(degree > 0, degree.clamp(min=1e-12).rsqrt(), 0)
        return graph.with_nodes(at_vertices=torch.where(vertex, root, 1), at_hyperedges=torch.where(vertex, 1, root))


def collect(scale: str | None = None) -> Layer:
    """Make the step to hyperedges: h_e = mean_{j in e} h_j s_j."""
    return Layer(Weighted(scale), At(1, Received()), segment.mean)


def spread(update: nn.Module, scale: str | None = None, aggregate: Aggregate = segment.sum) -> Layer:
    """Make the step to vertices: h_i' = update(h_i, sum_{e with i} h_e s_e)."""
    return Layer(Weighted(scale), At(0, update), aggregate)
