"""The fused kernels as PyTorch operators (`torch.ops.heliograph`): derivatives, shapes without data, autocast.

Every operator is a sum over edges, grouped by one column of indices, of products of rows that other columns pick from tables.
Its derivatives are sums of the same kind, grouped by another column: so first and second derivatives stay in the set. Only the
second derivative of a fused activation materialises.

A column is three tensors: `index` [E] (None: the edge's own row), and, where sums are grouped by it, `order` [E] (None: the
edges come sorted) and `pointer` [n + 1]. The columns that derivatives need are handed in beside those of the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from heliograph.kernels import reference
from heliograph.kernels.operator import Operator
from heliograph.topology import Segments

Column = list[Tensor | None]  # index, order, pointer
EDGES: Column = [None, None, None]  # each edge on its own
KINDS = {name: k for k, name in enumerate(reference.ACTIVATIONS)}

# index -> {rows: (order, pointer)}: grouped once, however many layers use it
_grouped: ContextVar[Any] = ContextVar("grouped", default=WeakTensorKeyDictionary())  # noqa: B039 one for all


@contextmanager
def grouped_anew() -> Iterator[None]:
    """Know nothing inside a `with` block of what was grouped before it."""
    token = _grouped.set(WeakTensorKeyDictionary())
    try:
        yield
    finally:
        _grouped.reset(token)


def column(index: Tensor | None, rows: int, grouped: bool) -> Column:
    """The column that picks rows of a table of `rows` rows; `grouped` where sums by it may be needed."""
    if index is None or not grouped:
        return [index, None, None]
    if torch.compiler.is_compiling():  # which sees by itself that it is the same
        return [index, *group(index, rows)]
    known = _grouped.get().setdefault(index, {})
    if rows not in known:
        known[rows] = group(index, rows)
    return [index, *known[rows]]


def by_segments(segments: Segments | None) -> Column:
    """The column that segments stand for: sorted already."""
    return EDGES if segments is None else [segments.index, None, segments.pointer]


def numpy(x: Tensor | None) -> Any:
    """The array on the same memory; None becomes an empty array of indices."""
    if x is None:
        return _nothing()
    return x.detach().numpy() if x.requires_grad else x.numpy()


@lru_cache
def _nothing() -> Any:
    import numpy as np

    return np.empty(0, np.int64)


@lru_cache
def _cpu() -> tuple[Any, Callable[[], int]]:
    """The loops, and how many threads they may use: imported once, since an import costs as much as a small loop."""
    from heliograph.kernels import compiler, cpu

    return cpu, compiler.threads


def launch(loop: str, *args: Any, out: Tensor) -> None:
    """Fill `out` by a loop of `cpu` or `cuda`, where it lies; arguments are tensors (None: no index) and numbers."""
    if out.is_cuda:
        from heliograph.kernels import cuda

        getattr(cuda, loop)(*[a.contiguous() if isinstance(a, Tensor) else a for a in args], out)  # Triton knows no strides
        return
    cpu, threads = _cpu()
    getattr(cpu, loop)(*[numpy(x) if x is None or isinstance(x, Tensor) else x for x in args], threads(), numpy(out))


def nones(*columns: Sequence[Tensor | None]) -> list[Any]:
    """No gradients for columns, in the form that PyTorch wants: a list where every member is a tensor, else one None."""
    return [[None] * len(c) if all(t is not None for t in c) else None for c in columns]


@Operator
def group(index: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    order, pointer = torch.empty_like(index), index.new_empty(rows + 1)
    launch("group", index, order, out=pointer)
    return order, pointer


@group.register_fake
def _(index: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(index), index.new_empty(rows + 1)


@Operator
def gather_sum(x: Tensor, own: Sequence[Tensor | None], by: Sequence[Tensor | None], n: int) -> Tensor:
    """out[i] = sum of x[own] over the edges of row i, [n, d]."""
    out = x.new_empty(n, x.shape[1])
    launch("gather_sum", x, own[0], by[1], by[2], out=out)
    return out


@gather_sum.register_fake
def _(x: Tensor, own: Sequence[Tensor | None], by: Sequence[Tensor | None], n: int) -> Tensor:
    return x.new_empty(n, x.shape[1])


def _gather_sum_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, ctx.own, ctx.by, _ = inputs
    ctx.rows = x.shape[0]


def _gather_sum_backward(ctx: Any, g: Tensor) -> Any:
    return grouped(g, ctx.by, ctx.own, ctx.rows), *nones(ctx.own, ctx.by), None


def grouped(x: Tensor, own: Column, by: Column, n: int) -> Tensor:
    """gather_sum, or a plain gather where each edge is a row of its own."""
    x = x.contiguous()
    if by[0] is None and own[0] is None:
        return x
    return gather_sum(x, own, by, n)


gather_sum.register_autograd(_gather_sum_backward, setup_context=_gather_sum_inputs)


@Operator
def product_sum(
    a: Tensor, b: Tensor, of_a: Sequence[Tensor | None], of_b: Sequence[Tensor | None], by: Sequence[Tensor | None], n: int
) -> Tensor:
    """out[i] = sum of a[of_a] * b[of_b] over the edges of row i, [n, d]; a [R, H], b [R', d], H divides d."""
    out = b.new_empty(n, b.shape[1])
    launch("product_sum", a, of_a[0], b, of_b[0], by[1], by[2], out=out)
    return out


@product_sum.register_fake
def _(a: Tensor, b: Tensor, of_a: Sequence[Tensor | None], of_b: Sequence[Tensor | None], by: Sequence[Tensor | None], n: int) -> Tensor:
    return b.new_empty(n, b.shape[1])


def pair_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    a, b, ctx.of_a, ctx.of_b, ctx.by, *_ = inputs
    ctx.save_for_backward(a, b)


def _product_sum_backward(ctx: Any, g: Tensor) -> Any:
    a, b = ctx.saved_tensors
    g = g.contiguous()
    to_a = to_b = None
    if ctx.needs_input_grad[0]:
        if a.shape[1] == b.shape[1]:
            to_a = product_sum(b, g, ctx.of_b, ctx.by, ctx.of_a, a.shape[0])
        else:
            to_a = dot_sum(b, g, ctx.of_b, ctx.by, ctx.of_a, a.shape[0], a.shape[1])
    if ctx.needs_input_grad[1]:
        to_b = product_sum(a, g, ctx.of_a, ctx.by, ctx.of_b, b.shape[0])
    return to_a, to_b, *nones(ctx.of_a, ctx.of_b, ctx.by), None


product_sum.register_autograd(_product_sum_backward, setup_context=pair_inputs)


@Operator
def dot_sum(
    a: Tensor, b: Tensor, of_a: Sequence[Tensor | None], of_b: Sequence[Tensor | None], by: Sequence[Tensor | None], n: int, heads: int
) -> Tensor:
    """out[i, h] = sum over the edges of row i of the dot product of a[of_a] and b[of_b] over head h's columns, [n, H]."""
    out = a.new_empty(n, heads)
    launch("dot_sum", a, of_a[0], b, of_b[0], by[1], by[2], out=out)
    return out


@dot_sum.register_fake
def _(
    a: Tensor, b: Tensor, of_a: Sequence[Tensor | None], of_b: Sequence[Tensor | None], by: Sequence[Tensor | None], n: int, heads: int
) -> Tensor:
    return a.new_empty(n, heads)


def _dot_sum_backward(ctx: Any, g: Tensor) -> Any:
    a, b = ctx.saved_tensors
    g = g.contiguous()
    to_a = product_sum(g, b, ctx.by, ctx.of_b, ctx.of_a, a.shape[0]) if ctx.needs_input_grad[0] else None
    to_b = product_sum(g, a, ctx.by, ctx.of_a, ctx.of_b, b.shape[0]) if ctx.needs_input_grad[1] else None
    return to_a, to_b, *nones(ctx.of_a, ctx.of_b, ctx.by), None, None


dot_sum.register_autograd(_dot_sum_backward, setup_context=pair_inputs)


@Operator
def act_sum(
    kind: int,
    a: Tensor,
    b: Tensor | None,
    c: Tensor | None,
    q: Tensor | None,
    columns: Sequence[Tensor | None],
    by: Sequence[Tensor | None],
    n: int,
) -> Tensor:
    """out[i] = sum of f(a[c1] + b[c2] + c[c3] + q[c4]) over the edges of row i, [n, d]; `columns` holds three tensors a table."""
    out = a.new_empty(n, a.shape[1])
    launch("act_sum", kind, *_terms((a, b, c, q), columns), by[1], by[2], out=out)
    return out


@act_sum.register_fake
def _(
    kind: int,
    a: Tensor,
    b: Tensor | None,
    c: Tensor | None,
    q: Tensor | None,
    columns: Sequence[Tensor | None],
    by: Sequence[Tensor | None],
    n: int,
) -> Tensor:
    return a.new_empty(n, a.shape[1])


def _terms(tables: Sequence[Tensor | None], columns: Sequence[Tensor | None]) -> list[Any]:
    """Table and index of each term; an empty tuple for a table that is not there."""
    return [x for k, t in enumerate(tables) for x in (((), None) if t is None else (t, columns[3 * k]))]


def _act_sum_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    ctx.kind, *tables, ctx.columns, ctx.by, _ = inputs
    ctx.save_for_backward(*tables)


def _act_sum_backward(ctx: Any, g: Tensor) -> Any:
    tables, g = ctx.saved_tensors, g.contiguous()
    columns = [ctx.columns[3 * k : 3 * k + 3] for k in range(len(ctx.columns) // 3)]
    grads: list[Tensor | None] = [None] * len(tables)
    on_edges: Tensor | None = None  # g f'(s) of each edge, where a table of the edges' own needs it anyway
    for k in sorted(range(len(columns)), key=lambda k: columns[k][0] is not None):
        table, own = tables[k], columns[k]
        if not table.requires_grad:
            continue
        if on_edges is None:
            grads[k] = act_slope_sum(ctx.kind, *tables, g, ctx.columns, ctx.by, own, table.shape[0])
            on_edges = grads[k] if own[0] is None else None
        else:
            grads[k] = grouped(on_edges, EDGES, own, table.shape[0])
    return None, *grads, *nones(ctx.columns, ctx.by), None


act_sum.register_autograd(_act_sum_backward, setup_context=_act_sum_inputs)


@Operator
def act_slope_sum(
    kind: int,
    a: Tensor,
    b: Tensor | None,
    c: Tensor | None,
    q: Tensor | None,
    g: Tensor,
    columns: Sequence[Tensor | None],
    of_g: Sequence[Tensor | None],
    by: Sequence[Tensor | None],
    n: int,
) -> Tensor:
    """out[r] = sum of g[of_g] f'(a[c1] + b[c2] + c[c3] + q[c4]) over the edges of row r, [n, d]."""
    out = g.new_empty(n, g.shape[1])
    launch("act_slope_sum", kind, *_terms((a, b, c, q), columns), g, of_g[0], by[1], by[2], out=out)
    return out


@act_slope_sum.register_fake
def _(
    kind: int,
    a: Tensor,
    b: Tensor | None,
    c: Tensor | None,
    q: Tensor | None,
    g: Tensor,
    columns: Sequence[Tensor | None],
    of_g: Sequence[Tensor | None],
    by: Sequence[Tensor | None],
    n: int,
) -> Tensor:
    return g.new_empty(n, g.shape[1])


def _act_slope_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    ctx.kind, *tables, ctx.columns, ctx.of_g, ctx.by, _ = inputs
    ctx.save_for_backward(*tables)


def _act_slope_backward(ctx: Any, h: Tensor) -> Any:
    """The second derivative, on the edges, in plain PyTorch: sums of h f'(s) to g and of h g f''(s) to each table."""
    *tables, g = ctx.saved_tensors
    columns = [ctx.columns[3 * k : 3 * k + 3] for k in range(len(ctx.columns) // 3)]
    tables = tables[: len(columns)]
    E = next((c[0].shape[0] for c in (*columns, ctx.of_g, ctx.by) if c[0] is not None), g.shape[0])
    s = cast(Tensor, sum(grouped(t, c, EDGES, E) for t, c in zip(tables, columns, strict=True)))  # [E, d]
    first, second = _SLOPES[ctx.kind](s)
    h = grouped(h, ctx.by, EDGES, E)
    to_tables = [grouped(h * grouped(g, ctx.of_g, EDGES, E) * second, EDGES, c, t.shape[0]) for t, c in zip(tables, columns, strict=True)]
    return (
        None,
        *to_tables,
        *[None] * (4 - len(tables)),
        grouped(h * first, EDGES, ctx.of_g, g.shape[0]),
        *nones(ctx.columns, ctx.of_g, ctx.by),
        None,
    )


def _silu_slopes(s: Tensor) -> tuple[Tensor, Tensor]:
    y = s.sigmoid()
    return y * (1 + s * (1 - y)), y * (1 - y) * (2 + s * (1 - 2 * y))


_SLOPES: list[Callable[[Tensor], tuple[Tensor, Tensor]]] = [  # f' and f'', in the order of KINDS
    lambda s: (torch.ones_like(s), torch.zeros_like(s)),
    lambda s: ((s > 0).to(s.dtype), torch.zeros_like(s)),
    _silu_slopes,
    lambda s: (s.sigmoid(), s.sigmoid() * (1 - s.sigmoid())),
]

act_slope_sum.register_autograd(_act_slope_backward, setup_context=_act_slope_inputs)


@Operator
def shifted_softplus(x: Tensor) -> Tensor:
    """ln(1 + exp(x)) - ln 2; x is contiguous."""
    out = torch.empty_like(x)
    launch("shifted_softplus", x.view(-1), out=out.view(-1))
    return out


@shifted_softplus.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@Operator
def sigmoid_times(x: Tensor, g: Tensor) -> Tensor:
    """g / (1 + exp(-x)); both are contiguous."""
    out = torch.empty_like(x)
    launch("sigmoid_times", x.view(-1), g.view(-1), out=out.view(-1))
    return out


@sigmoid_times.register_fake
def _(x: Tensor, g: Tensor) -> Tensor:
    return torch.empty_like(x)


def _softplus_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _shifted_softplus_backward(ctx: Any, g: Tensor) -> tuple[Tensor]:
    return (sigmoid_times(*ctx.saved_tensors, g.contiguous()),)


def _sigmoid_times_backward(ctx: Any, h: Tensor) -> tuple[Tensor, Tensor]:
    x, g = ctx.saved_tensors
    y = x.sigmoid()
    return h * g * y * (1 - y), h * y


shifted_softplus.register_autograd(_shifted_softplus_backward, setup_context=_softplus_inputs)
sigmoid_times.register_autograd(_sigmoid_times_backward, setup_context=_softplus_inputs)


# bf16 and half are cast at the operator; sums are float32.
for _op in (gather_sum, product_sum, dot_sum, act_sum, act_slope_sum, shifted_softplus, sigmoid_times):
    _op.register_autocast(torch.float32)
