"""Triton kernels for float32 and float64 on a CUDA device: the loops of `cpu`, under the same names and with the same arguments.

A program sums a block of rows of the result over its columns, edge after edge in the order that `cpu` has, so results are the same from
run to run: nothing is added by atomics. An index, order or pointer of None means what an empty one means to `cpu`: "the edges themselves".
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import triton
from torch import Tensor

from heliograph.kernels import programs

ELEMENTS = 1024  # of a block of rows and columns
LONG = 64  # edges of a row that are summed one after the other, where rows have more than that on average
TILE = 4096  # of a matrix that stays while edges pass, at most


def _launch(kernel: Any, grid: tuple[int, ...], out: Tensor, *args: Any, **constants: int) -> None:
    if all(grid):
        elsewhere = out.is_cuda and out.device.index != torch.cuda.current_device()
        with torch.cuda.device(out.device) if elsewhere else nullcontext():
            kernel[grid](*args, **constants)


def _rows(kernel: Any, out: Tensor, *args: Any, head: int = 0, **constants: int) -> None:
    """A kernel over blocks of rows and columns of `out` [n, d]; with `head`, over rows and columns, each the sum of so many products."""
    n, d = out.shape
    C = _power(head or d, 128)
    R = ELEMENTS // C
    _launch(kernel, (triton.cdiv(n, R), d if head else triton.cdiv(d, C)), out, *args, R=R, C=C, **constants)


def _sums(kernel: Any, columns: tuple[Any, ...], order: Any, pointer: Any, out: Tensor, *args: Any, E: int, **constants: int) -> None:
    """A kernel that sums edges over rows of `out`. Few rows with many edges each are summed in parts, and then the parts."""
    n = len(out)
    if pointer is None or LONG * max(n, 1) > E:
        _rows(kernel, out, *columns, order, pointer, out, n, *args, **constants)
        return
    cuts = torch.cat([pointer, torch.arange(0, E, LONG, device=pointer.device)]).sort().values
    parts = out.new_empty(len(cuts) - 1, out.shape[1])
    _rows(kernel, parts, *columns, order, cuts, parts, len(parts), *args, **constants)
    _rows(programs.gather_sum, out, parts, None, None, torch.searchsorted(cuts, pointer), out, *out.shape)


def _flat(kernel: Any, out: Tensor, *args: Any) -> None:
    _launch(kernel, (triton.cdiv(out.numel(), ELEMENTS),), out, *args, out, out.numel(), C=ELEMENTS)


def _power(size: int, most: int) -> int:
    return min(triton.next_power_of_2(max(size, 1)), most)


def group(index: Tensor, order: Tensor, pointer: Tensor) -> None:
    torch.argsort(index, stable=True, out=order)
    pointer.copy_(torch.searchsorted(index[order], torch.arange(len(pointer), device=index.device)))


def gather_sum(x: Tensor, index: Any, order: Any, pointer: Any, out: Tensor) -> None:
    _sums(programs.gather_sum, (x, index), order, pointer, out, out.shape[1], E=_edges(order, index, x))


def product_sum(a: Tensor, ia: Any, b: Tensor, ib: Any, order: Any, pointer: Any, out: Tensor) -> None:
    _sums(programs.product_sum, (a, ia, b, ib), order, pointer, out, out.shape[1], a.shape[1], E=_edges(order, ia, ib, a))


def dot_sum(a: Tensor, ia: Any, b: Tensor, ib: Any, order: Any, pointer: Any, out: Tensor) -> None:
    H = out.shape[1]
    _sums(programs.dot_sum, (a, ia, b, ib), order, pointer, out, H, a.shape[1], E=_edges(order, ia, ib, a), head=a.shape[1] // H)


def act_sum(kind: int, a: Tensor, ia: Any, *rest: Any) -> None:
    """Then b, ib, c, ic, q, iq, order, pointer and out."""
    *terms, order, pointer = [None if isinstance(x, tuple) else x for x in rest[:-1]]
    out: Tensor = rest[-1]
    E = _edges(order, ia, *terms[1::2], *terms[::2], a)
    _sums(programs.act_sum, (a, ia, *terms), order, pointer, out, out.shape[1], E=E, KIND=kind)


def act_slope_sum(kind: int, a: Tensor, ia: Any, *rest: Any) -> None:
    """Then b, ib, c, ic, q, iq, g, ig, order, pointer and out."""
    *terms, order, pointer = [None if isinstance(x, tuple) else x for x in rest[:-1]]
    out: Tensor = rest[-1]
    E = _edges(order, ia, *terms[1::2], terms[-2])
    _sums(programs.act_slope_sum, (a, ia, *terms), order, pointer, out, out.shape[1], E=E, KIND=kind)


def _edges(*columns: Any) -> int:
    """How many edges there are, by the first column that has a row for each."""
    return next(len(c) for c in columns if c is not None)


def argmax(x: Any, index: Any, pointer: Any, out: Tensor) -> None:
    _rows(programs.argmax, out, x, index, pointer, out, *out.shape)


def take_best(x: Tensor, index: Any, best: Tensor, out: Tensor) -> None:
    _launch(programs.take_best, (triton.cdiv(out.numel(), ELEMENTS),), out, x, index, best, out, out.numel(), out.shape[1], C=ELEMENTS)


def spread(g: Any, best: Any, by: Tensor, order: Any, pointer: Any, out: Tensor) -> None:
    _sums(programs.spread, (g, best, by), order, pointer, out, out.shape[1], E=len(by))


def softmax(x: Tensor, pointer: Tensor, out: Tensor) -> None:
    _segments(programs.softmax, out, pointer, x)


def softmax_slope(p: Tensor, g: Tensor, pointer: Tensor, out: Tensor) -> None:
    _segments(programs.softmax_slope, out, pointer, p, g)


def _segments(kernel: Any, out: Tensor, pointer: Tensor, *args: Tensor) -> None:
    """A kernel whose programs each write all rows of some segments."""
    n, d = len(pointer) - 1, out.shape[1]
    C = _power(d, 128)
    R = ELEMENTS // C
    _launch(kernel, (triton.cdiv(n, R), triton.cdiv(d, C)), out, *args, pointer, out, n, d, R=R, C=C)


def outer_sum(phi: Any, of_phi: Any, x: Any, of_x: Any, pointer: Any, out: Tensor) -> None:
    n, K, d = out.shape
    B, C = _power(K, 64), _power(d, 64)
    _launch(programs.outer_sum, (n, triton.cdiv(K, B), triton.cdiv(d, C)), out, phi, of_phi, x, of_x, pointer, out, K, d, B=B, C=C)


def outer_left(g: Tensor, x: Any, of_x: Any, pointer: Any, out: Tensor) -> None:
    n, K, d = g.shape
    C = _power(d, d + d)
    B = _power(K, max(1, TILE // C))
    _launch(programs.outer_left, (n, triton.cdiv(K, B)), out, g, x, of_x, pointer, out, K, d, B=B, C=C)


def outer_right(g: Tensor, phi: Any, of_phi: Any, pointer: Any, out: Tensor) -> None:
    n, K, d = g.shape
    B = _power(K, K + K)
    C = _power(d, max(1, TILE // B))
    _launch(programs.outer_right, (n, triton.cdiv(d, C)), out, g, phi, of_phi, pointer, out, K, d, B=B, C=C)


def shifted_softplus(x: Any, out: Tensor) -> None:
    _flat(programs.shifted_softplus, out, x)


def sigmoid_times(x: Any, g: Any, out: Tensor) -> None:
    _flat(programs.sigmoid_times, out, x, g)


def dropout(x: Tensor, low: int, high: int, p: float, out: Tensor) -> None:
    _flat(programs.dropout, out, x, low, high, int(p * 4294967296.0), torch.full((1,), 1.0 / (1.0 - p), dtype=x.dtype, device=x.device))
