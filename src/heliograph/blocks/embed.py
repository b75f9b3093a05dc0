"""First states of nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor, nn

from heliograph.blocks.basic import on_rows
from heliograph.graph import Graph, dense


@final
class Embed(nn.Module):
    """h_i = act(W x_i), without an activation unless one is given."""

    def __init__(self, d_node: int, d: int, act: Callable[[Tensor], Tensor] | None = None):
        super().__init__()
        self.W, self.act = nn.Linear(d_node, d), act or nn.Identity()

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=on_rows(lambda x: self.act(self.W(x)), graph.nodes["x"]))  # [N, d]


@final
class Elements(nn.Module):
    """h_i = one vector per element, from atomic numbers `z` [N]."""

    def __init__(self, d: int):
        super().__init__()
        self.element = nn.Embedding(119, d)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=self.element(dense(graph.nodes["z"]).long()))  # [N, d]
