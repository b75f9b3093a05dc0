"""Heads that say how sure they are: what the last layer's numbers mean, and the loss that teaches
them.

    mve          mean and variance         normal likelihood, each row's times its variance^BETA
                                           Nix & Weigend 1994; Seitzer et al. 2022, arXiv:2203.09168 (beta-NLL)
    evidential   gamma, nu, alpha, beta    a normal-inverse-gamma's likelihood and its regulariser
                                           Amini et al. 2020, arXiv:1910.02600, eqs. 8 to 10
    quantiles    median, lower, upper      pinball losses at 1/2 and at the ends of the central COVERAGE
                                           Koenker & Bassett 1978; Romano et al. 2019, arXiv:1905.03222

A head is a width and two functions of the network's "y", so every architecture has it: `width`
numbers a target, [n, width T], the answers first. All is on the network's scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, final

import torch
from torch import Tensor
from torch.nn import functional as F

BETA = 0.5  # 0: the plain likelihood, in which badly fitted rows are given up; 1: squared errors for the mean
REGULARISER = 0.2  # of the evidential loss, on evidence for wrong answers
COVERAGE = 0.9
SMALLEST = 1e-6  # variance


class Head(Protocol):
    """What a kind of head has in common with the others."""

    width: int

    def answers(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the answers and their standard deviations, [n, T] each, of outputs [n, width T]."""

    def losses(self, y: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each label, [n, T]; finite where the label is."""


@final
class MeanVariance:
    """N(m, v): v = softplus(raw)."""

    width = 2

    def answers(self, y: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = self._split(y)
        return mean, variance.sqrt()

    def losses(self, y: Tensor, target: Tensor) -> Tensor:
        mean, variance = self._split(y)
        likelihood = 0.5 * (variance.log() + (target - mean).square() / variance)
        return likelihood * variance.detach() ** BETA

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = y.chunk(2, -1)
        return mean, F.softplus(raw) + SMALLEST


@final
class Evidential:
    """A normal distribution whose mean and variance are drawn from NIG(gamma, nu, alpha, beta)."""

    width = 4

    def answers(self, y: Tensor) -> tuple[Tensor, Tensor]:
        gamma, nu, alpha, beta = self._split(y)
        return gamma, (beta / (alpha - 1.0) * (1.0 + 1.0 / nu)).sqrt()  # aleatoric and epistemic variance

    def losses(self, y: Tensor, target: Tensor) -> Tensor:
        gamma, nu, alpha, beta = self._split(y)
        error, omega = target - gamma, 2.0 * beta * (1.0 + nu)
        likelihood = (
            0.5 * (torch.pi / nu).log()
            - alpha * omega.log()
            + (alpha + 0.5) * (nu * error.square() + omega).log()
            + torch.lgamma(alpha)
            - torch.lgamma(alpha + 0.5)
        )
        return likelihood + REGULARISER * error.abs() * (2.0 * nu + alpha)

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        gamma, nu, alpha, beta = y.chunk(4, -1)
        return (
            gamma,
            F.softplus(nu) + SMALLEST,
            F.softplus(alpha) + 1.0 + SMALLEST,
            F.softplus(beta) + SMALLEST,
        )


@final
class Quantiles:
    """median, and the ends of the central interval as distances from it, which are positive:
    quantiles never cross.
    """

    width = 3

    def answers(self, y: Tensor) -> tuple[Tensor, Tensor]:
        median, lower, upper = self.quantiles(y)
        normal = torch.special.ndtri(torch.tensor(0.5 + COVERAGE / 2, dtype=torch.float64))
        return median, (upper - lower) / (2.0 * float(normal))

    def losses(self, y: Tensor, target: Tensor) -> Tensor:
        levels = (0.5, 0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2)
        each = [torch.maximum(q * (target - p), (q - 1.0) * (target - p)) for q, p in zip(levels, self.quantiles(y), strict=True)]
        return each[0] + each[1] + each[2]

    def quantiles(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return median, lower and upper end, [n, T] each."""
        median, below, above = y.chunk(3, -1)
        return median, median - F.softplus(below), median + F.softplus(above)


HEADS: Mapping[str, Head] = {
    "mve": MeanVariance(),
    "evidential": Evidential(),
    "quantiles": Quantiles(),
}
