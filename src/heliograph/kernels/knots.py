"""Functions of one number per pair, kept on evenly spaced knots: interpolation as PyTorch operators, with derivatives of every order.

    f(r) = sum_s c_s(u) x[k + s],   u = r / step - k,   s = 0 .. TAPS - 1

x [K, F] holds f at step * (j - MARGIN), j = 0 .. K - 1. Between two knots f is the polynomial of degree five that has their
values, first and second derivatives, both taken from seven knots: twice continuously differentiable in r, exact for polynomials
of degree five, so its error falls with the sixth power of the step.

The three operators are one trilinear form, sum over p, s, f of w[p] c_s^(n)(u_p) x[k_p + s, f] g[p, f], with an argument left out
(g, w, x), and n the order of the derivative by r. So all derivatives are again of these three kinds.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from heliograph.kernels.operator import Operator

TAPS, DEGREE = 8, 5
MARGIN = TAPS // 2 - 1  # knots before zero, and beyond the largest r, that the polynomials need
_intervals: Any = WeakTensorKeyDictionary()  # r -> {(version, step, intervals): k}, the same tensor k each time


@lru_cache
def coefficients(order: int, step: float) -> np.ndarray:
    """Return [TAPS, DEGREE + 1]: the powers of u in each row's weight, of the derivative of this order by r."""
    offsets = np.arange(-MARGIN, MARGIN + 1)
    powers = np.array([offsets**n for n in range(len(offsets))], float)  # of a Taylor series at a knot
    conditions, given = np.zeros((DEGREE + 1, DEGREE + 1)), np.zeros((DEGREE + 1, TAPS))
    for n in range(3):  # the polynomial's n-th derivative at u = 0 and at u = 1 is that of the knots
        difference = np.linalg.solve(powers, factorial(n) * np.eye(len(offsets))[n])
        for end in range(2):
            given[3 * end + n, end : end + len(offsets)] = difference
            conditions[3 * end + n] = [factorial(q) / factorial(q - n) * end ** (q - n) if q >= n else 0.0 for q in range(DEGREE + 1)]
    taps = np.linalg.solve(conditions, given).T  # [TAPS, DEGREE + 1]
    for _ in range(order):
        taps = np.pad(taps[:, 1:] * np.arange(1, DEGREE + 1), ((0, 0), (0, 1))) / step
    return np.ascontiguousarray(taps)


def interval(r: Tensor, step: float, n: int) -> Tensor:
    """Return the number [P] of the interval of `step`, 0 .. n - 1, that each r [P] or [P, 1] lies in; found once for a tensor r."""
    key = (-1 if r.is_inference() else r._version, step, n)
    known = _intervals.setdefault(r, {})
    if key not in known:
        known[key] = (r.detach().view(-1).double() / step).long().clamp_(0, n - 1)
    found: Tensor = known[key]
    return found


def plain(x: Tensor, r: Tensor, k: Tensor, step: float) -> Tensor:
    """Interpolate x [K, F] at r [P] in plain PyTorch, [P, F]."""
    u = r.double() / step - k
    powers = torch.stack([u**n for n in range(DEGREE + 1)], -1)  # [P, 6]
    weights = (powers @ torch.from_numpy(coefficients(0, step)).T.to(r.device)).to(x.dtype)  # [P, TAPS]
    rows = x.index_select(0, (k[:, None] + torch.arange(TAPS, device=k.device)).view(-1)).view(len(k), TAPS, -1)
    return (weights[:, :, None] * rows).sum(1)


def _run(loop: str, *args: Any, out: Tensor) -> Tensor:
    from heliograph.kernels import compiler, splines
    from heliograph.kernels.ops import numpy

    getattr(splines, loop)(*[numpy(a) if isinstance(a, Tensor) else a for a in args], compiler.threads(), numpy(out))
    return out


def _weight(w: Tensor | None, r: Tensor) -> Tensor:
    return r.new_empty(0) if w is None else w.contiguous()


@Operator
def knots_value(x: Tensor, w: Tensor | None, r: Tensor, k: Tensor, step: float, order: int) -> Tensor:
    """out[p] = w[p] f^(order)(r[p]), [P, F]."""
    out = x.new_empty(len(k), x.shape[1])
    return _run("value", x.contiguous(), _weight(w, r), r.contiguous(), k, 1 / step, coefficients(order, step), out=out)


@knots_value.register_fake
def _(x: Tensor, w: Tensor | None, r: Tensor, k: Tensor, step: float, order: int) -> Tensor:
    return x.new_empty(len(k), x.shape[1])


@Operator
def knots_dot(x: Tensor, g: Tensor, r: Tensor, k: Tensor, step: float, order: int) -> Tensor:
    """out[p] = sum over f of g[p, f] f^(order)(r[p])[f], [P]."""
    return _run("dot", x.contiguous(), g.contiguous(), r.contiguous(), k, 1 / step, coefficients(order, step), out=r.new_empty(len(k)))


@knots_dot.register_fake
def _(x: Tensor, g: Tensor, r: Tensor, k: Tensor, step: float, order: int) -> Tensor:
    return r.new_empty(len(k))


@Operator
def knots_spread(g: Tensor, w: Tensor | None, r: Tensor, k: Tensor, step: float, order: int, rows: int) -> Tensor:
    """out[j] = sum over pairs of w[p] c_s^(order)(u_p) g[p] where k_p + s = j, [rows, F]."""
    from heliograph.kernels.ops import column

    _, by, pointer = column(k, rows - TAPS + 1, grouped=True)
    weights = coefficients(order, step)
    return _run(
        "spread", g.contiguous(), _weight(w, r), r.contiguous(), k, 1 / step, weights, by, pointer, out=g.new_empty(rows, g.shape[1])
    )


@knots_spread.register_fake
def _(g: Tensor, w: Tensor | None, r: Tensor, k: Tensor, step: float, order: int, rows: int) -> Tensor:
    return g.new_empty(rows, g.shape[1])


def _value_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, w, r, ctx.k, ctx.step, ctx.order = inputs
    ctx.save_for_backward(x, w, r)


def _value_backward(ctx: Any, g: Tensor) -> Any:
    x, w, r = ctx.saved_tensors
    need, at = ctx.needs_input_grad, (ctx.k, ctx.step)
    to_x = knots_spread(g, w, r, *at, ctx.order, len(x)) if need[0] else None
    to_w = knots_dot(x, g, r, *at, ctx.order) if w is not None and need[1] else None
    to_r = knots_dot(x, g, r, *at, ctx.order + 1) if need[2] else None
    return to_x, to_w, to_r if to_r is None or w is None else w * to_r, None, None, None


def _dot_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, g, r, ctx.k, ctx.step, ctx.order = inputs
    ctx.save_for_backward(x, g, r)


def _dot_backward(ctx: Any, h: Tensor) -> Any:
    x, g, r = ctx.saved_tensors
    need, at = ctx.needs_input_grad, (ctx.k, ctx.step)
    to_x = knots_spread(g, h, r, *at, ctx.order, len(x)) if need[0] else None
    to_g = knots_value(x, h, r, *at, ctx.order) if need[1] else None
    to_r = h * knots_dot(x, g, r, *at, ctx.order + 1) if need[2] else None
    return to_x, to_g, to_r, None, None, None


def _spread_inputs(ctx: Any, inputs: Any, output: Tensor) -> None:
    g, w, r, ctx.k, ctx.step, ctx.order, _ = inputs
    ctx.save_for_backward(g, w, r)


def _spread_backward(ctx: Any, h: Tensor) -> Any:
    g, w, r = ctx.saved_tensors
    need, at = ctx.needs_input_grad, (ctx.k, ctx.step)
    to_g = knots_value(h, w, r, *at, ctx.order) if need[0] else None
    to_w = knots_dot(h, g, r, *at, ctx.order) if w is not None and need[1] else None
    to_r = knots_dot(h, g, r, *at, ctx.order + 1) if need[2] else None
    return to_g, to_w, to_r if to_r is None or w is None else w * to_r, None, None, None, None


knots_value.register_autograd(_value_backward, setup_context=_value_inputs)
knots_dot.register_autograd(_dot_backward, setup_context=_dot_inputs)
knots_spread.register_autograd(_spread_backward, setup_context=_spread_inputs)

for _op in (knots_value, knots_dot, knots_spread):
    _op.register_autocast(torch.float32)
