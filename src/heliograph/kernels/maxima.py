"""The largest row of each segment, column by column, as PyTorch operators: which edge has it, its value, and the derivative's sum.

Each value belongs to one edge, the first of equals, so a gradient goes to one row; and it is summed over the edges of that row in their
order, as all sums here: PyTorch's own way to it, `scatter_add`, is not the same from run to run on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from heliograph.kernels.operator import Operator
from heliograph.kernels.ops import launch, nones


@Operator
def argmax(x: Tensor, index: Tensor | None, pointer: Tensor) -> Tensor:
    """The edge whose row of x [R, d] has the largest value in each segment, [n, d]; the first of equals; -1 where there is none."""
    out = pointer.new_empty(pointer.shape[0] - 1, x.shape[1])
    launch("argmax", x, index, pointer, out=out)
    return out


@argmax.register_fake
def _(x: Tensor, index: Tensor | None, pointer: Tensor) -> Tensor:
    return pointer.new_empty(pointer.shape[0] - 1, x.shape[1])


@Operator
def take_best(x: Tensor, best: Tensor, own: Sequence[Tensor | None], by: Sequence[Tensor | None]) -> Tensor:
    """out[i, c] = x[own[best[i, c]], c], [n, d]; zero where best is -1."""
    out = x.new_empty(best.shape)
    launch("take_best", x, own[0], best, out=out)
    return out


@take_best.register_fake
def _(x: Tensor, best: Tensor, own: Sequence[Tensor | None], by: Sequence[Tensor | None]) -> Tensor:
    return x.new_empty(best.shape)


@Operator
def spread(g: Tensor, best: Tensor, own: Sequence[Tensor | None], by: Sequence[Tensor | None], rows: int) -> Tensor:
    """out[r, c] = sum of g[i, c] over the edges of row r that are the best of their segment i in column c, [rows, d]."""
    out = g.new_empty(rows, g.shape[1])
    launch("spread", g, best, by[0], own[1], own[2], out=out)
    return out


@spread.register_fake
def _(g: Tensor, best: Tensor, own: Sequence[Tensor | None], by: Sequence[Tensor | None], rows: int) -> Tensor:
    return g.new_empty(rows, g.shape[1])


def _inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, ctx.best, ctx.own, ctx.by, *_ = inputs
    ctx.rows = x.shape[0]


def _take_best_backward(ctx: Any, g: Tensor) -> Any:
    return spread(g.contiguous(), ctx.best, ctx.own, ctx.by, ctx.rows), None, *nones(ctx.own, ctx.by)


def _spread_backward(ctx: Any, h: Tensor) -> Any:
    return take_best(h.contiguous(), ctx.best, ctx.own, ctx.by), None, *nones(ctx.own, ctx.by), None


take_best.register_autograd(_take_best_backward, setup_context=_inputs)
spread.register_autograd(_spread_backward, setup_context=_inputs)
for _op in (argmax, take_best, spread):
    _op.register_autocast(torch.float32)
