"""Numba kernels for float32 and float64 on the CPU: loops over rows of the result, so no two threads write one row.

Every array of indices may be empty, which means "the edges themselves": `index` (edge e uses row e), `order` (edges come sorted),
`pointer` (each edge is a row of the result of its own). A row's terms are added in the order of its edges whatever the number
of threads, so results don't depend on it. NaN and infinity survive (but what dropout drops is zero): no fast-math beyond
reassociation in dot products.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import prange

from heliograph.kernels.compiler import at, exp, first, inner, jit, keep, segment_bounds, softplus, term
from heliograph.kernels.cpu_forms import coupled_dot, coupled_sum, form_dot, form_sum, terms_sum

LOG2 = math.log(2.0)
IDENTITY, RELU, SILU, SSP = range(4)  # in the order of reference.ACTIVATIONS


@keep
@numba.njit(nogil=True)
def group(index: Any, order: Any, parts: int, pointer: Any) -> None:
    """Edges sorted by `index`, stably: `order` [E], and where each row's run starts, `pointer` [n + 1]. In one thread, whatever `parts`."""
    pointer[:] = 0
    for e in range(len(index)):
        pointer[index[e] + 1] += 1
    for i in range(1, len(pointer)):
        pointer[i] += pointer[i - 1]
    place = pointer[:-1].copy()
    for e in range(len(index)):
        order[place[index[e]]] = e
        place[index[e]] += 1


@jit
def gather_sum(x: Any, index: Any, order: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[i] = sum over edges e of row i of x[index[e]]."""
    n, d = out.shape
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i, :] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                r = at(index, at(order, k))
                for c in range(d):
                    out[i, c] += x[r, c]


@jit
def product_sum(a: Any, ia: Any, b: Any, ib: Any, order: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[i] = sum over edges e of row i of a[ia[e]] * b[ib[e]]; one column of a, [R, H], serves d / H columns of b, [R', d]."""
    n, d = out.shape
    H = a.shape[1]
    q = d // H
    heads, total = b.reshape((len(b), H, q)), out.reshape((n, H, q))  # a loop that begins elsewhere than at 0 hardly vectorises
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i, :] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v = at(ia, e), at(ib, e)
                if q == 1:
                    for c in range(d):
                        out[i, c] += a[u, c] * b[v, c]
                elif H == 1:  # by itself: a loop over one head does not vectorise as well
                    w = a[u, 0]
                    for c in range(d):
                        out[i, c] += w * b[v, c]
                else:
                    for h in range(H):
                        w = a[u, h]
                        for c in range(q):
                            total[i, h, c] += w * heads[v, h, c]


@jit
def dot_sum(a: Any, ia: Any, b: Any, ib: Any, order: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[i, h] = sum over edges e of row i of the dot product of a[ia[e]] and b[ib[e]] over the d / H columns of head h."""
    n, H = out.shape
    q = a.shape[1] // H
    x, y = a.reshape((len(a), H, q)), b.reshape((len(b), H, q))
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i, :] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v = at(ia, e), at(ib, e)
                for h in range(H):
                    total = out.dtype.type(0)
                    for c in range(q):
                        total += x[u, h, c] * y[v, h, c]
                    out[i, h] += total


@jit
def act_sum(
    kind: int, a: Any, ia: Any, b: Any, ib: Any, c: Any, ic: Any, q: Any, iq: Any, order: Any, pointer: Any, parts: int, out: Any
) -> None:
    """out[i] = sum over edges e of row i of f(a[ia[e]] + b[ib[e]] + c[ic[e]] + q[iq[e]]); b, c and q may be missing."""
    n, d = out.shape
    one, shift = out.dtype.type(1), out.dtype.type(LOG2)
    zero = one - one
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i, :] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v, w, y = at(ia, e), at(ib, e), at(ic, e), at(iq, e)
                if kind == RELU:
                    for t in range(d):
                        s = a[u, t] + term(b, v, t, zero) + term(c, w, t, zero) + term(q, y, t, zero)
                        out[i, t] += zero if s <= zero else s
                elif kind == SILU:
                    for t in range(d):
                        s = a[u, t] + term(b, v, t, zero) + term(c, w, t, zero) + term(q, y, t, zero)
                        out[i, t] += s / (one + exp(-s))
                elif kind == SSP:
                    for t in range(d):
                        s = a[u, t] + term(b, v, t, zero) + term(c, w, t, zero) + term(q, y, t, zero)
                        out[i, t] += softplus(s, one) - shift
                else:
                    for t in range(d):
                        out[i, t] += a[u, t] + term(b, v, t, zero) + term(c, w, t, zero) + term(q, y, t, zero)


@jit
def act_slope_sum(
    kind: int, a: Any, ia: Any, b: Any, ib: Any, c: Any, ic: Any, q: Any, iq: Any, g: Any, ig: Any, order: Any, pointer: Any, parts: int,
    out: Any,
) -> None:  # fmt: skip
    """out[i] = sum over edges e of row i of g[ig[e]] f'(a[ia[e]] + b[ib[e]] + c[ic[e]] + q[iq[e]]); b, c and q may be missing."""
    n, d = out.shape
    one = out.dtype.type(1)
    zero = one - one
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i, :] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v, w, y, r = at(ia, e), at(ib, e), at(ic, e), at(iq, e), at(ig, e)
                if kind == RELU:
                    for t in range(d):
                        s = a[u, t] + term(b, v, t, zero) + term(c, w, t, zero) + term(q, y, t, zero)
                        out[i, t] += zero if s <= zero else g[r, t]
                elif kind == SILU:
                    for t in range(d):
                        s = a[u, t] + term(b, v, t, zero) + term(c, w, t, zero) + term(q, y, t, zero)
                        z = one / (one + exp(-s))
                        out[i, t] += g[r, t] * z * (one + s * (one - z))
                elif kind == SSP:
                    for t in range(d):
                        s = a[u, t] + term(b, v, t, zero) + term(c, w, t, zero) + term(q, y, t, zero)
                        out[i, t] += g[r, t] / (one + exp(-s))
                else:
                    for t in range(d):
                        out[i, t] += g[r, t]


@inner
def _softplus_of(x: Any, out: Any) -> None:
    one, shift = out.dtype.type(1), out.dtype.type(LOG2)
    for k in range(len(x)):
        out[k] = softplus(x[k], one) - shift


@jit
def shifted_softplus(x: Any, parts: int, out: Any) -> None:
    """out = ln(1 + exp(x)) - ln 2, elementwise."""
    for part in prange(parts):
        low, high = len(x) * part // parts, len(x) * (part + 1) // parts
        _softplus_of(x[low:high], out[low:high])


@inner
def _sigmoid_of(x: Any, g: Any, out: Any) -> None:
    one = out.dtype.type(1)
    for k in range(len(x)):
        out[k] = g[k] / (one + exp(-x[k]))


@jit
def sigmoid_times(x: Any, g: Any, parts: int, out: Any) -> None:
    """out = g / (1 + exp(-x)), elementwise: the derivative of softplus, times g."""
    for part in prange(parts):
        low, high = len(x) * part // parts, len(x) * (part + 1) // parts
        _sigmoid_of(x[low:high], g[low:high], out[low:high])


@inner
def _drop(x: Any, start: Any, low: Any, high: Any, least: Any, scale: Any, out: Any) -> None:
    """A hash of each place, modulo 2^32 (three rounds of C. Wellons, triple32), keyed before and within by the halves of the seed."""
    u, zero = np.uint32, out.dtype.type(0)
    for k in range(len(x)):
        h = u(u(k) + start) ^ low
        h = u(u(h ^ (h >> u(17))) * u(0xED5AD4BB))
        h = u(u(u(h ^ (h >> u(11))) ^ high) * u(0xAC4C1B51))
        h = u(u(h ^ (h >> u(15))) * u(0x31848BAB))
        h = u(h ^ (h >> u(14)))
        out[k] = x[k] * scale if h >= least else zero


@jit
def dropout(x: Any, low: int, high: int, p: float, parts: int, out: Any) -> None:
    """out = x / (1 - p) where the hash of an element's place and the seed (two halves of 32 bits) is large enough, else 0."""
    scale, least = out.dtype.type(1.0 / (1.0 - p)), np.uint32(p * 4294967296.0)
    for part in prange(parts):
        start, end = len(x) * part // parts, len(x) * (part + 1) // parts
        _drop(x[start:end], np.uint32(start), np.uint32(low), np.uint32(high), least, scale, out[start:end])


@jit
def argmax(x: Any, index: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[i, c] = the edge of row i that uses the row of x with the largest value of column c; the first of equals; -1: none.

    NaN counts as the largest.
    """
    n, d = out.shape
    for part in prange(parts):
        top, best = np.empty(d, x.dtype), np.empty(d, np.int32)  # counted from the segment's start, as wide as a float32
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            low, high = pointer[i], pointer[i + 1]
            if low == high:
                out[i, :] = -1
                continue
            top[:] = x[at(index, low)]
            best[:] = 0
            for e in range(low + 1, high):
                r, k = at(index, e), np.int32(e - low)
                for c in range(d):
                    v, t = x[r, c], top[c]
                    more = (v > t) | ((v != v) & (t == t))
                    top[c] = v if more else t
                    best[c] = k if more else best[c]
            for c in range(d):
                out[i, c] = low + best[c]


@jit
def take_best(x: Any, index: Any, best: Any, parts: int, out: Any) -> None:
    """out[i, c] = the value of column c that edge best[i, c] uses; zero for none."""
    n, d = out.shape
    for part in prange(parts):
        for i in range(n * part // parts, n * (part + 1) // parts):
            for c in range(d):
                e = best[i, c]
                out[i, c] = x[at(index, e), c] if e >= 0 else 0


@jit
def spread(g: Any, best: Any, by: Any, order: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[r, c] = sum over edges e of row r of g[by[e], c], where e is the best of its segment in column c."""
    n, d = out.shape
    for part in prange(parts):
        for r in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[r, :] = 0
            low, high = segment_bounds(pointer, r)
            for k in range(low, high):
                e = at(order, k)
                i = by[e]
                for c in range(d):
                    out[r, c] += g[i, c] if best[i, c] == e else 0


@inner
def _exp_in_place(x: Any) -> None:
    for k in range(len(x)):
        x[k] = exp(x[k])


@jit
def softmax(x: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[e, h] = exp(x[e, h]) over the sum of exp(x[k, h]) of the rows k in e's segment. NaN counts as the largest."""
    H, n = x.shape[1], len(pointer) - 1
    flat = out.reshape(-1)
    for part in prange(parts):
        top = np.empty(H, x.dtype)  # of each head; then the sum
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            low, high = pointer[i], pointer[i + 1]
            if low == high:
                continue
            top[:] = x[low]
            for e in range(low + 1, high):
                for h in range(H):
                    top[h] = x[e, h] if (x[e, h] > top[h]) | (x[e, h] != x[e, h]) else top[h]
            for e in range(low, high):
                for h in range(H):
                    out[e, h] = x[e, h] - top[h]
            _exp_in_place(flat[low * H : high * H])
            top[:] = 0
            for e in range(low, high):
                for h in range(H):
                    top[h] += out[e, h]
            for e in range(low, high):
                for h in range(H):
                    out[e, h] /= top[h]


@jit
def softmax_slope(p: Any, g: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[e, h] = p[e, h] (g[e, h] - sum of p[k, h] g[k, h] over the rows k in e's segment)."""
    H, n = p.shape[1], len(pointer) - 1
    for part in prange(parts):
        total = np.empty(H, p.dtype)
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            total[:] = 0
            for e in range(pointer[i], pointer[i + 1]):
                for h in range(H):
                    total[h] += p[e, h] * g[e, h]
            for e in range(pointer[i], pointer[i + 1]):
                for h in range(H):
                    out[e, h] = p[e, h] * (g[e, h] - total[h])


@jit
def outer_sum(phi: Any, of_phi: Any, x: Any, of_x: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[i] = sum over edges e of row i of the outer product of phi[of_phi[e]] and x[of_x[e]]; four edges at a time."""
    n, K, d = out.shape
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i] = 0
            e, high = pointer[i], pointer[i + 1]
            while e < high:
                p0, x0 = phi[at(of_phi, e)], x[at(of_x, e)]
                if e + 4 <= high:
                    p1, x1 = phi[at(of_phi, e + 1)], x[at(of_x, e + 1)]
                    p2, x2 = phi[at(of_phi, e + 2)], x[at(of_x, e + 2)]
                    p3, x3 = phi[at(of_phi, e + 3)], x[at(of_x, e + 3)]
                    for k in range(K):
                        for c in range(d):
                            out[i, k, c] += p0[k] * x0[c] + p1[k] * x1[c] + p2[k] * x2[c] + p3[k] * x3[c]
                    e += 4
                else:
                    for k in range(K):
                        for c in range(d):
                            out[i, k, c] += p0[k] * x0[c]
                    e += 1


@jit
def outer_left(g: Any, x: Any, of_x: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[e] = g[i] x[of_x[e]] for each edge e of row i: the part of outer_sum's derivative that belongs to phi; four edges at a time."""
    n, K, d = g.shape
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            e, high = pointer[i], pointer[i + 1]
            while e < high:
                x0 = x[at(of_x, e)]
                if e + 4 <= high:
                    x1, x2, x3 = x[at(of_x, e + 1)], x[at(of_x, e + 2)], x[at(of_x, e + 3)]
                    for k in range(K):
                        t0 = t1 = t2 = t3 = out.dtype.type(0)
                        for c in range(d):
                            t0 += g[i, k, c] * x0[c]
                            t1 += g[i, k, c] * x1[c]
                            t2 += g[i, k, c] * x2[c]
                            t3 += g[i, k, c] * x3[c]
                        out[e, k], out[e + 1, k], out[e + 2, k], out[e + 3, k] = t0, t1, t2, t3
                    e += 4
                else:
                    for k in range(K):
                        t0 = out.dtype.type(0)
                        for c in range(d):
                            t0 += g[i, k, c] * x0[c]
                        out[e, k] = t0
                    e += 1


@jit
def outer_right(g: Any, phi: Any, of_phi: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[e] = phi[of_phi[e]] g[i] for each edge e of row i: the part that belongs to x, [E, d]; four rows of g at a time."""
    n, K, d = g.shape
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            low, high = pointer[i], pointer[i + 1]
            out[low:high] = 0
            for k in range(0, K - 3, 4):
                g0, g1, g2, g3 = g[i, k], g[i, k + 1], g[i, k + 2], g[i, k + 3]
                for e in range(low, high):
                    p = phi[at(of_phi, e)]
                    p0, p1, p2, p3 = p[k], p[k + 1], p[k + 2], p[k + 3]
                    for c in range(d):
                        out[e, c] += p0 * g0[c] + p1 * g1[c] + p2 * g2[c] + p3 * g3[c]
            for k in range(K - K % 4, K):
                for e in range(low, high):
                    p0 = phi[at(of_phi, e), k]
                    for c in range(d):
                        out[e, c] += p0 * g[i, k, c]


LOOPS = (
    coupled_sum,
    coupled_dot,
    terms_sum,
    form_sum,
    form_dot,
    outer_sum,
    outer_left,
    outer_right,
    gather_sum,
    product_sum,
    dot_sum,
    act_sum,
    act_slope_sum,
    shifted_softplus,
    sigmoid_times,
    dropout,
    argmax,
    take_best,
    spread,
    softmax,
    softmax_slope,
    group,
)
