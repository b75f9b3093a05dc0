"""Real spherical harmonics as harmonic polynomials, and spherical Bessel functions.

    Y_lm(x, y, z) = N_lm P_lm(z, r) A_m(x, y),   A_m + i B_m = (x + i y)^m          solid harmonics, homogeneous of degree l

No angle is computed, so there is no singular direction, and derivatives of every order are polynomials. On unit vectors they are
orthonormal, and sum_m Y_lm(a) Y_lm(b) = (2 l + 1) / (4 pi) P_l(a . b), the addition theorem.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import final

import numpy as np
import torch
from torch import Tensor, nn


def harmonics(r: Tensor, most: int) -> Tensor:
    """Return Y_lm of vectors r [..., 3] for l = 0 .. `most`, [..., (most + 1)^2]; within an l, m runs from -l to l.

    They are homogeneous polynomials of degree l, so r is not normalised here. Order and sign: m < 0 goes with sin(|m| phi), m > 0 with
    cos(m phi), without the Condon-Shortley phase; l = 1 is (y, z, x) up to a factor.
    """
    x, y, z = r.unbind(-1)
    square = r.square().sum(-1)
    powers = [(torch.ones_like(x), torch.zeros_like(x))]  # (A_m, B_m)
    for _ in range(most):
        a, b = powers[-1]
        powers.append((x * a - y * b, x * b + y * a))
    legendre: dict[tuple[int, int], Tensor] = {}
    for m in range(most + 1):
        legendre[m, m] = torch.full_like(x, float(_odd(m)))
        if m < most:
            legendre[m + 1, m] = (2 * m + 1) * z * legendre[m, m]
        for n in range(m + 2, most + 1):
            legendre[n, m] = ((2 * n - 1) * z * legendre[n - 1, m] - (n + m - 1) * square * legendre[n - 2, m]) / (n - m)
    columns = []
    for n in range(most + 1):
        for m in range(-n, n + 1):
            k = abs(m)
            norm = math.sqrt((2 * n + 1) / (4 * math.pi) * math.factorial(n - k) / math.factorial(n + k) * (2 if k else 1))
            columns.append(norm * legendre[n, k] * powers[k][1 if m < 0 else 0])
    return torch.stack(columns, -1)


def _odd(m: int) -> int:
    """(2 m - 1)!!"""
    return math.prod(range(1, 2 * m, 2))


@lru_cache(maxsize=16)
def bessel_zeros(orders: int, count: int) -> np.ndarray:
    """Return the first `count` positive zeros of j_0 .. j_(orders - 1), [orders, count]; those of j_l part those of j_(l - 1)."""
    from scipy.optimize import brentq
    from scipy.special import spherical_jn

    found, row = [], np.arange(1, count + orders) * math.pi
    for n in range(orders):
        if n:
            row = np.array([brentq(lambda v, n=n: spherical_jn(n, v), a, b, xtol=1e-15) for a, b in itertools.pairwise(row)])
        found.append(row[:count])
    return np.stack(found)


def spherical_bessel(x: Tensor, most: int) -> Tensor:
    """Return j_0(x) .. j_most(x), [..., most + 1], for x > 0, by the upward recurrence in float64: good to 1e-9 for x above 1."""
    v = x.double()
    found = [v.sin() / v, v.sin() / v**2 - v.cos() / v]
    for n in range(1, most):
        found.append((2 * n + 1) / v * found[n] - found[n - 1])
    return torch.stack(found[: most + 1], -1).to(x.dtype)


@final
class Envelope(nn.Module):
    """1/x + a x^(p-1) + b x^p + c x^(p+1) within x = r / cutoff < 1, zero beyond: smooth at the cutoff to second order (Gasteiger
    et al. 2020, arXiv:2003.03123, eq. 8, over x)."""

    def __init__(self, p: int = 6):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        p = self.p
        a, b, c = -(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2
        inside = x.clamp(max=1.0)
        return torch.where(x < 1, 1 / inside + inside ** (p - 1) * (a + b * inside + c * inside.square()), 0.0)


@final
class SphericalBessel(nn.Module):
    """envelope(x) N_ln j_l(z_ln x), x = r / cutoff, for l below `orders` and n below `count`: [..., 1] -> [..., orders, count].

    z_ln is the n-th zero of j_l, N_ln = sqrt(2) / |j_(l+1)(z_ln)| (Gasteiger et al. 2020, arXiv:2003.03123, eq. 6).
    """

    zeros: Tensor

    def __init__(self, orders: int, count: int, cutoff: float, p: int = 6):
        super().__init__()
        self.register_buffer("zeros", torch.from_numpy(bessel_zeros(orders, count)).clone(), persistent=False)
        self.cutoff, self.envelope = cutoff, Envelope(p)

    def forward(self, r: Tensor) -> Tensor:
        x = (r / self.cutoff).clamp(min=1e-3)  # [..., 1]
        columns = []
        for n, zeros in enumerate(self.zeros.to(r.device, torch.float64)):
            norm = (2 / spherical_bessel(zeros, n + 1)[:, n + 1].square()).sqrt()
            columns.append(norm * spherical_bessel(zeros * x.double(), n)[..., n])
        return self.envelope(x)[..., None] * torch.stack(columns, -2).to(r.dtype)
