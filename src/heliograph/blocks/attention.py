"""Attention as a message."""

from __future__ import annotations

from math import sqrt
from typing import Any, final

from torch import nn

from heliograph import segment
from heliograph.errors import UsageError
from heliograph.topology import Segments


@final
class Attention(nn.Module):
    """softmax_j(q_i . k_j / sqrt(d / H) + bias_ij) v_j in each of H heads, [E, H, d / H] (Vaswani et al. 2017, arXiv:1706.03762, eq. 1).

    `h_i`, `h_j` [E, d] and `bias` [E, H] may be lazy. Keys have no bias: it would be the same for all j, and softmax takes it away.
    """

    def __init__(self, d: int, heads: int):
        super().__init__()
        if d % heads:
            raise UsageError(f"a width of {d} does not split into {heads} heads: give a multiple of {heads}")
        self.Q, self.K, self.V = nn.Linear(d, d), nn.Linear(d, d, bias=False), nn.Linear(d, d)
        self.heads = heads

    def forward(self, h_i: Any, h_j: Any, segments: Segments, bias: Any = 0.0) -> Any:
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in (self.Q(h_i), self.K(h_j), self.V(h_j)))  # [E, H, d / H]
        score = (q * k).sum(-1) / sqrt(q.shape[-1]) + bias  # [E, H]
        return segment.softmax(score, segments).unsqueeze(-1) * v
