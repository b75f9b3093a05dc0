"""Bodies and springs: a pair force learned from accelerations, rolled out for a thousand steps with more bodies than it was trained on.

Idea: in an interaction network objects are nodes, relations edges, effects messages, and an external force enters the update. Here
the message is f(r) along the line between two bodies, f a small network: what one gives the other takes, so momentum is conserved to
rounding whatever f has learned; energy is as good as f is. Five bodies train, eight are rolled out.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from page import Claim, gap, graph_of, main, step
from torch import Tensor, nn

from heliograph import Graph
from heliograph.graph import dense

K, REST, FIELD = 2.0, 1.0, torch.tensor([0.0, -0.3], dtype=torch.float64)  # springs between all, and a uniform field


def everybody(n: int, copies: int = 1) -> Graph:
    return graph_of([(c * n + a, c * n + b) for c in range(copies) for a in range(n) for b in range(a)], n * copies)


def acceleration(graph: Graph, pos: Tensor, force: Any, field: Tensor) -> Tensor:
    """a_i = field + sum_j f(|r_j - r_i|) (r_j - r_i) / |r_j - r_i|, masses one."""

    def message(e: Any) -> Any:
        way = (e.j["pos"] - e.i["pos"]).dense()
        return {"m": force(way.norm(dim=1, keepdim=True)) * nn.functional.normalize(way)}

    return dense(step(message, lambda n, m: {"a": m["m"] + field})(graph.with_nodes(pos=pos)).nodes["a"])


@cache
def learned(steps: int) -> tuple[nn.Module, Tensor]:
    """f and the field, from the accelerations of sixty times five bodies."""
    torch.manual_seed(0)
    f = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)).double()
    graph, pos, field = everybody(5, 60), 1.2 * torch.randn(300, 2).double(), nn.Parameter(torch.zeros(2).double())
    target = acceleration(graph, pos, lambda r: K * (r - REST), FIELD)
    optimizer = torch.optim.LBFGS([*f.parameters(), field], max_iter=steps, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        (error := (acceleration(graph, pos, f, field) - target).square().mean()).backward()
        return error

    optimizer.step(loss)
    return f.requires_grad_(False), field.detach()


def roll(n: int, force: Any, field: Tensor, steps: int, dt: float = 0.005) -> tuple[Tensor, Tensor]:
    """Positions and velocities [steps + 1, n, 2] by velocity Verlet."""
    rng, graph = torch.Generator().manual_seed(2), everybody(n)
    pos, v = (torch.randn(n, 2, generator=rng, dtype=torch.float64) * s for s in (0.9, 0.3))
    a, found = acceleration(graph, pos, force, field), [(pos, v)]
    for _ in range(steps):
        pos = pos + dt * v + dt * dt / 2 * a
        b = acceleration(graph, pos, force, field)
        v, a = v + dt / 2 * (a + b), b
        found.append((pos, v))
    return torch.stack([p for p, _ in found]), torch.stack([v for _, v in found])


def energy(pos: Tensor, v: Tensor) -> Tensor:
    """By the true law, [steps]."""
    i, j = torch.triu_indices(pos.shape[1], pos.shape[1], 1)
    r = (pos[:, i] - pos[:, j]).norm(dim=-1)
    return v.square().sum((1, 2)) / 2 + (K / 2 * (r - REST) ** 2).sum(1) - (pos @ FIELD).sum(1)


def claims(small: bool) -> list[Claim]:
    (f, field), steps = learned(120 if small else 500), 200 if small else 1000
    pos, v = roll(8, f, field, steps)
    E, gained = energy(pos, v), v.sum(1) - v[0].sum(0) - 8 * field * 0.005 * torch.arange(steps + 1)[:, None]
    return [
        Claim("learned external field, off by", gap(field, FIELD), 0.01),
        Claim("momentum, beyond what the field gives", float(gained.abs().max()), 1e-10),
        Claim("energy drift of eight bodies over its size", float((E - E[0]).abs().max() / E[0].abs()), 0.05),
    ]


def draw(figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    (f, field), r = learned(500), torch.linspace(0.05, 4, 100, dtype=torch.float64)[:, None]
    for name, force, g in (("springs", lambda r: K * (r - REST), FIELD), ("learned", f, field)):
        left.plot(r, force(r), "-" if g is FIELD else "--", label=name)
        E = energy(*roll(8, force, g, 1000))
        right.plot(1e4 * (E / E[0] - 1), label=name)
    left.set(xlabel="distance", title="pair force")
    right.set(xlabel="steps", title="energy gained, ten-thousandths")
    right.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
