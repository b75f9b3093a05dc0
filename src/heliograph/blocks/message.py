"""What more than one message does."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import nn

from heliograph.edge import Edge


@final
class BothWays(nn.Module):
    """m_i = [m_in, m_out]: sums of `M_in` over the edges that come in at i, and of `M_out` over those that go out, side by side.

    Both are messages; each of their features becomes twice as wide. For graphs that have edges both ways with the feature `inverse` (the
    view `WithReverse`, or relations with their inverses), and for sums: any other aggregate would take in the zeros of the other way.
    """

    def __init__(self, M_in: nn.Module, M_out: nn.Module):
        super().__init__()
        self.M_in, self.M_out = M_in, M_out

    def forward(self, e: Edge) -> dict[str, Any]:
        back, forth, m_out = e.e["inverse"], 1 - e.e["inverse"], self.M_out(e)
        return {name: torch.cat([m * forth, m_out[name] * back], -1) for name, m in self.M_in(e).items()}


def apply_matrix(A: Any, h: Any) -> Any:
    """A_ij h_ij, [E, a]: `A` [E, a * b] holds a matrix per edge, row after row, `h` [E, b] a vector; lazy edge tensors stay lazy."""
    # not @, which PyTorch's compiler does not know for lazy tensors
    return torch.matmul(A.unflatten(-1, (-1, h.shape[-1])), h.unsqueeze(-1)).squeeze(-1)
