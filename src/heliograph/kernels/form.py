"""The multilinear form as PyTorch operators: sum over e, m, c of y[e, m] a[e, m, c] b[e, m, c] g[e, m, c], with one argument left out.

Each argument is picked from a table by a column of its own (`ops`); a, b and g have M rows m or one that serves all; y may be missing.
What is left out is the result: `form_sum` leaves a table like g out, `form_dot` leaves y out. The derivatives of both are of the
same two kinds, so that every derivative stays in the set: what networks of vectors need of an edge.

For tensors, a list of terms k says which rows meet: `coupled_sum` sums y[e, k] a[e, ra(k)] b[e, rb(k)] into row ro(k), `coupled_dot`
leaves y out. `terms_sum` has four factors with columns, for polynomials of a node's features: it is its own derivative.
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
def form_sum(y: Tensor | None, a: Tensor, b: Tensor, of_y: Columns, of_a: Columns, of_b: Columns, by: Columns, n: int, rows: int) -> Tensor:
    """out[i, m, c] = sum of y[m] a[m, c] b[m, c] over the edges of row i, [n, rows, d]; rows = 1 adds up over m, too."""
    out = a.new_empty(n, rows, a.shape[2])
    weights = a.new_empty(0, 0) if y is None else y
    launch("form_sum", weights, of_y[0], a, of_a[0], b, of_b[0], by[1], by[2], out=out)
    return out


@form_sum.register_fake
def _(y: Tensor | None, a: Tensor, b: Tensor, of_y: Columns, of_a: Columns, of_b: Columns, by: Columns, n: int, rows: int) -> Tensor:
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


@Operator
def coupled_sum(
    y: Tensor, a: Tensor, b: Tensor, of_y: Columns, of_a: Columns, of_b: Columns, by: Columns, terms: Sequence[Tensor], n: int, rows: int
) -> Tensor:
    """out[i, ro(k)] = sum over k, and over the edges of row i, of y[k] a[ra(k)] b[rb(k)], [n, rows, d]; `terms` are ra, rb, ro [K]."""
    out = a.new_empty(n, rows, a.shape[2])
    launch("coupled_sum", y, of_y[0], a, of_a[0], b, of_b[0], *terms, by[1], by[2], out=out)
    return out


@coupled_sum.register_fake
def _(
    y: Tensor, a: Tensor, b: Tensor, of_y: Columns, of_a: Columns, of_b: Columns, by: Columns, terms: Sequence[Tensor], n: int, rows: int
) -> Tensor:
    return a.new_empty(n, rows, a.shape[2])


@Operator
def coupled_dot(
    a: Tensor, b: Tensor, g: Tensor, of_a: Columns, of_b: Columns, of_g: Columns, by: Columns, terms: Sequence[Tensor], n: int
) -> Tensor:
    """out[i, k] = sum over columns, and over the edges of row i, of a[ra(k)] b[rb(k)] g[rg(k)], [n, K]."""
    out = a.new_empty(n, len(terms[0]))
    launch("coupled_dot", a, of_a[0], b, of_b[0], g, of_g[0], *terms, by[1], by[2], out=out)
    return out


@coupled_dot.register_fake
def _(a: Tensor, b: Tensor, g: Tensor, of_a: Columns, of_b: Columns, of_g: Columns, by: Columns, terms: Sequence[Tensor], n: int) -> Tensor:
    return a.new_empty(n, terms[0].shape[0])


def _coupled_sum_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    y, a, b, ctx.of_y, ctx.of_a, ctx.of_b, ctx.by, ctx.terms, *_ = inputs
    ctx.save_for_backward(y, a, b)


def _coupled_sum_backward(ctx: Any, g: Tensor) -> Any:
    y, a, b = ctx.saved_tensors
    g, (ra, rb, ro) = g.contiguous(), ctx.terms
    to_y = to_a = to_b = None
    if ctx.needs_input_grad[0]:
        to_y = coupled_dot(a, b, g, ctx.of_a, ctx.of_b, ctx.by, ctx.of_y, [ra, rb, ro], y.shape[0])
    if ctx.needs_input_grad[1]:
        to_a = coupled_sum(y, b, g, ctx.of_y, ctx.of_b, ctx.by, ctx.of_a, [rb, ro, ra], a.shape[0], a.shape[1])
    if ctx.needs_input_grad[2]:
        to_b = coupled_sum(y, a, g, ctx.of_y, ctx.of_a, ctx.by, ctx.of_b, [ra, ro, rb], b.shape[0], b.shape[1])
    return to_y, to_a, to_b, *nones(ctx.of_y, ctx.of_a, ctx.of_b, ctx.by, ctx.terms), None, None


def _coupled_dot_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    a, b, g, ctx.of_a, ctx.of_b, ctx.of_g, ctx.by, ctx.terms, _ = inputs
    ctx.save_for_backward(a, b, g)


def _coupled_dot_backward(ctx: Any, h: Tensor) -> Any:
    h = h.contiguous()
    tables = list(zip(ctx.saved_tensors, (ctx.of_a, ctx.of_b, ctx.of_g), ctx.terms, strict=True))
    found: list[Tensor | None] = []
    for k, (table, of, mine) in enumerate(tables):
        (p, of_p, rp), (q, of_q, rq) = (other for m, other in enumerate(tables) if m != k)
        needed = ctx.needs_input_grad[k]
        found.append(coupled_sum(h, p, q, ctx.by, of_p, of_q, of, [rp, rq, mine], table.shape[0], table.shape[1]) if needed else None)
    return *found, *nones(ctx.of_a, ctx.of_b, ctx.of_g, ctx.by, ctx.terms), None


@Operator
def terms_sum(
    a: Tensor, b: Tensor, c: Tensor, g: Tensor, of_a: Columns, of_b: Columns, of_c: Columns, of_g: Columns, by: Columns,
    terms: Sequence[Tensor], n: int, rows: int,
) -> Tensor:  # fmt: skip
    """out[i, ro(k)] = sum over k, and over the edges of row i, of a[ra(k)] b[rb(k)] c[rc(k)] g[rg(k)], [n, rows, d]."""
    out = a.new_empty(n, rows, a.shape[2])
    launch("terms_sum", a, of_a[0], b, of_b[0], c, of_c[0], g, of_g[0], *terms, by[1], by[2], out=out)
    return out


@terms_sum.register_fake
def _(
    a: Tensor, b: Tensor, c: Tensor, g: Tensor, of_a: Columns, of_b: Columns, of_c: Columns, of_g: Columns, by: Columns,
    terms: Sequence[Tensor], n: int, rows: int,
) -> Tensor:  # fmt: skip
    return a.new_empty(n, rows, a.shape[2])


def _terms_sum_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    *tables, ctx.of_a, ctx.of_b, ctx.of_c, ctx.of_g, ctx.by, ctx.terms, _, _ = inputs
    ctx.save_for_backward(*tables)


def _terms_sum_backward(ctx: Any, h: Tensor) -> Any:
    *rows, out = ctx.terms
    tables = list(zip(ctx.saved_tensors, (ctx.of_a, ctx.of_b, ctx.of_c, ctx.of_g), rows, strict=True))
    found: list[Tensor | None] = []
    for k, (table, of, mine) in enumerate(tables):
        if not ctx.needs_input_grad[k]:
            found.append(None)
            continue
        others, columns, picked = zip(*(other for m, other in enumerate(tables) if m != k), strict=True)
        n, m = table.shape[:2]
        found.append(terms_sum(*others, h.contiguous(), *columns, ctx.by, of, [*picked, out, mine], n, m))
    return *found, *nones(ctx.of_a, ctx.of_b, ctx.of_c, ctx.of_g, ctx.by, ctx.terms), None, None


form_sum.register_autograd(_form_sum_backward, setup_context=_form_sum_inputs)
form_dot.register_autograd(_form_dot_backward, setup_context=_form_dot_inputs)
coupled_sum.register_autograd(_coupled_sum_backward, setup_context=_coupled_sum_inputs)
coupled_dot.register_autograd(_coupled_dot_backward, setup_context=_coupled_dot_inputs)
terms_sum.register_autograd(_terms_sum_backward, setup_context=_terms_sum_inputs)

for _op in (form_sum, form_dot, coupled_sum, coupled_dot, terms_sum):
    _op.register_autocast(torch.float32)
