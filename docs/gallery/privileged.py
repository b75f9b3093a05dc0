"""An activation on single components of a tensor prefers the axes that the components were written in; one on norms prefers none.

Idea: components of Y_lm are numbers in a basis that somebody chose. A linear map that treats all 2 l + 1 of them alike commutes with
rotation, and so does scaling them by a function of their norm. A silu of each component on its own does not: turning first and turning
after give different answers, however the basis is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from page import Claim, main
from torch import Tensor

from heliograph.blocks.harmonics import harmonics

MOST = 3


def rotation(angle: float) -> Tensor:
    """By an angle around an axis that is none of x, y, z."""
    axis = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64) / math.sqrt(14)
    K = torch.tensor([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K


def turn(Q: Tensor) -> Tensor:
    """The matrix that takes harmonics of x to those of Q x, [16, 16]."""
    points = torch.randn(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.linalg.lstsq(harmonics(points, MOST), harmonics(points @ Q.T, MOST)).solution.T


def states(channels: int) -> Tensor:
    """Tensors of degrees 0 to 3 as a sum over three neighbours makes them, [16, channels], of norm one on average."""
    g = torch.Generator().manual_seed(1)
    r = torch.nn.functional.normalize(torch.randn(3, 3, generator=g, dtype=torch.float64), dim=1)
    x = harmonics(r, MOST).T @ torch.randn(3, channels, generator=g, dtype=torch.float64)
    return x / x.square().mean().sqrt()


def on_components(x: Tensor) -> Tensor:
    return torch.nn.functional.silu(x)


def on_norms(x: Tensor) -> Tensor:
    """Each degree times the silu of its norm, channel by channel."""
    parts = x.split([2 * n + 1 for n in range(MOST + 1)])
    return torch.cat([part * torch.nn.functional.silu(part.norm(dim=0)) for part in parts])


def broken(f: Callable[[Tensor], Tensor], degree: int, angle: float, channels: int) -> float:
    """|f(turned x) - turned f(x)| over |f(x)|, of one degree."""
    x, D, rows = states(channels), turn(rotation(angle)), slice(degree**2, (degree + 1) ** 2)
    return float((f(D @ x) - D @ f(x))[rows].norm() / f(x)[rows].norm())


def claims(small: bool) -> list[Claim]:
    channels = 16 if small else 256
    every = [Claim(f"norms, l = {n}", broken(on_norms, n, 1.0, channels), 1e-12) for n in range(MOST + 1)]
    every += [Claim(f"components, l = {n}", broken(on_components, n, 1.0, channels), 0.2, at_least=True) for n in range(1, MOST + 1)]
    return [*every, Claim("components, l = 0", broken(on_components, 0, 1.0, channels), 1e-12)]


def draw(figure: Any) -> None:
    axes = figure.subplots()
    angles = torch.linspace(0, math.pi, 61).tolist()
    for n in range(1, MOST + 1):
        axes.plot(angles, [broken(on_components, n, a, 64) for a in angles], label=f"silu of components, l = {n}")
    axes.plot(angles, [broken(on_norms, 3, a, 64) for a in angles], "k--", label="silu of norms, any l")
    axes.set(xlabel="angle of rotation", ylabel="turned before less turned after", title="what an activation does to rotation")
    axes.set_ylim(-0.05, 1.6)
    axes.legend(loc="upper left", ncols=2)


if __name__ == "__main__":
    main(__file__, claims, draw)
