"""The heat equation by finite volumes is message passing, exactly.

Idea: between two cells flows kappa A / distance times the difference of their temperatures, so each shared face is an edge and the flow is
its message: m_ij = g_ij (T_j - T_i), summed, divided by the cell's heat capacity. That is a graph Laplacian with weights, and as each face
gives to one cell what it takes from the other, energy is conserved to rounding. Cells may be of any shape: here Voronoi cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
import torch
from page import Claim, gap, graph_of, main, step
from scipy.spatial import ConvexHull, Voronoi
from torch import Tensor

from heliograph import Graph, calculus
from heliograph.graph import dense


def cells(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """n Voronoi cells of the unit square: their centres [n, 2], areas [n], shared faces [P, 2] and length over distance of each [P].

    The points are mirrored at the walls, so that cells end there and no heat passes.
    """
    x = np.random.default_rng(seed).uniform(size=(n, 2))
    mirrored = [x, *(np.where(np.arange(2) == axis, 2 * wall - x, x) for axis in (0, 1) for wall in (0, 1))]
    v = Voronoi(np.concatenate(mirrored))
    area = np.array([ConvexHull(v.vertices[v.regions[v.point_region[k]]]).volume for k in range(n)])
    inside = (v.ridge_points < n).all(1)
    ends = v.ridge_points[inside]
    length = np.array([np.linalg.norm(np.diff(v.vertices[r], axis=0)) for r, keep in zip(v.ridge_vertices, inside, strict=True) if keep])
    return x, area, ends, length / np.linalg.norm(x[ends[:, 0]] - x[ends[:, 1]], axis=1)


def mesh(n: int, kappa: Any = 1.0) -> Graph:
    """The graph of cells: `area`, `pos` of nodes and the conductance g = kappa length / distance of edges; kappa(x, y) at the faces."""
    x, area, ends, shape = cells(n)
    middle = x[ends].mean(1)
    g = shape * (kappa(*middle.T) if callable(kappa) else kappa)
    return graph_of(ends, n, edges={"g": torch.from_numpy(g)}, pos=torch.from_numpy(x), area=torch.from_numpy(area))


def heat_step(dt: float) -> Any:
    """T_i' = T_i + dt / area_i sum_j g_ij (T_j - T_i)."""
    return step(lambda e: {"flow": e.e["g"] * (e.j["T"] - e.i["T"])}, lambda n, m: {"T": dense(n["T"]) + dt / dense(n["area"]) * m["flow"]})


def matrix(graph: Graph) -> scipy.sparse.csr_array:
    """SciPy's own: dT/dt = M T, row by row from the faces."""
    t, g = graph.topology, dense(graph.edges["g"]).numpy()
    A = scipy.sparse.csr_array((g, (t.receivers.numpy(), t.senders.numpy())), shape=(graph.N, graph.N))
    return scipy.sparse.diags_array(1 / dense(graph.nodes["area"]).numpy()) @ (A - scipy.sparse.diags_array(A.sum(1)))


def run(graph: Graph, T: Tensor, dt: float, steps: int) -> Tensor:
    graph, layer = graph.with_nodes(T=T), heat_step(dt)
    for _ in range(steps):
        graph = layer(graph)
    return dense(graph.nodes["T"])


def claims(small: bool) -> list[Claim]:
    n, steps, time = (40 if small else 200), (50 if small else 300), 0.002
    graph = mesh(n, lambda x, y: 1 + x * y)
    T, M, area = torch.sin(7 * dense(graph.nodes["pos"])).sum(1), matrix(graph), dense(graph.nodes["area"])
    dt = 0.4 / float(abs(M.diagonal()).max())
    stepped = T.numpy()
    for _ in range(steps):
        stepped = stepped + dt * (M @ stepped)
    found, exact = run(graph, T, dt, steps), scipy.linalg.expm(time * M.toarray()) @ T.numpy()
    errors = [gap(run(graph, T, time / k, k), exact) for k in (2 * int(time / dt + 1), 4 * int(time / dt + 1))]
    L = -calculus.laplacian(graph, T, dense(graph.edges["g"])) / area
    return [
        Claim("one cell's area, all added up", abs(float(area.sum()) - 1), 1e-9),
        Claim("the layer = SciPy's CSR steps", gap(found, stepped), 1e-12),
        Claim("the layer's rate = - d* d T / area", gap(L, M @ T.numpy()), 1e-9),
        Claim("energy lost", abs(float((area * found).sum() - (area * T).sum())), 1e-12),
        Claim("error against exp(t M) halves with the time step (Euler)", abs(errors[0] / errors[1] - 2), 0.2),
    ]


def draw(figure: Any) -> None:
    graph = mesh(500)
    pos, T = dense(graph.nodes["pos"]), (dense(graph.nodes["pos"]).sub(0.5).norm(dim=1) < 0.2).double()
    dt = 0.4 / float(abs(matrix(graph).diagonal()).max())
    for axes, time in zip(figure.subplots(1, 3), (0.0, 0.005, 0.03), strict=True):
        axes.tripcolor(*pos.T, run(graph, T, dt, round(time / dt)), shading="gouraud", vmin=0, vmax=1)
        axes.set(title=f"t = {time:g}", aspect="equal", xticks=[], yticks=[])
    figure.suptitle("A hot disc on 500 irregular cells")


if __name__ == "__main__":
    main(__file__, claims, draw)
