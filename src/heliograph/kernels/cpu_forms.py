"""Numba kernels of the multilinear forms (`form`), as in `cpu`: loops over rows of the result, channels innermost."""

from __future__ import annotations

from typing import Any

from numba import prange

from heliograph.kernels.compiler import at, first, jit, segment_bounds


@jit
def form_sum(y: Any, of_y: Any, a: Any, of_a: Any, b: Any, of_b: Any, order: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[i, m] = sum over edges of row i of y[m] a[m] b[m], column by column; a table of one row m serves all, in `out` it adds all."""
    n, G, d = out.shape
    A, B = a.shape[1], b.shape[1]
    M = max(G, A, B, y.shape[1])
    weighted, one = y.shape[1] > 0, out.dtype.type(1)
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v = at(of_a, e), at(of_b, e)
                for m in range(M):
                    w = y[at(of_y, e), m] if weighted else one
                    total, p, q = out[i, m if G > 1 else 0], a[u, m if A > 1 else 0], b[v, m if B > 1 else 0]
                    for c in range(d):
                        total[c] += w * p[c] * q[c]


@jit
def form_dot(a: Any, of_a: Any, b: Any, of_b: Any, g: Any, of_g: Any, order: Any, pointer: Any, parts: int, out: Any) -> None:
    """out[i, m] = sum over edges of row i, and over columns, of a[m] b[m] g[m]; a table of one row m serves all."""
    n, M = out.shape
    A, B, G, d = a.shape[1], b.shape[1], g.shape[1], a.shape[2]
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v, r = at(of_a, e), at(of_b, e), at(of_g, e)
                for m in range(M):
                    p, q, s = a[u, m if A > 1 else 0], b[v, m if B > 1 else 0], g[r, m if G > 1 else 0]
                    total = out.dtype.type(0)
                    for c in range(d):
                        total += p[c] * q[c] * s[c]
                    out[i, m] += total


@jit
def coupled_sum(
    y: Any, of_y: Any, a: Any, of_a: Any, b: Any, of_b: Any, ra: Any, rb: Any, ro: Any, order: Any, pointer: Any, parts: int, out: Any
) -> None:
    """out[i, ro[k]] = sum over edges of row i, and over terms k, of y[k] a[ra[k]] b[rb[k]], column by column."""
    n, d = out.shape[0], out.shape[2]
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v, r = at(of_a, e), at(of_b, e), at(of_y, e)
                for t in range(len(ra)):
                    w, total, p, q = y[r, t], out[i, ro[t]], a[u, ra[t]], b[v, rb[t]]
                    for c in range(d):
                        total[c] += w * p[c] * q[c]


@jit
def coupled_dot(
    a: Any, of_a: Any, b: Any, of_b: Any, g: Any, of_g: Any, ra: Any, rb: Any, rg: Any, order: Any, pointer: Any, parts: int, out: Any
) -> None:
    """out[i, k] = sum over edges of row i, and over columns, of a[ra[k]] b[rb[k]] g[rg[k]]."""
    n, d = out.shape[0], a.shape[2]
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v, r = at(of_a, e), at(of_b, e), at(of_g, e)
                for t in range(len(ra)):
                    p, q, s = a[u, ra[t]], b[v, rb[t]], g[r, rg[t]]
                    total = out.dtype.type(0)
                    for c in range(d):
                        total += p[c] * q[c] * s[c]
                    out[i, t] += total


@jit
def terms_sum(
    a: Any, of_a: Any, b: Any, of_b: Any, c: Any, of_c: Any, g: Any, of_g: Any,
    ra: Any, rb: Any, rc: Any, rg: Any, ro: Any, order: Any, pointer: Any, parts: int, out: Any,
) -> None:  # fmt: skip
    """out[i, ro[k]] = sum over edges of row i, and over terms k, of a[ra[k]] b[rb[k]] c[rc[k]] g[rg[k]], column by column."""
    n, d = out.shape[0], out.shape[2]
    for part in prange(parts):
        for i in range(first(pointer, n, part, parts), first(pointer, n, part + 1, parts)):
            out[i] = 0
            low, high = segment_bounds(pointer, i)
            for k in range(low, high):
                e = at(order, k)
                u, v, w, x = at(of_a, e), at(of_b, e), at(of_c, e), at(of_g, e)
                for t in range(len(ra)):
                    total, p, q, r, s = out[i, ro[t]], a[u, ra[t]], b[v, rb[t]], c[w, rc[t]], g[x, rg[t]]
                    for m in range(d):
                        total[m] += p[m] * q[m] * r[m] * s[m]
