"""Functions of a distance."""

from __future__ import annotations

from math import pi
from typing import final

import torch
from torch import Tensor, nn

from heliograph.algebra import of_distance


@final
class Gaussians(nn.Module):
    """exp(-(r - mu_k)^2 / (2 delta^2)), K centres evenly on [start, cutoff], delta their distance: [..., 1] -> [..., K]."""

    mu: Tensor

    def __init__(self, K: int, cutoff: float, start: float = 0.0):
        super().__init__()
        self.register_buffer("mu", torch.linspace(start, cutoff, K))
        self.gamma = 0.5 * ((K - 1) / (cutoff - start)) ** 2

    def forward(self, r: Tensor) -> Tensor:
        found: Tensor = of_distance(self._values, r, len(self.mu), scale=(2 * self.gamma) ** -0.5)
        return found

    def _values(self, r: Tensor) -> Tensor:
        exponent = -self.gamma * (r - self.mu).square()
        return exponent.clamp(min=-80.0).exp()  # 2e-35: below, PyTorch's exp is eight times slower


@final
class CosineCutoff(nn.Module):
    """(cos(pi r / cutoff) + 1) / 2 within the cutoff, zero beyond: [..., 1] -> [..., 1] (Behler 2011, doi:10.1063/1.3553717, eq. 4)."""

    def __init__(self, cutoff: float):
        super().__init__()
        self.cutoff = cutoff

    def forward(self, r: Tensor) -> Tensor:
        found: Tensor = of_distance(self._values, r, 1, scale=self.cutoff / pi, end=self.cutoff, inside=self._inside)
        return found

    def _values(self, r: Tensor) -> Tensor:
        return self._inside(r.clamp(max=self.cutoff))

    def _inside(self, r: Tensor) -> Tensor:
        return 0.5 * ((pi / self.cutoff * r).cos() + 1.0)


@final
class PolynomialCutoff(nn.Module):
    """1 - (p + 1)(p + 2) / 2 x^p + p (p + 2) x^(p+1) - p (p + 1) / 2 x^(p+2), x = r / cutoff; zero beyond: [..., 1] -> [..., 1].

    Smooth to second order at the cutoff (Gasteiger et al. 2020, arXiv:2003.03123, eq. 8).
    """

    def __init__(self, cutoff: float, p: int = 5):
        super().__init__()
        self.cutoff, self.p = cutoff, p

    def forward(self, r: Tensor) -> Tensor:
        p, x = self.p, (r / self.cutoff).clamp(max=1.0)
        return 1 + x**p * (-(p + 1) * (p + 2) / 2 + p * (p + 2) * x - p * (p + 1) / 2 * x.square())


@final
class Bessel(nn.Module):
    """sin(n pi r / cutoff) / r for n = 1 .. K: [..., 1] -> [..., K] (Gasteiger et al. 2020, arXiv:2003.03123, eq. 7,
    without its factor)."""

    n: Tensor

    def __init__(self, K: int, cutoff: float):
        super().__init__()
        self.register_buffer("n", torch.arange(1.0, K + 1.0))
        self.cutoff = cutoff

    def forward(self, r: Tensor) -> Tensor:
        found: Tensor = of_distance(self._values, r, len(self.n), scale=2 * self.cutoff / (pi * len(self.n)))
        return found

    def _values(self, r: Tensor) -> Tensor:
        frequency = self.n * (pi / self.cutoff)
        safe = torch.where(r != 0, r, 1)
        return torch.where(r != 0, (frequency * safe).sin() / safe, frequency)  # its limit at zero
