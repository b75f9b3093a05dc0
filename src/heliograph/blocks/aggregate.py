"""Aggregations with weights of their own, for `Layer(..., aggregate=...)` and for readouts: (x [M, d], segments) -> [n, d]."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.segment import Aggregate
from heliograph.topology import Segments


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
class SoftmaxMean(nn.Module):
    """sum_k a_k x_k, a = softmax over the segment of t x_k, t [d] learned: 0 the mean, infinite the maximum (Li et al. 2020, ibid.)."""

    def __init__(self, d: int, t: float = 1.0):
        super().__init__()
        self.t = nn.Parameter(torch.full((d,), t))

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        return segment.sum(segment.softmax(self.t * x, segments) * x, segments)  # [n, d]


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


@final
class LSTMAggregation(nn.Module):
    """The last state of an LSTM that reads a segment's rows one after another, [M, d] -> [n, hidden] (Hochreiter & Schmidhuber 1997).

    It depends on the order of the rows, edges as they are kept or nodes as they are numbered: `Sorted` takes that away. An empty
    segment gives zero. PyTorch Geometric's reads on over the zeros that fill a segment up to the longest of the batch; this does not.
    """

    def __init__(self, d: int, hidden: int | None = None):
        super().__init__()
        self.cell = nn.LSTMCell(d, hidden or d)

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        longest_first = segments.count.argsort(descending=True, stable=True)
        place = longest_first.argsort()  # [n]
        order = (segments.rank * segments.n + place[segments.index]).argsort()  # all first rows, all second rows, ...
        h = c = x.new_zeros(segments.n, self.cell.hidden_size)  # [n, hidden]
        ended = []
        for rows in x[order].split(segments.rank.bincount().tolist()):
            ended.append(h[len(rows) :])
            h, c = self.cell(rows, (h[: len(rows)], c[: len(rows)]))
        return torch.cat([h, *reversed(ended)])[place]


@final
class Sorted(nn.Module):
    """An aggregation that sees the rows of each segment in ascending order: of their first channel, of the second where that is equal, ...

    Equal rows may change places, so that the result is the same in whatever order the rows came. It jumps where two rows change places:
    continuous functions of sets need a symmetric aggregation.
    """

    def __init__(self, aggregate: Aggregate):
        super().__init__()
        self.aggregate = aggregate

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        place = x.detach().nan_to_num().unique(dim=0, return_inverse=True)[1]  # [M] among all rows that differ
        return self.aggregate(x[(segments.index * len(x) + place).argsort(stable=True)], segments)
