"""Layers on a derived graph, and back: one layer may see another graph than the others do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from torch import nn

from heliograph.errors import DataError
from heliograph.graph import Graph, dense


@final
class OnView(nn.Module):
    """Run `layers` on `view(graph)` and take the states named `names` back to the graph as it was.

        OnView(layer, CompleteGraph())       a fully adjacent layer (Alon & Yahav 2021, arXiv:2006.05205)
        OnView(layers, Incidence())          layers on vertices and hyperedges; the vertices' states come back

    The view keeps the nodes, or has them as its nodes of `rank` 0 in the same order.
    """

    def __init__(self, layers: nn.Module | Sequence[nn.Module], view: Callable[[Graph], Graph], names: Sequence[str] = ("h",)):
        super().__init__()
        self.layers = nn.Sequential(*([layers] if isinstance(layers, nn.Module) else layers))
        self.view, self.names = view, tuple(names)

    def forward(self, graph: Graph) -> Graph:
        seen = self.layers(self.view(graph))
        states = {name: seen.nodes[name] for name in self.names}
        if seen.N != graph.N:
            if "rank" not in seen.nodes:
                raise DataError(f"a layer on a view needs the graph's {graph.N} nodes back; of the view's {seen.N} no `rank` tells which")
            vertices = (dense(seen.nodes["rank"]) == 0).nonzero().squeeze(1)
            states = {name: dense(h)[vertices] for name, h in states.items()}
        return graph.with_nodes(**states)
