"""The softmax over each segment as a PyTorch operator: one pass over its rows where plain PyTorch makes ten of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from heliograph.kernels.operator import Operator
from heliograph.kernels.ops import EDGES, Column, grouped, launch, nones


@Operator
def softmax(x: Tensor, by: Sequence[Tensor | None], n: int) -> Tensor:
    """out[e, h] = exp(x[e, h]) over the sum of exp(x[k, h]) of the rows k in e's segment, [M, H]."""
    out = torch.empty_like(x)
    launch("softmax", x, by[2], out=out)
    return out


@softmax.register_fake
def _(x: Tensor, by: Sequence[Tensor | None], n: int) -> Tensor:
    return torch.empty_like(x)


@Operator
def softmax_slope(p: Tensor, g: Tensor, by: Sequence[Tensor | None], n: int) -> Tensor:
    """out[e, h] = p[e, h] (g[e, h] - sum of p[k, h] g[k, h] over the rows k in e's segment), [M, H]."""
    out = torch.empty_like(p)
    launch("softmax_slope", p, g, by[2], out=out)
    return out


@softmax_slope.register_fake
def _(p: Tensor, g: Tensor, by: Sequence[Tensor | None], n: int) -> Tensor:
    return torch.empty_like(p)


def _softmax_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    _, ctx.by, ctx.n = inputs
    ctx.save_for_backward(output)


def _softmax_backward(ctx: Any, g: Tensor) -> Any:
    (p,) = ctx.saved_tensors
    return softmax_slope(p, g.contiguous(), ctx.by, ctx.n), *nones(ctx.by), None


def _slope_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    p, g, ctx.by, ctx.n = inputs
    ctx.save_for_backward(p, g)


def _slope_backward(ctx: Any, h: Tensor) -> Any:
    p, g = ctx.saved_tensors
    to_p = h * (g - _total(p * g, ctx.by, ctx.n)) - g * _total(p * h, ctx.by, ctx.n)
    return to_p, softmax_slope(p, h.contiguous(), ctx.by, ctx.n), *nones(ctx.by), None


def _total(x: Tensor, by: Column, n: int) -> Tensor:
    """The sum over each segment, at each of its rows."""
    return grouped(grouped(x, EDGES, by, n), by, EDGES, x.shape[0])


softmax.register_autograd(_softmax_backward, setup_context=_softmax_inputs)
softmax_slope.register_autograd(_slope_backward, setup_context=_slope_inputs)
for _op in (softmax, softmax_slope):
    _op.register_autocast(torch.float32)
