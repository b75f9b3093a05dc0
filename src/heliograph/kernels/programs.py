"""The programs of Triton's kernels: each sums a block of rows of the result over its columns, edge after edge. `cuda` launches them."""

from __future__ import annotations

import math

import triton
import triton.language as tl

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
def _row(table, index, e, live, columns, inside, d):
    """Some columns of the rows of a table [R, d] that edges use."""
    r = _at(index, e, live)
    return tl.load(table + r[:, None] * d + columns[None, :], live[:, None] & inside[None, :], 0)


@triton.jit
def _sum(a, ia, b, ib, c, ic, q, iq, e, live, columns, inside, d):
    """a[ia] + b[ib] + c[ic] + q[iq] of some edges, without the tables that are not there."""
    s = _row(a, ia, e, live, columns, inside, d)
    if b is not None:
        s += _row(b, ib, e, live, columns, inside, d)
    if c is not None:
        s += _row(c, ic, e, live, columns, inside, d)
    if q is not None:
        s += _row(q, iq, e, live, columns, inside, d)
    return s


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
def gather_sum(x, index, order, pointer, out, n, d, R: tl.constexpr, C: tl.constexpr):
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        total += _row(x, index, _at(order, low + k, live), live, columns, inside, d)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def product_sum(a, ia, b, ib, order, pointer, out, n, d, H, R: tl.constexpr, C: tl.constexpr):
    rows, columns, inside = _block(d, R, C)
    heads = columns // (d // H)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        e = _at(order, low + k, live)
        w = tl.load(a + _at(ia, e, live)[:, None] * H + heads[None, :], live[:, None] & inside[None, :], 0)
        total += w * _row(b, ib, e, live, columns, inside, d)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def dot_sum(a, ia, b, ib, order, pointer, out, n, H, d, R: tl.constexpr, C: tl.constexpr):
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
            products += _row(a, ia, e, live, columns, inside, d) * _row(b, ib, e, live, columns, inside, d)
        total += tl.sum(products, 1)
    tl.store(out + rows * H + head, total, rows < n)


@triton.jit
def act_sum(a, ia, b, ib, c, ic, q, iq, order, pointer, out, n, d, KIND: tl.constexpr, R: tl.constexpr, C: tl.constexpr):
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        s = _sum(a, ia, b, ib, c, ic, q, iq, _at(order, low + k, live), live, columns, inside, d)
        total += tl.where(live[:, None], _value(s, KIND), 0)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def act_slope_sum(
    a, ia, b, ib, c, ic, q, iq, g, ig, order, pointer, out, n, d, KIND: tl.constexpr, R: tl.constexpr, C: tl.constexpr
):  # fmt: skip
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    total = tl.zeros((R, C), out.dtype.element_ty)
    for k in range(tl.max(high - low, 0)):
        live = low + k < high
        e = _at(order, low + k, live)
        s = _sum(a, ia, b, ib, c, ic, q, iq, e, live, columns, inside, d)
        slope = _slope(s, _row(g, ig, e, live, columns, inside, d), KIND)
        total += tl.where(live[:, None], slope, 0)
    tl.store(out + rows[:, None] * d + columns[None, :], total, (rows < n)[:, None] & inside[None, :])


@triton.jit
def argmax(x, index, pointer, out, n, d, R: tl.constexpr, C: tl.constexpr):
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
def take_best(x, index, best, out, n, d, C: tl.constexpr):
    k = tl.program_id(0).to(tl.int64) * C + tl.arange(0, C)
    e = tl.load(best + k, k < n, -1)
    r = _at(index, e, e >= 0)
    tl.store(out + k, tl.load(x + r * d + k % d, e >= 0, 0), k < n)


@triton.jit
def spread(g, best, by, order, pointer, out, n, d, R: tl.constexpr, C: tl.constexpr):
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
def softmax(x, pointer, out, n, d, R: tl.constexpr, C: tl.constexpr):
    """Once for the largest, once for the sum, once for the weights; NaN counts as the largest."""
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    longest = tl.max(high - low, 0)
    top, total = tl.full((R, C), float("-inf"), x.dtype.element_ty), tl.zeros((R, C), x.dtype.element_ty)
    for k in range(longest):
        live = low + k < high
        v = _row(x, None, low + k, live, columns, inside, d)
        top = tl.where(live[:, None] & ((v > top) | (v != v)), v, top)
    for k in range(longest):
        live = low + k < high
        v = tl.exp(_row(x, None, low + k, live, columns, inside, d) - top)
        total += tl.where(live[:, None], v, 0)
    for k in range(longest):
        live = low + k < high
        v = tl.exp(_row(x, None, low + k, live, columns, inside, d) - top) / total
        tl.store(out + (low + k)[:, None] * d + columns[None, :], v, live[:, None] & inside[None, :])


@triton.jit
def softmax_slope(p, g, pointer, out, n, d, R: tl.constexpr, C: tl.constexpr):
    rows, columns, inside = _block(d, R, C)
    low, high = _span(pointer, rows, n)
    longest = tl.max(high - low, 0)
    total = tl.zeros((R, C), p.dtype.element_ty)
    for k in range(longest):
        live = low + k < high
        weight = _row(p, None, low + k, live, columns, inside, d)
        total += weight * _row(g, None, low + k, live, columns, inside, d)
    for k in range(longest):
        live = low + k < high
        weight = _row(p, None, low + k, live, columns, inside, d)
        v = weight * (_row(g, None, low + k, live, columns, inside, d) - total)
        tl.store(out + (low + k)[:, None] * d + columns[None, :], v, live[:, None] & inside[None, :])


@triton.jit
def outer_sum(phi, of_phi, x, of_x, pointer, out, K, d, B: tl.constexpr, C: tl.constexpr):
    """A tile [B, C] of the matrix of one row."""
    i = tl.program_id(0).to(tl.int64)
    ks, cs = tl.program_id(1) * B + tl.arange(0, B), tl.program_id(2) * C + tl.arange(0, C)
    total = tl.zeros((B, C), out.dtype.element_ty)
    for e in range(tl.load(pointer + i), tl.load(pointer + i + 1)):
        p = tl.load(phi + _at(of_phi, e, True) * K + ks, ks < K, 0)
        total += p[:, None] * tl.load(x + _at(of_x, e, True) * d + cs, cs < d, 0)[None, :]
    tl.store(out + (i * K + ks[:, None]) * d + cs[None, :], total, (ks < K)[:, None] & (cs < d)[None, :])


@triton.jit
def outer_left(g, x, of_x, pointer, out, K, d, B: tl.constexpr, C: tl.constexpr):
    """out[e, k] for B of the k, all edges e of one row; the rows [B, C = all of d] of g stay while edges pass."""
    i = tl.program_id(0).to(tl.int64)
    ks, cs = tl.program_id(1) * B + tl.arange(0, B), tl.arange(0, C)
    tile = tl.load(g + (i * K + ks[:, None]) * d + cs[None, :], (ks < K)[:, None] & (cs < d)[None, :], 0)
    for e in range(tl.load(pointer + i), tl.load(pointer + i + 1)):
        row = tl.load(x + _at(of_x, e, True) * d + cs, cs < d, 0)
        tl.store(out + e * K + ks, tl.sum(tile * row[None, :], 1), ks < K)


@triton.jit
def outer_right(g, phi, of_phi, pointer, out, K, d, B: tl.constexpr, C: tl.constexpr):
    """out[e, c] for C of the c, all edges e of one row; the columns [B = all of K, C] of g stay while edges pass."""
    i = tl.program_id(0).to(tl.int64)
    ks, cs = tl.arange(0, B), tl.program_id(1) * C + tl.arange(0, C)
    tile = tl.load(g + (i * K + ks[:, None]) * d + cs[None, :], (ks < K)[:, None] & (cs < d)[None, :], 0)
    for e in range(tl.load(pointer + i), tl.load(pointer + i + 1)):
        row = tl.load(phi + _at(of_phi, e, True) * K + ks, ks < K, 0)
        tl.store(out + e * d + cs, tl.sum(tile * row[:, None], 0), cs < d)


@triton.jit
def shifted_softplus(x, out, n, C: tl.constexpr):
    k = tl.program_id(0).to(tl.int64) * C + tl.arange(0, C)
    tl.store(out + k, _softplus(tl.load(x + k, k < n, 0)) - LOG2, k < n)


@triton.jit
def sigmoid_times(x, g, out, n, C: tl.constexpr):
    k = tl.program_id(0).to(tl.int64) * C + tl.arange(0, C)
    tl.store(out + k, tl.load(g + k, k < n, 0) / (1 + tl.exp(-tl.load(x + k, k < n, 0))), k < n)


@triton.jit(do_not_specialize=["low", "high", "least"])
def dropout(x, low, high, least, scale, out, n, C: tl.constexpr):
    """The hash of `cpu.dropout`: one seed gives one mask on either device."""
    k = tl.program_id(0).to(tl.int64) * C + tl.arange(0, C)
    h = k.to(tl.uint32) ^ low.to(tl.uint32)
    h = (h ^ (h >> 17)) * tl.full((C,), 0xED5AD4BB, tl.uint32)
    h = (h ^ (h >> 11) ^ high.to(tl.uint32)) * tl.full((C,), 0xAC4C1B51, tl.uint32)
    h = (h ^ (h >> 15)) * tl.full((C,), 0x31848BAB, tl.uint32)
    h = h ^ (h >> 14)
    y = tl.load(x + k, k < n, 0)
    tl.store(out + k, tl.where(h.to(tl.int64) >= least, y * tl.load(scale), 0), k < n)
