"""A hidden conductivity is learned through the simulator: the heat layer's edge weights as parameters.

Idea: since a finite volume step is a message passing layer, it can be differentiated, and what nobody measured, here the conductivity of
each face between irregular cells, follows from temperatures before and after one step. Once found, the layer rolls out.
"""

from __future__ import annotations

from typing import Any

import torch
from heat import heat_step, matrix, mesh, run
from page import Claim, gap, main
from torch import Tensor

from heliograph import Graph
from heliograph.graph import dense


def hidden(x: Any, y: Any) -> Any:
    """kappa(x, y): a conducting band in a poor conductor."""
    return 0.3 + 1.4 * ((y - x) ** 2 < 0.05)


def observed(graph: Graph, dt: float, fields: int, noise: float) -> tuple[Tensor, Tensor]:
    """Temperatures [N, fields] before and after one step of the hidden law, with noise on those after."""
    rng = torch.Generator().manual_seed(0)
    before = torch.randn(graph.N, fields, generator=rng, dtype=torch.float64)
    after = stepped(graph, before, dense(graph.edges["g"]), dt)
    return before, after + noise * torch.randn(after.shape, generator=rng, dtype=torch.float64)


def stepped(graph: Graph, T: Tensor, g: Tensor, dt: float) -> Tensor:
    area = dense(graph.nodes["area"])[:, None]
    return dense(heat_step(dt)(Graph(graph.topology, {"T": T, "area": area}, {"g": g[:, None]})).nodes["T"])


def learned(graph: Graph, before: Tensor, after: Tensor, dt: float) -> Tensor:
    """The conductances [E] that explain the step, one a face; least squares of the cells' energies by L-BFGS through the layer."""
    pairs = graph.topology.pairs
    start = dense(mesh(graph.N).edges["g"])[pairs.edges]  # the geometry is known, kappa = 1 everywhere is the first guess
    g, area = start.clone().requires_grad_(), dense(graph.nodes["area"])[:, None]
    optimizer = torch.optim.LBFGS([g], max_iter=300, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        error = (area / dt * (stepped(graph, before, g[pairs.index], dt) - after)).square().mean()
        error.backward()
        return error

    optimizer.step(loss)
    return g.detach()[pairs.index]


def claims(small: bool) -> list[Claim]:
    graph = mesh(60 if small else 200, hidden)
    dt = 0.4 / float(abs(matrix(graph).diagonal()).max())
    before, after = observed(graph, dt, 20, 0.0)
    g = learned(graph, before, after, dt)
    T = torch.sin(7 * dense(graph.nodes["pos"])).sum(1)
    true, ours = run(graph, T, dt, 100), run(graph.with_edges(g=g), T, dt, 100)
    blind = run(graph.with_edges(g=dense(mesh(graph.N).edges["g"])), T, dt, 100)
    area = dense(graph.nodes["area"])
    return [
        Claim("hidden conductances, largest relative error", gap(g / dense(graph.edges["g"]), torch.ones_like(g)), 0.01),
        Claim("after 100 steps, error over that of kappa = 1", gap(ours, true) / gap(blind, true), 0.01),
        Claim("energy lost in 100 steps", abs(float((area * ours).sum() - (area * T).sum())), 1e-12),
    ]


def draw(figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    graph = mesh(150, hidden)
    dt = 0.4 / float(abs(matrix(graph).diagonal()).max())
    geometry, true = (dense(m.edges["g"]) for m in (mesh(150), graph))
    for side, noise in ((0.0, 0.01), (0.08, 0.001), (0.16, 0.0)):
        g = learned(graph, *observed(graph, dt, 20, noise), dt)
        left.plot(true / geometry + side, g / geometry, ".", markersize=4, label=f"noise {noise:g}")
    left.plot([0.2, 1.8], [0.2, 1.8], color="0.6", linewidth=0.8)
    left.set(xlabel="hidden conductivity (noises side by side)", ylabel="learned", ylim=(-1, 3), title="from 20 fields, one step each")
    left.legend()
    pos = dense(graph.nodes["pos"])
    t = graph.topology
    shown = right.scatter(*((pos[t.senders] + pos[t.receivers]) / 2).T, c=learned(graph, *observed(graph, dt, 20, 0.0), dt) / geometry, s=8)
    right.set(title="learned, where the faces are", aspect="equal", xticks=[], yticks=[])
    figure.colorbar(shown)


if __name__ == "__main__":
    main(__file__, claims, draw)
