"""Waves, advection, and which law a set of fields obeys.

Idea: other equations are other messages. The wave equation sums the same differences into an acceleration, advection sends along each
face what the wind carries over it (upwind), a library of such fluxes can be fitted to data, and the one that was planted is found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import torch
from heat import matrix, mesh
from page import Claim, gap, main, step
from torch import Tensor

from heliograph import Graph
from heliograph.graph import dense

WIND = torch.tensor([1.0, 0.5], dtype=torch.float64)


def rate(message: Callable[[Any], Any], graph: Graph, T: Tensor) -> Tensor:
    """What the fluxes of a message add to each cell, over its area."""
    layer = step(lambda e: {"flow": message(e)}, lambda n, m: {"T": m["flow"] / dense(n["area"])})
    return dense(layer(graph.with_nodes(T=T)).nodes["T"])


LIBRARY: dict[str, Callable[[Any], Any]] = {
    "diffusion": lambda e: e.e["g"] * (e.j["T"] - e.i["T"]),
    "nonlinear diffusion": lambda e: e.e["g"] * (e.j["T"] ** 3 - e.i["T"] ** 3),
    "advection": lambda e: torch.relu(e.e["wind"]) * e.j["T"] - torch.relu(-e.e["wind"]) * e.i["T"],
    "Burgers": lambda e: torch.relu(e.e["wind"]) * e.j["T"] ** 2 - torch.relu(-e.e["wind"]) * e.i["T"] ** 2,
}


def windy(n: int) -> Graph:
    graph = mesh(n)
    t, pos, g = graph.topology, dense(graph.nodes["pos"]), dense(graph.edges["g"])
    return graph.with_edges(wind=g * ((pos[t.receivers] - pos[t.senders]) @ WIND))  # length n . WIND, as g = length / distance


def wave(graph: Graph, u: Tensor, dt: float, steps: int) -> Tensor:
    """u'' = rate of diffusion, by leapfrog from rest."""
    before = now = u
    for _ in range(steps):
        before, now = now, 2 * now - before + dt * dt * rate(LIBRARY["diffusion"], graph, now)
    return now


def found(graph: Graph, planted: str, seed: int, noise: float = 0.02) -> str:
    """The term of the library that explains noisy rates of five fields best, each with its own factor."""
    rng = torch.Generator().manual_seed(seed)
    pos, factor = dense(graph.nodes["pos"]), 0.5 + torch.rand((), generator=rng, dtype=torch.float64)
    waves = [torch.rand(2, generator=rng, dtype=torch.float64) * 8 for _ in range(5)]
    fields = [1.2 + torch.sin(pos @ k + 3 * torch.rand((), generator=rng, dtype=torch.float64)) for k in waves]
    seen = torch.cat([factor * rate(LIBRARY[planted], graph, T) for T in fields])
    seen = seen + noise * seen.std() * torch.randn(len(seen), generator=rng, dtype=torch.float64)
    error = {}
    for name, message in LIBRARY.items():
        term = torch.cat([rate(message, graph, T) for T in fields])
        error[name] = float((seen - term * (term @ seen) / (term @ term)).square().mean())
    return min(error, key=lambda name: error[name])


def claims(small: bool) -> list[Claim]:
    graph = windy(40 if small else 200)
    M, T, area, t = matrix(graph), torch.sin(7 * dense(graph.nodes["pos"])).sum(1), dense(graph.nodes["area"]), graph.topology
    before, dt = T.numpy(), 0.5 / float(abs(M.diagonal()).max()) ** 0.5
    now = before
    for _ in range(100):
        before, now = now, 2 * now - before + dt * dt * (M @ now)
    w = dense(graph.edges["wind"]).numpy()
    i, j = t.receivers.numpy(), t.senders.numpy()
    made = [scipy.sparse.csr_array((np.maximum(x, 0), ends), shape=M.shape) for x, ends in ((w, (i, j)), (-w, (i, i)))]
    carried = rate(LIBRARY["advection"], graph, T)
    right = sum(found(graph, name, k) == name for k, name in enumerate([*LIBRARY] * 5))
    return [
        Claim("100 steps of the wave = SciPy's CSR steps", gap(wave(graph, T, dt, 100), now), 1e-11),
        Claim("advection = SciPy's CSR product over the areas", gap(carried, (made[0] - made[1]) @ T.numpy() / area.numpy()), 1e-9),
        Claim("what the wind carries away and does not bring", abs(float((area * carried).sum())), 1e-12),
        Claim("planted laws found, of 20", right, 19, at_least=True),
    ]


def draw(figure: Any) -> None:
    graph = windy(800)
    pos, u = dense(graph.nodes["pos"]), torch.exp(-60 * (dense(graph.nodes["pos"]) - 0.35).square().sum(1))
    dt = 0.5 / float(abs(matrix(graph).diagonal()).max()) ** 0.5
    for axes, time in zip(figure.subplots(1, 3), (0.0, 0.25, 0.6), strict=True):
        axes.tripcolor(*pos.T, wave(graph, u, dt, round(time / dt)), shading="gouraud", vmin=-0.4, vmax=0.6, cmap="coolwarm")
        axes.set(title=f"t = {time:g}", aspect="equal", xticks=[], yticks=[])
    figure.suptitle("A wave on 800 irregular cells")


if __name__ == "__main__":
    main(__file__, claims, draw)
