"""Dropout as a PyTorch operator: its mask is a function of a seed and of each element's place, so that it is never stored."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from heliograph.kernels.operator import Operator
from heliograph.kernels.ops import launch


@Operator
def dropout(x: Tensor, seed: int, p: float) -> Tensor:
    """x / (1 - p) where an element is kept, else 0; x is contiguous, 0 <= p < 1, 0 <= seed < 2^63. Linear in x: its own derivative."""
    out = torch.empty_like(x)
    launch("dropout", x.view(-1), seed & 0xFFFFFFFF, seed >> 32, p, out=out.view(-1))
    return out


@dropout.register_fake
def _(x: Tensor, seed: int, p: float) -> Tensor:
    return torch.empty_like(x)


def _inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    _, ctx.seed, ctx.p = inputs


def _backward(ctx: Any, g: Tensor) -> Any:
    return dropout(g.contiguous(), ctx.seed, ctx.p), None, None


dropout.register_autograd(_backward, setup_context=_inputs)
dropout.register_autocast(torch.float32)
