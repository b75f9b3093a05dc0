"""Rows in groups: edges by receiver, nodes by graph, edges by undirected pair."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from heliograph.derived import derived


@final
class Segments:
    """A sorted `index` [M] that cuts M rows into `n` runs: edges by receiver, nodes by graph."""

    def __init__(self, index: Tensor, n: int):
        self.index, self.n = index, n

    @derived
    def count(self) -> Tensor:
        """Rows per segment, [n] long."""
        return torch.zeros(self.n, dtype=torch.long, device=self.index.device).index_add_(0, self.index, torch.ones_like(self.index))

    @derived
    def pointer(self) -> Tensor:
        """Where each segment starts, and where the last ends, [n + 1] long."""
        return torch.cat([self.count.new_zeros(1), self.count.cumsum(0)])

    @derived
    def longest(self) -> int:
        """Rows of the longest segment."""
        return int(self.count.max()) if self.n else 0

    @derived
    def rank(self) -> Tensor:
        """Place of each row within its segment, [M] long."""
        return torch.arange(len(self.index), device=self.index.device) - self.pointer[self.index]


@final
class Pairs:
    """Undirected pairs: `edges` [P] one edge of each, `index` [E] the pair of each edge, `sign` [E] +1 along that edge, -1 against it."""

    def __init__(self, edges: Tensor, index: Tensor, sign: Tensor):
        self.edges, self.index, self.sign = edges, index, sign
        self.P = len(edges)
