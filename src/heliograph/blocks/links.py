"""Answers for pairs of nodes: is there a link, and what is a property of an edge."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph.errors import DataError
from heliograph.graph import Graph, dense


def ends(graph: Graph, of: str) -> tuple[Tensor, Tensor]:
    """States of both ends of the pairs that are asked, two [Q, d]. Raises DataError where something else is asked."""
    asked = graph.asked
    if asked is None or asked.shape[1:] != (2,):
        raise DataError(f"this readout answers for pairs of nodes [Q, 2]; asked is {None if asked is None else list(asked.shape)}")
    h = dense(graph.nodes[of])
    return h.index_select(0, asked[:, 0]), h.index_select(0, asked[:, 1])


@final
class Dot(nn.Module):
    """y_uv = W h_u . W h_v, [Q]: for each pair that is asked. `W`: None for states as they are; states that are never negative need one."""

    level = "pair"

    def __init__(self, W: nn.Module | None = None, of: str = "h"):
        super().__init__()
        self.W, self.of = W or nn.Identity(), of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        u, v = ends(graph, self.of)
        return {"y": (self.W(u) * self.W(v)).sum(-1)}


@final
class Hadamard(nn.Module):
    """y_uv = head(W h_u * W h_v), [Q] for `head` d -> 1: the same for (u, v) and (v, u)."""

    level = "pair"

    def __init__(self, W: nn.Module, head: nn.Module, of: str = "h"):
        super().__init__()
        self.W, self.head, self.of = W, head, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        u, v = ends(graph, self.of)
        return {"y": self.head(self.W(u) * self.W(v)).squeeze(-1)}


@final
class Ordered(nn.Module):
    """y_uv = head([h_u, h_v]), [Q] for `head` 2 d -> 1: a link from u to v is not one from v to u."""

    level = "pair"

    def __init__(self, head: nn.Module, of: str = "h"):
        super().__init__()
        self.head, self.of = head, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return {"y": self.head(torch.cat(ends(graph, self.of), -1)).squeeze(-1)}


@final
class Turned(nn.Module):
    """y_uv = head([h_u, h_v]) - head([h_v, h_u]), [Q, 1] for `head` 2 d -> 1: that u comes before v; y_vu = -y_uv."""

    level = "pair"

    def __init__(self, head: nn.Module, of: str = "h"):
        super().__init__()
        self.head, self.of = head, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        u, v = ends(graph, self.of)
        return {"y": self.head(torch.cat([u, v], -1)) - self.head(torch.cat([v, u], -1))}


@final
class Unordered(nn.Module):
    """y_uv = head([h_u + h_v, |h_u - h_v|, e_uv]), [Q, out]: a property of an undirected edge and its features `edge_attr`."""

    level = "pair"

    def __init__(self, head: nn.Module, of: str = "h"):
        super().__init__()
        self.head, self.of = head, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        u, v = ends(graph, self.of)
        assert graph.asked is not None
        attr, edge = dense(graph.edges["edge_attr"]), graph.topology.between(graph.asked)
        zero = torch.cat([attr, attr.new_zeros(1, attr.shape[1])])
        return {"y": self.head(torch.cat([u + v, (u - v).abs(), zero[edge]], -1))}
