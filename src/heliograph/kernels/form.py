"""The multilinear form as PyTorch operators: sum over e, m, c of y[e, m] a[e, m, c] b[e, m, c] g[e, m, c], with one argument left out.

Each argument is picked from a table by a column of its own (`ops`); a, b and g have M rows m or one that serves all; y may be missing.
What is left out is the result: `form_sum` leaves a table like g out, `form_dot` leaves y out. The derivatives of both are of the
same two kinds, so that every derivative stays in the set: what networks of vectors, and later of tensors, need of an edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from heliograph.kernels.operator import Operator
from heliograph.kernels.ops import launch, nones

Columns = Sequence[Tensor | None]


@Operator
def form_sum(
    y: Tensor | None, a: Tensor, b: Tensor, of_y: Columns, of_a: Columns, of_b: Columns, by: Columns, n: int, rows: int
) -> Tensor:
    """out[i, m, c] = sum of y[m] a[m, c] b[m, c] over the edges of row i, [n, rows, d]; rows = 1 adds up over m, too."""
    out = a.new_empty(n, rows, a.shape[2])
    weights = a.new_empty(0, 0) if y is None else y
    launch("form_sum", weights, of_y[0], a, of_a[0], b, of_b[0], by[1], by[2], out=out)
    return out


@form_sum.register_fake
def _(
    y: Tensor | None, a: Tensor, b: Tensor, of_y: Columns, of_a: Columns, of_b: Columns, by: Columns, n: int, rows: int
) -> Tensor:
    return a.new_empty(n, rows, a.shape[2])


@Operator
def form_dot(a: Tensor, b: Tensor, g: Tensor, of_a: Columns, of_b: Columns, of_g: Columns, by: Columns, n: int, rows: int) -> Tensor:
    """out[i, m] = sum over c of a[m, c] b[m, c] g[m, c], and over the edges of row i, [n, rows]."""
    out = a.new_empty(n, rows)
    launch("form_dot", a, of_a[0], b, of_b[0], g, of_g[0], by[1], by[2], out=out)
    return out


@form_dot.register_fake
def _(a: Tensor, b: Tensor, g: Tensor, of_a: Columns, of_b: Columns, of_g: Columns, by: Columns, n: int, rows: int) -> Tensor:
    return a.new_empty(n, rows)


def _form_sum_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    y, a, b, ctx.of_y, ctx.of_a, ctx.of_b, ctx.by, *_ = inputs
    ctx.save_for_backward(y, a, b)


def _form_sum_backward(ctx: Any, g: Tensor) -> Any:
    y, a, b = ctx.saved_tensors
    g = g.contiguous()
    to_y = to_a = to_b = None
    if y is not None and ctx.needs_input_grad[0]:
        to_y = form_dot(a, b, g, ctx.of_a, ctx.of_b, ctx.by, ctx.of_y, y.shape[0], y.shape[1])
    if ctx.needs_input_grad[1]:
        to_a = form_sum(y, b, g, ctx.of_y, ctx.of_b, ctx.by, ctx.of_a, a.shape[0], a.shape[1])
    if ctx.needs_input_grad[2]:
        to_b = form_sum(y, a, g, ctx.of_y, ctx.of_a, ctx.by, ctx.of_b, b.shape[0], b.shape[1])
    return to_y, to_a, to_b, *nones(ctx.of_y, ctx.of_a, ctx.of_b, ctx.by), None, None


def _form_dot_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    a, b, g, ctx.of_a, ctx.of_b, ctx.of_g, ctx.by, *_ = inputs
    ctx.save_for_backward(a, b, g)


def _form_dot_backward(ctx: Any, h: Tensor) -> Any:
    a, b, g = ctx.saved_tensors
    h = h.contiguous()
    tables = ((a, ctx.of_a), (b, ctx.of_b), (g, ctx.of_g))
    found: list[Tensor | None] = []
    for k, (table, of) in enumerate(tables):
        (p, of_p), (q, of_q) = (other for m, other in enumerate(tables) if m != k)
        needed = ctx.needs_input_grad[k]
        found.append(form_sum(h, p, q, ctx.by, of_p, of_q, of, table.shape[0], table.shape[1]) if needed else None)
    return *found, *nones(ctx.of_a, ctx.of_b, ctx.of_g, ctx.by), None, None


form_sum.register_autograd(_form_sum_backward, setup_context=_form_sum_inputs)
form_dot.register_autograd(_form_dot_backward, setup_context=_form_dot_inputs)

for _op in (form_sum, form_dot):
    _op.register_autocast(torch.float32)
