"""Numba loops for functions kept on knots: the sum of TAPS rows of a table, and its derivatives.

Pair p with the number r[p] lies between knots k[p] and k[p] + 1, at u = r / step - k in [0, 1]. Row s of `coefficients`
[TAPS, DEGREE + 1] has the powers of u that weigh the table's row k + s. Results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from heliograph.kernels.compiler import inner, jit

TAPS, BLOCK = 8, 16  # rows that a pair reads; intervals between knots that are summed together


@inner
def _weights(r: float, k: int, inverse: float, coefficients: Any, c: Any) -> None:
    """c[s] = sum over n of coefficients[s, n] u^n, in float64: u is the small difference of large numbers."""
    u = np.float64(r) * inverse - k
    last = coefficients.shape[1] - 1
    for s in range(TAPS):
        total = coefficients[s, last]
        for n in range(last - 1, -1, -1):
            total = total * u + coefficients[s, n]
        c[s] = total


@jit
def value(x: Any, w: Any, r: Any, k: Any, inverse: float, coefficients: Any, parts: int, out: Any) -> None:
    """out[p] = w[p] sum_s c_s(u_p) x[k_p + s]; no w: one."""
    P, F = out.shape
    for part in prange(parts):
        c = np.empty(TAPS, out.dtype)
        for p in range(P * part // parts, P * (part + 1) // parts):
            _weights(r[p], k[p], inverse, coefficients, c)
            if len(w):
                c *= w[p]
            c0, c1, c2, c3, c4, c5, c6, c7 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
            a = k[p]
            x0, x1, x2, x3, x4, x5, x6, x7 = x[a], x[a + 1], x[a + 2], x[a + 3], x[a + 4], x[a + 5], x[a + 6], x[a + 7]
            y = out[p]
            for f in range(F):
                y[f] = (c0 * x0[f] + c1 * x1[f]) + (c2 * x2[f] + c3 * x3[f]) + ((c4 * x4[f] + c5 * x5[f]) + (c6 * x6[f] + c7 * x7[f]))


@jit
def dot(x: Any, g: Any, r: Any, k: Any, inverse: float, coefficients: Any, parts: int, out: Any) -> None:
    """out[p] = sum over f of g[p, f] sum_s c_s(u_p) x[k_p + s, f]."""
    P, F = g.shape
    for part in prange(parts):
        c = np.empty(TAPS, out.dtype)
        for p in range(P * part // parts, P * (part + 1) // parts):
            _weights(r[p], k[p], inverse, coefficients, c)
            c0, c1, c2, c3, c4, c5, c6, c7 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
            a = k[p]
            x0, x1, x2, x3, x4, x5, x6, x7 = x[a], x[a + 1], x[a + 2], x[a + 3], x[a + 4], x[a + 5], x[a + 6], x[a + 7]
            z, total = g[p], out.dtype.type(0)
            for f in range(F):
                total += z[f] * (
                    (c0 * x0[f] + c1 * x1[f]) + (c2 * x2[f] + c3 * x3[f]) + ((c4 * x4[f] + c5 * x5[f]) + (c6 * x6[f] + c7 * x7[f]))
                )
            out[p] = total


@jit
def spread(g: Any, w: Any, r: Any, k: Any, inverse: float, coefficients: Any, order: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[j] = sum over pairs p and taps s with k_p + s = j of w[p] c_s(u_p) g[p]. `order`: pairs sorted by k, `pointer` [intervals + 1].

    Blocks of intervals are independent: what a block adds to rows of later ones is kept aside and added at the end, in order.
    """
    n, F = len(pointer) - 1, out.shape[1]
    blocks = (n + BLOCK - 1) // BLOCK
    beyond = np.zeros((blocks, TAPS - 1, F), out.dtype)
    out[:] = 0
    for part in prange(parts):
        c, rows = np.empty(TAPS, out.dtype), np.empty((BLOCK + TAPS - 1, F), out.dtype)
        for block in range(part, blocks, parts):
            low, high = block * BLOCK, min(n, (block + 1) * BLOCK)
            rows[:] = 0
            for interval in range(low, high):
                a = interval - low
                y0, y1, y2, y3, y4, y5, y6, y7 = (
                    rows[a], rows[a + 1], rows[a + 2], rows[a + 3], rows[a + 4], rows[a + 5], rows[a + 6], rows[a + 7],
                )  # fmt: skip
                for place in range(pointer[interval], pointer[interval + 1]):
                    p = order[place]
                    _weights(r[p], k[p], inverse, coefficients, c)
                    if len(w):
                        c *= w[p]
                    c0, c1, c2, c3, c4, c5, c6, c7 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
                    z = g[p]
                    for f in range(F):
                        v = z[f]
                        y0[f] += c0 * v
                        y1[f] += c1 * v
                        y2[f] += c2 * v
                        y3[f] += c3 * v
                        y4[f] += c4 * v
                        y5[f] += c5 * v
                        y6[f] += c6 * v
                        y7[f] += c7 * v
            out[low:high] = rows[: high - low]
            beyond[block] = rows[high - low : high - low + TAPS - 1]
    for block in range(blocks):
        high = min(n, (block + 1) * BLOCK)
        for s in range(TAPS - 1):
            out[high + s] += beyond[block, s]


LOOPS = (value, dot, spread)
