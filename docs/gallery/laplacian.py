"""Gradient, divergence, Laplacian: L = d* d is degree times x minus the sum over neighbours, and its polynomials are local filters.

Idea: the differential d takes node values to differences along edges, the codifferential d* takes edge values back to their ends, and
P(L) = sum_k p_k L^k hears k edges far. Correction: x minus the average over neighbours is the random walk's Laplacian, another operator.
And with w in d but none in d*, as it is sometimes written, d* d is L all the same, only is d* not the adjoint of d: sqrt(w) in both is.
"""

from __future__ import annotations

from typing import Any

import networkx
import numpy as np
import torch
from page import Claim, gap, graph_of, main
from torch import Tensor

from heliograph import Graph, calculus
from heliograph.graph import dense
from heliograph.views import cliques, nerve


def weighted(n: int, seed: int = 0) -> tuple[Graph, Tensor, Tensor]:
    """A random graph, its weights [E], both directions alike, and the matrix of them [n, n]."""
    nx = networkx.gnm_random_graph(n, 3 * n, seed=seed)
    w = torch.rand(nx.number_of_edges(), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1
    graph = graph_of(nx.edges, n, edges={"w": w})
    t, W = graph.topology, torch.zeros(n, n, dtype=torch.float64)
    W[t.receivers, t.senders] = dense(graph.edges["w"])
    return graph, dense(graph.edges["w"]), W


def reach(graph: Graph, K: int) -> Tensor:
    """Whether P(L) of degree K reads node j for node i, [n, n]."""
    return calculus.polynomial(graph, torch.eye(graph.N, dtype=torch.float64), [1.0] * (K + 1)).abs() > 1e-12


def claims(small: bool) -> list[Claim]:
    n = 30 if small else 300
    graph, w, W = weighted(n)
    rng = torch.Generator().manual_seed(1)
    x, v = (torch.randn(k, 4, generator=rng, dtype=torch.float64) for k in (n, graph.topology.pairs.P))
    degree, root = W.sum(1, keepdim=True), w[graph.topology.pairs.edges, None].sqrt()
    L = calculus.laplacian(graph, x, w)
    in_d_alone = calculus.d_star(graph, root**2 * calculus.d(graph, x))  # d with w, d* without
    average, joined = x - torch.nan_to_num(W @ x / degree), degree[:, 0] > 0
    near = torch.linalg.matrix_power((W > 0).double() + torch.eye(n, dtype=torch.float64), 3) > 0
    cells = nerve(graph, cliques(graph, 3))
    z = torch.randint(-9, 9, (cells.N, 2), generator=rng).double()
    return [
        Claim("<d x, v> = <x, d* v>", gap((calculus.d(graph, x, w) * v).sum(), (x * calculus.d_star(graph, v, w)).sum()), 1e-11),
        Claim("d* d x = degree x - sum_j w_ij x_j", gap(L, degree * x - W @ x), 1e-11),
        Claim("the same with w in d alone", gap(L, in_d_alone), 1e-11),
        Claim("then d* is not the adjoint: <w d x, v> - <x, d* v>",
              gap((root**2 * calculus.d(graph, x) * v).sum(), (x * calculus.d_star(graph, v)).sum()), 0.1, at_least=True),
        Claim("x minus the average is not L x", gap(L, average), 0.1, at_least=True),
        Claim("it is the random walk's Laplacian", gap(calculus.random_walk_laplacian(graph, x, w)[joined], average[joined]), 1e-12),
        Claim("nodes read by P(L) of degree 3 but not within 3 edges", float((reach(graph, 3) & ~near).sum()), 0),
        Claim("the boundary of a boundary, on triangles", gap(calculus.boundary(cells, calculus.boundary(cells, z)), 0 * z), 0),
    ]  # fmt: skip


def draw(figure: Any) -> None:
    (left, right), n = figure.subplots(1, 2), 60
    ring = graph_of([(k, (k + 1) % n) for k in range(n)], n)
    spike = torch.zeros(n, 1, dtype=torch.float64)
    spike[n // 2] = 1
    for K in (1, 4, 16):
        smooth = [float(c) for c in np.polynomial.polynomial.polypow([1, -0.25], K)]  # (1 - L / 4)^K
        left.plot(calculus.polynomial(ring, spike, smooth)[:, 0], label=f"(1 - L / 4)^{K}")
        right.plot(np.linspace(0, 4, 100), (1 - np.linspace(0, 4, 100) / 4) ** K)
    left.set(xlabel="node of a ring", title="a spike, filtered: it reaches K nodes far")
    right.set(xlabel="eigenvalue of L", title="what each frequency keeps")
    left.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
