"""First states of nodes."""

from __future__ import annotations

from typing import final

from torch import nn

from heliograph.blocks.basic import on_rows
from heliograph.graph import Graph, dense


@final
class Embed(nn.Module):
    """h_i = W x_i."""

    def __init__(self, d_node: int, d: int):
        super().__init__()
        self.W = nn.Linear(d_node, d)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=on_rows(self.W, graph.nodes["x"]))  # [N, d]


@final
class Elements(nn.Module):
    """h_i = one vector per element, from atomic numbers `z` [N]."""

    def __init__(self, d: int):
        super().__init__()
        self.element = nn.Embedding(119, d)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=self.element(dense(graph.nodes["z"]).long()))  # [N, d]
