"""What more than one message does."""

from __future__ import annotations

from typing import Any

import torch


def apply_matrix(A: Any, h: Any) -> Any:
    """A_ij h_ij, [E, a]: `A` [E, a * b] holds a matrix per edge, row after row, `h` [E, b] a vector; lazy edge tensors stay lazy."""
    # not @, which PyTorch's compiler does not know for lazy tensors
    return torch.matmul(A.unflatten(-1, (-1, h.shape[-1])), h.unsqueeze(-1)).squeeze(-1)
