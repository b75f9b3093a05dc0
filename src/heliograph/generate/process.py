"""Between noise (t = 0) and data (t = 1): one process with two faces, for coordinates.

Flow matching on the linear path (Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2023, arXiv:2209.03003):

    x_t = (1 - t) x_0 + t x_1,    dx = v dt,    v = (x_1 - x_t) / (1 - t)

The variance-preserving stochastic differential equation (Song et al. 2021, arXiv:2011.13456, eq. 11), whose own time s = 1 - t runs
from data to noise:

    dx = -beta(s) x ds / 2 + sqrt(beta(s)) dW,   x_s ~ N(alpha(s) x_1, 1 - alpha(s)^2),   alpha(s) = exp(-int_0^s beta / 2)

Both are driven by a prediction of the data, x_1; a network that answers with a displacement v is read as x_1 = x_t + (1 - t) v.
Tensors are [n, ...]; times are [n] or broadcast. Noise of coordinates that have no place (molecules) is centred by its caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, final

import torch
from torch import Tensor

from heliograph.errors import UsageError, suggest

NEAREST = 1e-5  # to the data: 1 - t never divides below it


class Process(Protocol):
    """A way from noise to data."""

    def noise(self, data: Tensor, start: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state at time `t` [n, 1 ...] between `start` (standard normal noise) and `data`, and the displacement to learn."""

    def step(self, state: Tensor, data: Tensor, t: float, dt: float, fresh: Tensor) -> Tensor:
        """Return the state at `t + dt` where `data` is predicted; `fresh` is standard normal noise of the state's shape."""


@final
@dataclass(frozen=True)
class Flow:
    """The linear path. `churn` adds noise and the drift that takes it away again (0: the ordinary differential equation)."""

    churn: float = 0.0

    def noise(self, data: Tensor, start: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return (1 - t) * start + t * data, data - start

    def step(self, state: Tensor, data: Tensor, t: float, dt: float, fresh: Tensor) -> Tensor:
        """One Euler step; exact for the ordinary differential equation where the prediction does not change.

        With churn g: dx = (v + g^2 score / 2) dt + g dW, score = (t v - x) / (1 - t), which keeps the marginals; g^2 = churn (1 - t).
        """
        left = max(1 - t, NEAREST)
        v = (data - state) / left
        if self.churn == 0.0 or t + dt >= 1.0 - NEAREST:
            return state + dt * v
        g2 = self.churn * left
        score = (t * v - state) / left
        return state + dt * (v + g2 * score / 2) + math.sqrt(g2 * dt) * fresh


@final
@dataclass(frozen=True)
class VP:
    """The variance-preserving process with beta from `low` to `high`, linear in s.

    `method`: "ancestral" draws from the exact posterior given the prediction; "sde" and "ode" are Euler steps of the reverse stochastic
    and of the probability-flow differential equation.
    """

    low: float = 0.1
    high: float = 20.0
    method: Literal["ancestral", "sde", "ode"] = "ancestral"

    def beta(self, s: float) -> float:
        """The rate at its own time s."""
        return self.low + s * (self.high - self.low)

    def alpha(self, s: Tensor | float) -> Tensor:
        """exp(-1/2 int_0^s beta)."""
        s = torch.as_tensor(s)
        return torch.exp(-0.5 * (self.low * s + 0.5 * s * s * (self.high - self.low)))

    def noise(self, data: Tensor, start: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha = self.alpha(1 - t)
        state = alpha * data + (1 - alpha.square()).sqrt() * start
        return state, (data - state) / (1 - t).clamp(min=NEAREST)

    def step(self, state: Tensor, data: Tensor, t: float, dt: float, fresh: Tensor) -> Tensor:
        s, after = 1 - t, max(1 - t - dt, 0.0)
        a, b = (float(self.alpha(torch.tensor(x, dtype=torch.float64))) for x in (s, after))
        if self.method == "ancestral":
            between = a / b  # alpha of s given `after`
            spread = 1 - between**2
            mean = (between * (1 - b * b) * state + b * spread * data) / (1 - a * a)
            return mean + math.sqrt(spread * (1 - b * b) / (1 - a * a)) * fresh
        beta = self.beta(s)
        score = (a * data - state) / max(1 - a * a, 1e-10)
        if self.method == "ode":
            return state + dt * (beta * state / 2 + beta * score / 2)
        return state + dt * (beta * state / 2 + beta * score) + math.sqrt(beta * dt) * fresh


def process(name: str) -> Process:
    """Return a process by its name: "flow", "ancestral", "sde" or "ode". Raises UsageError for others."""
    known: dict[str, Process] = {"flow": Flow(), "ancestral": VP(), "sde": VP(method="sde"), "ode": VP(method="ode")}
    if name not in known:
        raise UsageError(f"--process {name}: {suggest(name, known)}")
    return known[name]


def times(steps: int, nearest: float = 0.01) -> Tensor:
    """`steps + 1` times from 0 to 1 that lie denser near the data: 1 - t falls geometrically to `nearest`, then to 0."""
    left = torch.logspace(0, math.log10(nearest), steps, dtype=torch.float64) if steps > 1 else torch.ones(1, dtype=torch.float64)
    return torch.cat([1 - left, torch.ones(1, dtype=torch.float64)])
