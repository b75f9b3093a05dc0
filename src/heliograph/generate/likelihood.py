"""How likely data are under a process: by its ordinary differential equation, and by annealed importance sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from heliograph.errors import UsageError
from heliograph.generate.process import VP, Flow, Process

Predict = Callable[[Tensor, float], Tensor]  # state [n, d], t -> the predicted data [n, d]


class Estimate(NamedTuple):
    """A logarithm and its standard error."""

    value: float
    error: float


def field(process: Process, predict: Predict, x: Tensor, t: float) -> Tensor:
    """dx / dt [n, d] of the ordinary differential equation. Its Euler steps are linear in dt, so one of length 1 says it."""
    if (isinstance(process, Flow) and process.churn) or (isinstance(process, VP) and process.method != "ode"):
        raise UsageError("a likelihood needs a process without noise: flow without churn, or ode")
    return process.step(x, predict(x, t), t, 1.0, torch.zeros_like(x)) - x


def log_likelihood(process: Process, predict: Predict, x: Tensor, steps: int = 200, nearest: float = 1e-3) -> Tensor:
    """log p [n] of data `x` [n, d], natural logarithm: d log p / dt = -div f along the way back to noise (Chen et al. 2018, eq. 8).

    The divergence is exact, a derivative for each dimension, so this is for few of them. Runge-Kutta of order 4 from t = 1 - `nearest`,
    where the state is taken for the data, to 0. The variance-preserving process ends near a normal distribution, not at it: its own
    bias of about alpha(1) stays.
    """
    total, dt = torch.zeros(len(x), dtype=x.dtype), -(1 - nearest) / steps

    def both(state: Tensor, t: float) -> tuple[Tensor, Tensor]:
        state = state.detach().requires_grad_()
        with torch.enable_grad():
            f = field(process, predict, state, t)
            rows = [torch.autograd.grad(f[:, k].sum(), state, retain_graph=True)[0][:, k] for k in range(x.shape[1])]
        return f.detach(), torch.stack(rows).sum(0)

    for k in range(steps):
        t = 1 - nearest + k * dt
        a, da = both(x, t)
        b, db = both(x + dt / 2 * a, t + dt / 2)
        c, dc = both(x + dt / 2 * b, t + dt / 2)
        d, dd = both(x + dt * c, t + dt)
        x = x + dt / 6 * (a + 2 * b + 2 * c + d)
        total = total - dt / 6 * (da + 2 * db + 2 * dc + dd)
    noise = -0.5 * x.square().sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
    return noise - total


def log_volume(
    log_f: Callable[[Tensor], Tensor], dim: int, chains: int = 500, levels: int = 200, width: float = 3.0, step: float = 0.5, seed: int = 0
) -> Estimate:
    """log of the integral of f over all of space, by annealed importance sampling (Neal 2001, doi:10.1023/A:1008923215028).

    `chains` start from a normal distribution of deviation `width` and go through f_b = q^(1 - b) f^b, one Metropolis step of length about
    `step` a level. With it an unnormalised density gives likelihoods: log f(x) - log of the integral. The weights' mean is unbiased; the
    error is that of the logarithm by the spread of the chains.
    """
    rng = torch.Generator().manual_seed(seed)
    x = width * torch.randn(chains, dim, generator=rng, dtype=torch.float64)

    def log_q(x: Tensor) -> Tensor:
        return -0.5 * (x / width).square().sum(1) - dim * math.log(width * math.sqrt(2 * math.pi))

    weights = torch.zeros(chains, dtype=torch.float64)
    grid = torch.linspace(0, 1, levels + 1, dtype=torch.float64).tolist()
    for before, now in pairwise(grid):
        weights += (now - before) * (log_f(x) - log_q(x))
        length = step * torch.exp(torch.randn(chains, 1, generator=rng, dtype=torch.float64))  # short and long ones
        other = x + length * torch.randn(x.shape, generator=rng, dtype=torch.float64)
        gain = now * (log_f(other) - log_f(x)) + (1 - now) * (log_q(other) - log_q(x))
        taken = torch.rand(chains, generator=rng, dtype=torch.float64).log() < gain
        x = torch.where(taken[:, None], other, x)
    top = weights.max()
    share = torch.exp(weights - top)
    value = float(top + share.mean().log())
    return Estimate(value, float(share.std() / share.mean() / math.sqrt(chains)))
