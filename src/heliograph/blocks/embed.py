"""First states of nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
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


@final
class Vectors(nn.Module):
    """x_i = [x_i, v_i]: a learned vector for each of n nodes of one graph, by their feature `id` [N] long.

    A network that has them knows these nodes and no others (id -1: a zero vector; while training only where it is
    `partial`: some nodes have none). Their table takes no weight decay (`undecayed`): a step would shrink the rows that it did not use.
    """

    undecayed = True

    def __init__(self, n: int, d: int, partial: bool = False):
        super().__init__()
        self.partial = partial
        self.table = nn.Parameter(torch.randn(n, d) * d**-0.5)

    def forward(self, graph: Graph) -> Graph:
        id = dense(graph.nodes["id"])
        v = nn.functional.embedding(id.clamp(min=0), self.table)  # [N, d]
        if self.partial or not self.training:
            v = torch.where(id[:, None] < 0, torch.zeros_like(v), v)
        return graph.with_nodes(x=torch.cat([dense(graph.nodes["x"]), v], -1))
