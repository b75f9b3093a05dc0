"""Triton kernels for float32 and float64 on a CUDA device: the loops of `cpu`, under the same names and with the same arguments.

A program sums a block of rows of the result over its columns, edge after edge in the order that `cpu` has, so results are the same from
run to run: nothing is added by atomics. An index, order or pointer of None means what an empty one means to `cpu`: "the edges themselves".
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ELEMENTS = 1024  # of a block of rows and columns
LONG = 64  # edges of a row that are summed one after the other, where rows have more than that on average
TILE = 4096  # of a matrix that stays while edges pass, at most
RELU, SILU, SSP = tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)  # in the order of reference.ACTIVATIONS; 0: identity
LOG2 = tl.constexpr(math.log(2.0))


@triton.jit
def _span(pointer, rows, n):
    """Where the edges of some rows begin and end; nothing for rows beyond n."""
    there = rows < n
    if pointer is None:
        low, high = rows, tl.where(there, rows + 1, rows)
    else:
        low, high = tl.load(pointer + rows, there, 0), tl.load(pointer + rows + 1, there, 0)
    return low, high


@triton.jit
def _at(index, e, live):
    if index is not None:
        e = tl.load(index + e, live, 0)
    return e


@triton.jit
def _block(d, R: tl.constexpr, C: tl.constexpr):
    """Rows and columns of this program, and which columns there are."""
    rows = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    columns = tl.program_id(1) * C + tl.arange(0, C)
    return rows, columns, columns < d


@triton.jit
def _row(table, index, e, live, columns, inside, d, ONE: tl.constexpr):
    """Some columns of the rows of a table [R, d] that edges use; ONE row serves all."""
    if ONE:
        row = tl.load(table + columns, inside, 0)[None, :]
    else:
        r = _at(index, e, live)
        row = tl.load(table + r[:, None] * d + columns[None, :], live[:, None] & inside[None, :], 0)
    return row


@triton.jit
def _softplus(s):
    """ln(1 + exp(s)) without overflow."""
    return tl.where(s > 0, s, 0) + tl.log(1 + tl.exp(-tl.abs(s)))


@triton.jit
def _value(s, KIND: tl.constexpr):
    if KIND == RELU:
        s = tl.where(s <= 0, 0, s)
    elif KIND == SILU:
        s = s / (1 + tl.exp(-s))
    elif KIND == SSP:
        s = _softplus(s) - LOG2
    return s


@triton.jit
def _slope(s, g, KIND: tl.constexpr):
    """g f'(s)."""
    if KIND == RELU:
        g = tl.where(s <= 0, 0, g)
    elif KIND == SILU:
        y = 1 / (1 + tl.exp(-s))
        g = g * y * (1 + s * (1 - y))
    elif KIND == SSP:
        g = g / (1 + tl.exp(-s))
    return g


@triton.jit
def _gather_sum(x, index, order, pointer, out, n, d, R: tl.constexpr, C: tl.constexpr):
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        total += _row(x, index, _at(order, low + k, live), live, columns, inside, d, False)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def _product_sum(a, ia, b, ib, order, pointer, out, n, d, H, R: tl.constexpr, C: tl.constexpr):
    rows, columns, inside = _block(d, R, C)
    heads = columns // (d // H)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        e = _at(order, low + k, live)
        w = tl.load(a + _at(ia, e, live)[:, None] * H + heads[None, :], live[:, None] & inside[None, :], 0)
        total += w * _row(b, ib, e, live, columns, inside, d, False)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def _dot_sum(a, ia, b, ib, order, pointer, out, n, H, d, R: tl.constexpr, C: tl.constexpr):
    """One head a program (of axis 1), C columns of it at a time."""
    rows, head, q = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R), tl.program_id(1), d // H
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R,), out.dtype.element_ty)
    for start in range(0, q, C):
        part = start + tl.arange(0, C)
        columns, inside = head * q + part, part < q
        products = tl.zeros((R, C), out.dtype.element_ty)
        for k in range(tl.max(high - low, 0)):
            live = low + k < high
            e = _at(order, low + k, live)
            products += _row(a, ia, e, live, columns, inside, d, False) * _row(b, ib, e, live, columns, inside, d, False)
        total += tl.sum(products, 1)
    tl.store(out + rows * H + head, total, rows < n)


@triton.jit
def _act_sum(
    a, ia, b, ib, c, ic, order, pointer, out, n, d,
    KIND: tl.constexpr, A1: tl.constexpr, B1: tl.constexpr, C1: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        e = _at(order, low + k, live)
        s = _row(a, ia, e, live, columns, inside, d, A1) + _row(b, ib, e, live, columns, inside, d, B1)
        s += _row(c, ic, e, live, columns, inside, d, C1)
        total += tl.where(live[:, None], _value(s, KIND), 0)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def _act_slope_sum(
    a, ia, b, ib, c, ic, g, ig, order, pointer, out, n, d,
    KIND: tl.constexpr, A1: tl.constexpr, B1: tl.constexpr, C1: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        e = _at(order, low + k, live)
        s = _row(a, ia, e, live, columns, inside, d, A1) + _row(b, ib, e, live, columns, inside, d, B1)
        s += _row(c, ic, e, live, columns, inside, d, C1)
        slope = _slope(s, _row(g, ig, e, live, columns, inside, d, False), KIND)
        total += tl.where(live[:, None], slope, 0)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def _argmax(x, index, pointer, out, n, d, R: tl.constexpr, C: tl.constexpr):
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    best, top = tl.full((R, C), -1, tl.int64), tl.zeros((R, C), x.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        r = _at(index, low + k, live)
        v = tl.load(x + r[:, None] * d + columns[None, :], live[:, None] & inside[None, :], 0)
        more = live[:, None] & ((best < 0) | (v > top) | ((v != v) & (top == top)))
        top, best = tl.where(more, v, top), tl.where(more, (low + k)[:, None], best)
    tl.store(out + rows[:, None] * d + columns[None, :], best, (rows < n)[:, None] & inside[None, :])


@triton.jit
def _spread(g, best, by, order, pointer, out, n, d, R: tl.constexpr, C: tl.constexpr):
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        e = _at(order, low + k, live)
        place = tl.load(by + e, live, 0)[:, None] * d + columns[None, :]
        there = live[:, None] & inside[None, :]
        mine = there & (tl.load(best + place, there, -1) == e[:, None])
        total += tl.load(g + place, mine, 0)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def _outer_sum(phi, of_phi, x, of_x, pointer, out, K, d, B: tl.constexpr, C: tl.constexpr):
    """A tile [B, C] of the matrix of one row."""
    i = tl.program_id(0).to(tl.int64)
    ks, cs = tl.program_id(1) * B + tl.arange(0, B), tl.program_id(2) * C + tl.arange(0, C)
    total = tl.zeros((B, C), out.dtype.element_ty)
    for e in range(tl.load(pointer + i), tl.load(pointer + i + 1)):
        p = tl.load(phi + _at(of_phi, e, True) * K + ks, ks < K, 0)
        total += p[:, None] * tl.load(x + _at(of_x, e, True) * d + cs, cs < d, 0)[None, :]
    tl.store(out + (i * K + ks[:, None]) * d + cs[None, :], total, (ks < K)[:, None] & (cs < d)[None, :])


@triton.jit
def _outer_left(g, x, of_x, pointer, out, K, d, B: tl.constexpr, C: tl.constexpr):
    """out[e, k] for B of the k, all edges e of one row; the rows [B, C = all of d] of g stay while edges pass."""
    i = tl.program_id(0).to(tl.int64)
    ks, cs = tl.program_id(1) * B + tl.arange(0, B), tl.arange(0, C)
    tile = tl.load(g + (i * K + ks[:, None]) * d + cs[None, :], (ks < K)[:, None] & (cs < d)[None, :], 0)
    for e in range(tl.load(pointer + i), tl.load(pointer + i + 1)):
        row = tl.load(x + _at(of_x, e, True) * d + cs, cs < d, 0)
        tl.store(out + e * K + ks, tl.sum(tile * row[None, :], 1), ks < K)


@triton.jit
def _outer_right(g, phi, of_phi, pointer, out, K, d, B: tl.constexpr, C: tl.constexpr):
    """out[e, c] for C of the c, all edges e of one row; the columns [B = all of K, C] of g stay while edges pass."""
    i = tl.program_id(0).to(tl.int64)
    ks, cs = tl.arange(0, B), tl.program_id(1) * C + tl.arange(0, C)
    tile = tl.load(g + (i * K + ks[:, None]) * d + cs[None, :], (ks < K)[:, None] & (cs < d)[None, :], 0)
    for e in range(tl.load(pointer + i), tl.load(pointer + i + 1)):
        row = tl.load(phi + _at(of_phi, e, True) * K + ks, ks < K, 0)
        tl.store(out + e * d + cs, tl.sum(tile * row[:, None], 0), cs < d)


@triton.jit
def _shifted_softplus(x, out, n, C: tl.constexpr):
    k = tl.program_id(0).to(tl.int64) * C + tl.arange(0, C)
    tl.store(out + k, _softplus(tl.load(x + k, k < n, 0)) - LOG2, k < n)


@triton.jit
def _sigmoid_times(x, g, out, n, C: tl.constexpr):
    k = tl.program_id(0).to(tl.int64) * C + tl.arange(0, C)
    tl.store(out + k, tl.load(g + k, k < n, 0) / (1 + tl.exp(-tl.load(x + k, k < n, 0))), k < n)


@triton.jit(do_not_specialize=["low", "high", "least"])
def _dropout(x, low, high, least, scale, out, n, C: tl.constexpr):
    """The hash of `cpu.dropout`: one seed gives one mask on either device."""
    k = tl.program_id(0).to(tl.int64) * C + tl.arange(0, C)
    h = k.to(tl.uint32) ^ low.to(tl.uint32)
    h = (h ^ (h >> 17)) * tl.full((C,), 0xED5AD4BB, tl.uint32)
    h = (h ^ (h >> 11) ^ high.to(tl.uint32)) * tl.full((C,), 0xAC4C1B51, tl.uint32)
    h = (h ^ (h >> 15)) * tl.full((C,), 0x31848BAB, tl.uint32)
    h = h ^ (h >> 14)
    y = tl.load(x + k, k < n, 0)
    tl.store(out + k, tl.where(h.to(tl.int64) >= least, y * tl.load(scale), 0), k < n)


def _launch(kernel: Any, grid: tuple[int, ...], out: Tensor, *args: Any, **constants: int) -> None:
    if all(grid):
        elsewhere = out.is_cuda and out.device.index != torch.cuda.current_device()
        with torch.cuda.device(out.device) if elsewhere else nullcontext():
            kernel[grid](*args, **constants)


def _rows(kernel: Any, out: Tensor, *args: Any, heads: int = 0, **constants: int) -> None:
    """A kernel over blocks of rows and columns of `out` [n, d]; with `heads`, of rows and heads, as many columns each as `d` says."""
    n, d = out.shape
    width, blocks = (args[-1] // max(heads, 1), heads) if heads else (d, triton.cdiv(d, _power(d, 128)))
    C = _power(width, 128)
    R = ELEMENTS // C
    _launch(kernel, (triton.cdiv(n, R), blocks), out, *args, R=R, C=C, **constants)


def _sums(kernel: Any, columns: tuple[Any, ...], order: Any, pointer: Any, out: Tensor, *args: Any, E: int, **constants: int) -> None:
    """A kernel that sums edges over rows of `out`. Few rows with many edges each are summed in parts, and then the parts."""
    n = len(out)
    if pointer is None or LONG * max(n, 1) > E:
        _rows(kernel, out, *columns, order, pointer, out, n, *args, **constants)
        return
    cuts = torch.cat([pointer, torch.arange(0, E, LONG, device=pointer.device)]).sort().values
    parts = out.new_empty(len(cuts) - 1, out.shape[1])
    _rows(kernel, parts, *columns, order, cuts, parts, len(parts), *args, **constants)
    _rows(_gather_sum, out, parts, None, None, torch.searchsorted(cuts, pointer), out, *out.shape)


def _flat(kernel: Any, out: Tensor, *args: Any) -> None:
    _launch(kernel, (triton.cdiv(out.numel(), ELEMENTS),), out, *args, out, out.numel(), C=ELEMENTS)


def _power(size: int, most: int) -> int:
    return min(triton.next_power_of_2(max(size, 1)), most)


def group(index: Tensor, order: Tensor, pointer: Tensor) -> None:
    torch.argsort(index, stable=True, out=order)
    pointer.copy_(torch.searchsorted(index[order], torch.arange(len(pointer), device=index.device)))


def gather_sum(x: Tensor, index: Any, order: Any, pointer: Any, out: Tensor) -> None:
    _sums(_gather_sum, (x, index), order, pointer, out, out.shape[1], E=_edges(order, index, x))


def product_sum(a: Tensor, ia: Any, b: Tensor, ib: Any, order: Any, pointer: Any, out: Tensor) -> None:
    _sums(_product_sum, (a, ia, b, ib), order, pointer, out, out.shape[1], a.shape[1], E=_edges(order, ia, ib, a))


def dot_sum(a: Tensor, ia: Any, b: Tensor, ib: Any, order: Any, pointer: Any, out: Tensor) -> None:
    H = out.shape[1]
    _sums(_dot_sum, (a, ia, b, ib), order, pointer, out, H, a.shape[1], E=_edges(order, ia, ib, a), heads=H)


def act_sum(kind: int, a: Any, ia: Any, b: Any, ib: Any, c: Any, ic: Any, order: Any, pointer: Any, out: Tensor) -> None:
    E = _edges(order, ia, ib, ic, *(t for t in (a, b, c) if len(t) > 1), a)
    _sums(_act_sum, (a, ia, b, ib, c, ic), order, pointer, out, out.shape[1], E=E, KIND=kind, **_single(a, b, c))


def act_slope_sum(
    kind: int, a: Any, ia: Any, b: Any, ib: Any, c: Any, ic: Any, g: Any, ig: Any, order: Any, pointer: Any, out: Tensor
) -> None:
    E = _edges(order, ia, ib, ic, ig, g)
    _sums(_act_slope_sum, (a, ia, b, ib, c, ic, g, ig), order, pointer, out, out.shape[1], E=E, KIND=kind, **_single(a, b, c))


def _edges(*columns: Any) -> int:
    """How many edges there are, by the first column that has a row for each."""
    return next(len(c) for c in columns if c is not None)


def _single(*tables: Tensor) -> dict[str, int]:
    return {name: len(table) == 1 for name, table in zip(("A1", "B1", "C1"), tables, strict=True)}


def argmax(x: Any, index: Any, pointer: Any, out: Tensor) -> None:
    _rows(_argmax, out, x, index, pointer, out, *out.shape)


def spread(g: Any, best: Any, by: Tensor, order: Any, pointer: Any, out: Tensor) -> None:
    _sums(_spread, (g, best, by), order, pointer, out, out.shape[1], E=len(by))


def outer_sum(phi: Any, of_phi: Any, x: Any, of_x: Any, pointer: Any, out: Tensor) -> None:
    n, K, d = out.shape
    B, C = _power(K, 64), _power(d, 64)
    _launch(_outer_sum, (n, triton.cdiv(K, B), triton.cdiv(d, C)), out, phi, of_phi, x, of_x, pointer, out, K, d, B=B, C=C)


def outer_left(g: Tensor, x: Any, of_x: Any, pointer: Any, out: Tensor) -> None:
    n, K, d = g.shape
    C = _power(d, d + d)
    B = _power(K, max(1, TILE // C))
    _launch(_outer_left, (n, triton.cdiv(K, B)), out, g, x, of_x, pointer, out, K, d, B=B, C=C)


def outer_right(g: Tensor, phi: Any, of_phi: Any, pointer: Any, out: Tensor) -> None:
    n, K, d = g.shape
    B = _power(K, K + K)
    C = _power(d, max(1, TILE // B))
    _launch(_outer_right, (n, triton.cdiv(d, C)), out, g, phi, of_phi, pointer, out, K, d, B=B, C=C)


def shifted_softplus(x: Any, out: Tensor) -> None:
    _flat(_shifted_softplus, out, x)


def sigmoid_times(x: Any, g: Any, out: Tensor) -> None:
    _flat(_sigmoid_times, out, x, g)


def dropout(x: Tensor, low: int, high: int, p: float, out: Tensor) -> None:
    _flat(_dropout, out, x, low, high, int(p * 4294967296.0), torch.full((1,), 1.0 / (1.0 - p), dtype=x.dtype, device=x.device))
