"""Sums of outer products as PyTorch operators, and the two halves of their derivatives: see `ops` for columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from heliograph.kernels.operator import Operator
from heliograph.kernels.ops import EDGES, grouped, launch, nones, pair_inputs


@Operator
def outer_sum(
    phi: Tensor, x: Tensor, of_phi: Sequence[Tensor | None], of_x: Sequence[Tensor | None], by: Sequence[Tensor | None], n: int
) -> Tensor:
    """out[i] = sum of phi[of_phi] (x) x[of_x] over the edges of row i, [n, K, d]. `by` is sorted."""
    out = x.new_empty(n, phi.shape[1], x.shape[1])
    launch("outer_sum", phi, of_phi[0], x, of_x[0], by[2], out=out)
    return out


@outer_sum.register_fake
def _(
    phi: Tensor, x: Tensor, of_phi: Sequence[Tensor | None], of_x: Sequence[Tensor | None], by: Sequence[Tensor | None], n: int
) -> Tensor:
    return x.new_empty(n, phi.shape[1], x.shape[1])


@Operator
def outer_left(g: Tensor, x: Tensor, of_x: Sequence[Tensor | None], by: Sequence[Tensor | None]) -> Tensor:
    """out[e] = g[i] x[of_x[e]], [E, K], for g [n, K, d]."""
    assert by[0] is not None
    out = g.new_empty(by[0].shape[0], g.shape[1])
    launch("outer_left", g, x, of_x[0], by[2], out=out)
    return out


@outer_left.register_fake
def _(g: Tensor, x: Tensor, of_x: Sequence[Tensor | None], by: Sequence[Tensor | None]) -> Tensor:
    assert by[0] is not None
    return g.new_empty(by[0].shape[0], g.shape[1])


@Operator
def outer_right(g: Tensor, phi: Tensor, of_phi: Sequence[Tensor | None], by: Sequence[Tensor | None]) -> Tensor:
    """out[e] = phi[of_phi[e]] g[i], [E, d], for g [n, K, d]."""
    assert by[0] is not None
    out = g.new_empty(by[0].shape[0], g.shape[2])
    launch("outer_right", g, phi, of_phi[0], by[2], out=out)
    return out


@outer_right.register_fake
def _(g: Tensor, phi: Tensor, of_phi: Sequence[Tensor | None], by: Sequence[Tensor | None]) -> Tensor:
    assert by[0] is not None
    return g.new_empty(by[0].shape[0], g.shape[2])


def _outer_sum_backward(ctx: Any, g: Tensor) -> Any:
    phi, x = ctx.saved_tensors
    g = g.contiguous()
    to_phi = grouped(outer_left(g, x, ctx.of_b, ctx.by), EDGES, ctx.of_a, phi.shape[0]) if ctx.needs_input_grad[0] else None
    to_x = grouped(outer_right(g, phi, ctx.of_a, ctx.by), EDGES, ctx.of_b, x.shape[0]) if ctx.needs_input_grad[1] else None
    return to_phi, to_x, *nones(ctx.of_a, ctx.of_b, ctx.by), None


def _outer_part_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    g, table, ctx.of, ctx.by = inputs
    ctx.save_for_backward(g, table)


def _outer_left_backward(ctx: Any, h: Tensor) -> Any:
    g, x = ctx.saved_tensors
    h = h.contiguous()
    to_g = outer_sum(h, x, EDGES, ctx.of, ctx.by, g.shape[0]) if ctx.needs_input_grad[0] else None
    to_x = grouped(outer_right(g, h, EDGES, ctx.by), EDGES, ctx.of, x.shape[0]) if ctx.needs_input_grad[1] else None
    return to_g, to_x, *nones(ctx.of, ctx.by)


def _outer_right_backward(ctx: Any, h: Tensor) -> Any:
    g, phi = ctx.saved_tensors
    h = h.contiguous()
    to_g = outer_sum(phi, h, ctx.of, EDGES, ctx.by, g.shape[0]) if ctx.needs_input_grad[0] else None
    to_phi = grouped(outer_left(g, h, EDGES, ctx.by), EDGES, ctx.of, phi.shape[0]) if ctx.needs_input_grad[1] else None
    return to_g, to_phi, *nones(ctx.of, ctx.by)


outer_sum.register_autograd(_outer_sum_backward, setup_context=pair_inputs)
outer_left.register_autograd(_outer_left_backward, setup_context=_outer_part_inputs)
outer_right.register_autograd(_outer_right_backward, setup_context=_outer_part_inputs)

for _op in (outer_sum, outer_left, outer_right):
    _op.register_autocast(torch.float32)
