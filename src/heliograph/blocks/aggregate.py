"""Aggregations with weights of their own, for `Layer(..., aggregate=...)` and for readouts: (x [M, d], segments) -> [n, d]."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.graph import Segments


@final
class PowerMean(nn.Module):
    """(mean_k x_k^p)^(1 / p) with p [d] learned: p = 1 the mean, p -> infinity the maximum (Li et al. 2020, arXiv:2006.07739).

    Values are clamped to [1e-4, 100] first, since a power wants positive ones; an empty segment gives that lower bound.
    """

    def __init__(self, d: int, p: float = 1.0, low: float = 1e-4, high: float = 100.0):
        super().__init__()
        self.p, self.low, self.high = nn.Parameter(torch.full((d,), p)), low, high

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        powers = x.clamp(self.low, self.high) ** self.p
        return segment.mean(powers, segments).clamp(self.low, self.high) ** (1 / self.p)  # [n, d]


@final
class SoftAttention(nn.Module):
    """sum_k a_k V(x_k), a = softmax over the segment of gate(x_k) (Li et al. 2019, arXiv:1904.12787, there with a sigmoid).

    `gate` maps [M, d] to [M, 1] (or one weight per channel), `V` maps [M, d] to [M, d'] and may be `nn.Identity()`.
    """

    def __init__(self, gate: nn.Module, V: nn.Module):
        super().__init__()
        self.gate, self.V = gate, V

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        return segment.sum(segment.softmax(self.gate(x), segments) * self.V(x), segments)  # [n, d']
