"""Couplings of real spherical harmonics from exact integrals, and the symmetric polynomials that they make.

    C[a, b, c] ~ integral of Y_1a Y_2b Y_3c               l1 + l2 + l3 even (Gaunt)
    C[a, b, c] ~ integral of r . (grad Y_1a x grad Y_2b) Y_3c       odd

Both are the one trilinear invariant of l1, l2, l3, a Wigner 3j symbol in the basis of `blocks.harmonics`, up to a factor. They are sums of
integrals of x^a y^b z^c over the sphere, computed in whole numbers; roots enter at the end, with the norms.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

Polynomial = dict[tuple[int, int, int], Fraction]  # exponents of x, y, z -> coefficient


def _plus(p: Polynomial, q: Polynomial, factor: Fraction | int = 1) -> Polynomial:
    total = dict(p)
    for key, value in q.items():
        total[key] = total.get(key, Fraction(0)) + factor * value
    return {key: value for key, value in total.items() if value}


def _times(p: Polynomial, q: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for (a, b, c), v in p.items():
        for (d, e, f), w in q.items():
            key = (a + d, b + e, c + f)
            total[key] = total.get(key, Fraction(0)) + v * w
    return total


@lru_cache(maxsize=32)
def polynomials(n: int) -> tuple[list[Polynomial], np.ndarray]:
    """Return the solid harmonics of degree n as polynomials with rational coefficients, m = -n .. n, and their norms [2 n + 1].

    A norm times its polynomial is `harmonics`' Y_nm.
    """
    one, x, y, z = ({e: Fraction(1)} for e in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)))
    square = {(2, 0, 0): Fraction(1), (0, 2, 0): Fraction(1), (0, 0, 2): Fraction(1)}
    powers = [(one, Polynomial())]  # real and imaginary part of (x + i y)^m
    for _ in range(n):
        a, b = powers[-1]
        powers.append((_plus(_times(x, a), _times(y, b), -1), _plus(_times(x, b), _times(y, a))))
    found: list[Polynomial] = []
    norms = []
    for m in range(-n, n + 1):
        k = abs(m)
        before: Polynomial = {}
        legendre: Polynomial = {(0, 0, 0): Fraction(math.prod(range(1, 2 * k, 2)))}
        for j in range(k + 1, n + 1):
            following = _plus(_times(_times(z, legendre), one), _times(square, before), -Fraction(j + k - 1, 2 * j - 1))
            before, legendre = legendre, {e: v * Fraction(2 * j - 1, j - k) for e, v in following.items()}
        found.append(_times(legendre, powers[k][1 if m < 0 else 0]))
        norms.append(math.sqrt((2 * n + 1) / (4 * math.pi) * math.factorial(n - k) / math.factorial(n + k) * (2 if k else 1)))
    return found, np.array(norms)


def _slope(p: Polynomial, axis: int) -> Polynomial:
    found: Polynomial = {}
    for key, value in p.items():
        if key[axis]:
            lower = (key[0] - (axis == 0), key[1] - (axis == 1), key[2] - (axis == 2))
            found[lower] = value * key[axis]
    return found


def _whole(rows: Sequence[Polynomial]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [rows, k] in whole numbers, up to one factor, and exponents [k, 3]."""
    keys = sorted({key for p in rows for key in p}) or [(0, 0, 0)]
    scale = math.lcm(*(v.denominator for p in rows for v in p.values()), 1)
    return np.array([[int(p.get(key, 0) * scale) for key in keys] for p in rows], dtype=np.int64), np.array(keys)


def _integrals(of: Sequence[Sequence[Polynomial]]) -> np.ndarray:
    """Integrals over the sphere of p q r for polynomials of three lists, [len, len, len]; exact up to one factor for all."""
    (a, ea), (b, eb), (c, ec) = (_whole(rows) for rows in of)
    exponents = ea[:, None, None] + eb[None, :, None] + ec[None, None]  # [.., .., .., 3]
    odd = np.array([math.prod(range(1, k, 2)) for k in range(int(exponents.max()) + 1)])  # (k - 1)!! for even k
    values = np.where((exponents % 2 == 0).all(-1), odd[exponents].prod(-1), 0)
    return np.einsum("ia,jb,kc,abc->ijk", a, b, c, values, optimize=True)


@lru_cache(maxsize=256)
def coupling(l1: int, l2: int, l3: int) -> np.ndarray:
    """Return C [2 l1 + 1, 2 l2 + 1, 2 l3 + 1], whose squares add up to one; zero where the three are no triangle."""
    shape = (2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1)
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        return np.zeros(shape)
    (p, pn), (q, qn), (r, rn) = (polynomials(n) for n in (l1, l2, l3))
    if (l1 + l2 + l3) % 2 == 0:
        found = _integrals((p, q, r)).astype(float)
    else:
        found = np.zeros(shape)
        scales = [math.lcm(*(v.denominator for one in rows for v in one.values())) for rows in (p, q)]
        p, q = ([{e: v * s for e, v in one.items()} for one in rows] for rows, s in zip((p, q), scales, strict=True))
        for sign, (a, b, c) in ((1, (0, 1, 2)), (1, (1, 2, 0)), (1, (2, 0, 1)), (-1, (0, 2, 1)), (-1, (2, 1, 0)), (-1, (1, 0, 2))):
            axis: Polynomial = {(int(a == 0), int(a == 1), int(a == 2)): Fraction(1)}
            first, second = [_times(axis, _slope(one, b)) for one in p], [_slope(one, c) for one in q]
            found = found + sign * _integrals((first, second, r)).astype(float)
    found = found * pn[:, None, None] * qn[None, :, None] * rn[None, None]
    return np.asarray(found / np.sqrt((found**2).sum()))


def paths(most: int, sphere: int, out: int) -> list[tuple[int, int, int]]:
    """Return (l1, l2, l3) with l1 <= `most`, l2 <= `sphere`, l3 <= `out`, a triangle of even sum, by l3: how features l1 and harmonics l2
    make features l3 that are no pseudotensors."""
    all_of = itertools.product(range(out + 1), range(most + 1), range(sphere + 1))
    return [(a, b, c) for c, a, b in all_of if abs(a - b) <= c <= a + b and (a + b + c) % 2 == 0]


@lru_cache(maxsize=64)
def symmetric(most: int, out: int, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all polynomials of `degree` in features l <= `most` that turn as l = `out` and are no pseudotensors.

    Monomials [T, degree], ascending rows of the (most + 1)^2 features, and coefficients [K, 2 out + 1, T] of K polynomials: a basis, so
    that nothing is counted twice. As symmetric tensors they are orthogonal, of norm sqrt(2 out + 1). Made by coupling in sequence,
    averaging over the order of factors, and Gram-Schmidt in a fixed order.
    """
    found: list[tuple[tuple[tuple[int, ...], ...], np.ndarray]] = []
    for of in itertools.combinations_with_replacement(range(most + 1), degree):
        if (sum(of) + out) % 2:
            continue
        place = list(itertools.product(*(range(n * n, (n + 1) ** 2) for n in of)))
        rows = sorted({tuple(sorted(p)) for p in place})
        number = {row: k for k, row in enumerate(rows)}
        index = np.array([number[tuple(sorted(p))] for p in place])
        copies = np.bincount(index, minlength=len(rows))
        basis: list[np.ndarray] = []
        for tensor in _sequences(of, out):
            each = np.stack([np.bincount(index, weights=t.ravel(), minlength=len(rows)) for t in tensor])  # coefficients of monomials
            for other in basis:
                each = each - (each * other / copies).sum() / (2 * out + 1) * other
            norm = (each**2 / copies).sum()
            if norm > 1e-8 * (2 * out + 1):
                basis.append(each * math.sqrt((2 * out + 1) / norm))
        found += [(tuple(rows), one) for one in basis]
    monomials = sorted({row for rows, one in found for k, row in enumerate(rows) if np.abs(one[:, k]).max() > 1e-12})
    place_of = {row: t for t, row in enumerate(monomials)}
    coefficients = np.zeros((len(found), 2 * out + 1, len(monomials)))
    for k, (of_one, one) in enumerate(found):
        for t, row in enumerate(of_one):
            if row in place_of:
                coefficients[k, :, place_of[row]] = np.where(np.abs(one[:, t]) > 1e-12, one[:, t], 0)
    return np.array(monomials, dtype=np.int64).reshape(-1, degree), coefficients


def _sequences(of: tuple[int, ...], out: int) -> list[np.ndarray]:
    """All couplings ((l1 l2) l3) ... -> out, each [2 out + 1, 2 l1 + 1, 2 l2 + 1, ...] with squares that add up to 2 out + 1."""
    made: list[tuple[int, np.ndarray]] = [(of[0], np.eye(2 * of[0] + 1))]
    for n in of[1:]:
        made = [
            (m, np.einsum("a...,abc->c...b", tensor, coupling(k, n, m)) * math.sqrt(2 * m + 1))
            for k, tensor in made
            for m in range(abs(k - n), k + n + 1)
        ]
    return [tensor for k, tensor in made if k == out]
