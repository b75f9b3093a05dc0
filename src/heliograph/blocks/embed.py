"""First states of nodes."""

from __future__ import annotations

from typing import final

from torch import nn

from heliograph.graph import Graph, dense


@final
class Elements(nn.Module):
    """h_i = one vector per element, from atomic numbers `z` [N]."""

    def __init__(self, d: int):
        super().__init__()
        self.element = nn.Embedding(119, d)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=self.element(dense(graph.nodes["z"]).long()))  # [N, d]
