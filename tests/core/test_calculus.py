"""Calculus: d and d* are adjoint, L is NetworkX's Laplacian, P(L) its spectral form, and a boundary has no boundary."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor

from heliograph import calculus, zoo
from heliograph.errors import DataError
from heliograph.graph import Graph, dense
from heliograph.model import Inputs
from heliograph.views import Cells, Nerve, cliques, hyperedges, nearest, nerve, rings
from tests.graphs import DTYPE, awkward, random_graph, strange


def weighted(graph: Graph, seed: int = 0) -> Tensor:
    """Random weights >= 0, one a pair, [E]."""
    pairs = graph.topology.pairs
    return torch.rand(pairs.P, generator=torch.Generator().manual_seed(seed), dtype=DTYPE)[pairs.index]


def matrix(operator: Callable[..., Tensor], graph: Graph, w: Tensor | None) -> Tensor:
    return operator(graph, torch.eye(graph.N, dtype=DTYPE), w)


def networkx_of(graph: Graph, w: Tensor) -> networkx.MultiGraph:
    t = graph.topology
    nx = networkx.MultiGraph()
    nx.add_nodes_from(range(graph.N))
    for e in t.pairs.edges.tolist():
        if t.senders[e] != t.receivers[e]:
            nx.add_edge(int(t.senders[e]), int(t.receivers[e]), weight=float(w[e]))
    return nx


@pytest.mark.parametrize("make", [awkward, strange])
def test_d_star_is_the_adjoint_of_d(make: Callable[[], Graph]) -> None:
    graph, rng = make(), torch.Generator().manual_seed(1)
    w = weighted(graph)
    x, v = (torch.randn(n, 3, generator=rng, dtype=DTYPE) for n in (graph.N, graph.topology.pairs.P))
    there, back = (calculus.d(graph, x, w) * v).sum(), (x * calculus.d_star(graph, v, w)).sum()
    assert abs(there - back) <= 1e-12 * abs(there)
    assert abs(there) > 0.1


@pytest.mark.parametrize("make", [awkward, strange])
def test_laplacian_is_that_of_networkx(make: Callable[[], Graph]) -> None:
    graph = make()
    w = weighted(graph)
    nx = networkx_of(graph, w)
    L = matrix(calculus.laplacian, graph, w)
    assert np.abs(networkx.laplacian_matrix(nx).toarray() - L.numpy()).max() < 1e-12
    degree = calculus.degree(graph, w)
    assert torch.allclose(degree, L.diagonal(), atol=1e-14)
    there = degree > 0
    walk = torch.where(there[:, None], L / degree[:, None], 0)
    assert torch.allclose(matrix(calculus.random_walk_laplacian, graph, w), walk, atol=1e-12)
    symmetric = networkx.normalized_laplacian_matrix(nx).toarray()
    assert np.abs(symmetric - matrix(calculus.symmetric_laplacian, graph, w).numpy()).max() < 1e-12
    values = torch.linalg.eigvalsh(L)
    assert values.min() > -1e-12
    assert (values < 1e-9).sum() == networkx.number_connected_components(nx)  # the kernel: one constant a component


def test_which_average_is_which_laplacian() -> None:
    """x minus the neighbours' average is the random walk's, not d* d, which is degree times that."""
    graph = random_graph(9, 0.5, torch.Generator().manual_seed(3))
    x = torch.randn(9, generator=torch.Generator().manual_seed(4), dtype=DTYPE)
    t = graph.topology
    average = torch.stack([x[t.senders[t.receivers == i]].mean() for i in range(9)])
    assert torch.allclose(calculus.random_walk_laplacian(graph, x), x - average, atol=1e-12)
    assert torch.allclose(calculus.laplacian(graph, x), calculus.degree(graph) * (x - average), atol=1e-12)
    assert not torch.allclose(calculus.laplacian(graph, x), x - average, atol=0.1)


def test_polynomials_are_functions_of_the_eigenvalues() -> None:
    graph = awkward()
    w = weighted(graph)
    x = torch.randn(graph.N, 2, generator=torch.Generator().manual_seed(5), dtype=DTYPE)
    value, U = torch.linalg.eigh(matrix(calculus.symmetric_laplacian, graph, w))
    p = [0.5, -1.0, 0.25, 2.0]
    wanted = U @ (torch.as_tensor(np.polynomial.Polynomial(p)(value.numpy()))[:, None] * (U.T @ x))
    found = calculus.polynomial(graph, x, p, calculus.symmetric_laplacian, w)
    assert torch.allclose(found, wanted, atol=1e-12)
    cheb = U @ (torch.as_tensor(np.polynomial.chebyshev.chebval(value.numpy() - 1, p))[:, None] * (U.T @ x))
    assert torch.allclose(calculus.chebyshev(graph, x, p, w=w), cheb, atol=1e-12)
    one = calculus.chebyshev(graph, x, p[:1], w=w)
    assert torch.equal(one, 0.5 * x)


def test_layers_are_the_functions() -> None:
    graph = awkward()
    w = weighted(graph)
    x = torch.randn(graph.N, 2, generator=torch.Generator().manual_seed(6), dtype=DTYPE)
    given = graph.with_nodes(h=x).with_edges(w=w)
    for weight, values in ((None, None), ("w", w)):
        h = dense(calculus.laplacian_layer(weight)(given).nodes["h"])
        assert torch.allclose(h, calculus.laplacian(graph, x, values), atol=1e-12)
    for apply in (calculus.polynomial, partial(calculus.chebyshev, largest=9.0, operator=calculus.laplacian)):
        layer = calculus.Filter([1.0, -0.3, 0.1], apply, "w").double()
        found = dense(layer(given).nodes["h"])
        assert torch.allclose(found, apply(graph, x, layer.coefficients.detach(), w=w), atol=1e-12)
        found.square().sum().backward()
        assert (layer.coefficients.grad != 0).all()


def test_locality() -> None:
    """L^k reads k edges far, no farther."""
    n = 9
    ends = torch.tensor([[a, a + 1] for a in range(n - 1)] + [[a + 1, a] for a in range(n - 1)])
    graph = Graph.build(ends[:, 0], ends[:, 1], [n], [len(ends)])
    spike = torch.zeros(n, dtype=DTYPE)
    spike[4] = 1
    found = calculus.polynomial(graph, spike, [0.0, 0.0, 0.0, 1.0])
    assert (found != 0).tolist() == [False, True, True, True, True, True, True, True, False]


def test_edge_order_turns_signs_only() -> None:
    """Another edge of the pair stands for it: d x changes its sign, L x does not."""
    graph = random_graph(8, 0.6, torch.Generator().manual_seed(7))
    t = graph.topology
    new = torch.arange(8).flip(0)
    other = Graph.build(new[t.senders], new[t.receivers], [8], [t.E])
    x = torch.randn(8, generator=torch.Generator().manual_seed(8), dtype=DTYPE)
    first, second = calculus.d(graph, x), calculus.d(other, x.flip(0))
    assert torch.allclose(first.abs().sort().values, second.abs().sort().values)
    assert not torch.allclose(first.sort().values, second.sort().values)
    assert torch.allclose(calculus.laplacian(other, x.flip(0)).flip(0), calculus.laplacian(graph, x), atol=1e-14)


def test_weights_that_fit_no_pair_are_refused() -> None:
    graph = random_graph(5, 0.9, torch.Generator().manual_seed(9))
    x = torch.zeros(5, dtype=DTYPE)
    with pytest.raises(DataError, match="one a directed edge"):
        calculus.d(graph, x, torch.ones(3))
    with pytest.raises(DataError, match="one weight"):
        calculus.d(graph, x, torch.arange(graph.E).double())
    with pytest.raises(DataError, match=">= 0"):
        calculus.d(graph, x, -torch.ones(graph.E))


# cells of every rank


def incidence_matrix(g: Graph) -> np.ndarray:
    """The boundary operator as a dense matrix of whole numbers."""
    return calculus.boundary(g, torch.eye(g.N, dtype=torch.float64)).numpy()


LIFTS = {"cliques": lambda g: cliques(g, 4), "rings": lambda g: rings(g, 7)}


@pytest.mark.parametrize("lift", LIFTS.values(), ids=LIFTS)
def test_the_boundary_of_a_boundary_is_zero(lift: Callable[[Graph], Cells]) -> None:
    graph = awkward(3)
    g = nerve(graph, lift(graph))
    B = incidence_matrix(g)
    assert not (B @ B).any()  # exactly
    assert set(np.unique(B)) == {-1.0, 0.0, 1.0}
    assert np.array_equal(B.T, calculus.coboundary(g, torch.eye(g.N, dtype=torch.float64)).numpy())
    rank = dense(g.nodes["rank"])
    assert rank.max() >= 2
    vertices = rank == 0
    x = torch.randn(g.N, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    assert torch.allclose(calculus.hodge(g, x)[vertices], calculus.laplacian(graph, x[vertices]), atol=1e-12)  # L on rank 0


def test_signs_are_those_of_toponetx() -> None:
    """Every entry of its incidence matrices of edges, triangles and tetrahedra (kept in a file), and no other."""
    known = json.loads((Path(__file__).parent / "files" / "toponetx.json").read_text())
    ends = torch.tensor([[a, b] for pair in known["edges"] for a, b in (pair, pair[::-1])])
    graph = Graph.build(ends[:, 0], ends[:, 1], [12], [len(ends)])
    cells = cliques(graph, 3)
    vertices = [tuple(cells.vertex[cells.cell == k].tolist()) for k in range(len(cells))]
    signed = (cells.incidence != 0).nonzero().flatten().tolist()
    found = {(vertices[int(cells.lower[k])], vertices[int(cells.upper[k])], int(cells.incidence[k])) for k in signed}
    wanted = {(tuple(face), tuple(cell), sign) for rows in known["incidence"].values() for face, cell, sign in rows}
    assert found == wanted
    assert len(wanted) == 2 * 34 + 3 * 29 + 4 * 6


def test_betti_numbers() -> None:
    """The kernels of the Hodge Laplacian count parts and holes: a hexagon has one hole, filled or not; a solid tetrahedron none."""

    def betti(g: Graph) -> list[int]:
        H, rank = calculus.hodge(g, torch.eye(g.N, dtype=torch.float64)), dense(g.nodes["rank"])
        return [int((torch.linalg.eigvalsh(H[rank == r][:, rank == r]) < 1e-9).sum()) for r in rank.unique()]

    def of(nx: networkx.Graph) -> Graph:
        ends = torch.tensor([[a, b] for pair in nx.edges for a, b in (pair, pair[::-1])])
        return Graph.build(ends[:, 0], ends[:, 1], [len(nx)], [len(ends)])

    hexagon = of(networkx.cycle_graph(6))
    assert betti(nerve(hexagon, cliques(hexagon))) == [1, 1]
    assert betti(nerve(hexagon, rings(hexagon))) == [1, 0, 0]
    four = of(networkx.complete_graph(4))
    assert betti(nerve(four, cliques(four, 3))) == [1, 0, 0, 0]
    assert betti(nerve(four, cliques(four, 2))) == [1, 0, 1]  # hollow: a sphere
    cube = of(networkx.convert_node_labels_to_integers(networkx.hypercube_graph(3)))
    faces = rings(cube, 4)
    assert faces.rank.bincount().tolist() == [8, 12, 6]
    assert betti(nerve(cube, faces)) == [1, 0, 1]


def test_flipped_orientations_change_signs_only() -> None:
    graph = awkward(3)
    cells = cliques(graph, 3)
    flip = (torch.rand(len(cells), generator=torch.Generator().manual_seed(1)) < 0.5) & (cells.rank > 0)
    g, other = nerve(graph, cells), nerve(graph, cells.flipped(flip))
    turn = torch.where(flip, -1.0, 1.0).to(DTYPE)
    x = torch.randn(g.N, generator=torch.Generator().manual_seed(2), dtype=DTYPE)
    assert torch.allclose(calculus.hodge(other, turn * x), turn * calculus.hodge(g, x), atol=1e-12)
    assert torch.allclose(calculus.coboundary(other, turn * x).abs(), calculus.coboundary(g, x).abs(), atol=1e-12)
    assert not torch.allclose(calculus.hodge(other, x), calculus.hodge(g, x), atol=1e-2)
    with pytest.raises(DataError, match="no orientation to flip"):
        cells.flipped(torch.ones(len(cells), dtype=torch.bool))


def test_invariant_outputs_do_not_know_orientations() -> None:
    """Every edge, triangle and tetrahedron turned: odd layers turn with them, lengths and the network `nerve` stay."""
    graph = awkward(3)
    cells = cliques(graph, 3)
    turned = cells.flipped(cells.rank > 0)
    turn = torch.where(cells.rank > 0, -1.0, 1.0).to(DTYPE)
    x = torch.randn(len(cells), 4, generator=torch.Generator().manual_seed(2), dtype=DTYPE)

    def lengths(g: Graph, h: Tensor) -> Tensor:
        for _ in range(3):
            h = torch.tanh(0.3 * calculus.hodge(g, h) + calculus.coboundary(g, h))
        return h.square().sum(0)

    g, other = nerve(graph, cells), nerve(graph, turned)
    assert torch.allclose(lengths(g, x), lengths(other, turn[:, None] * x), atol=1e-6)
    assert not torch.allclose(lengths(g, x), lengths(other, x), atol=1e-2)  # states of cells have signs
    torch.manual_seed(0)
    net = zoo.build("nerve", Inputs(dense(graph.nodes["x"]).shape[1], 0), 2, {"d": 16, "largest": 3}).double().eval()
    y = net(graph)["y"]
    views = [m for m in net.modules() if isinstance(m, Nerve)]
    for view in views:
        view.lift = lambda _: turned
    assert views and torch.allclose(net(graph)["y"], y, atol=1e-6)


def test_rings_are_networkx_chordless_cycles() -> None:
    for seed in range(4):
        graph = random_graph(10, 0.35, torch.Generator().manual_seed(seed))
        nx = networkx.Graph(list(zip(graph.topology.senders.tolist(), graph.topology.receivers.tolist(), strict=True)))
        wanted = sorted(sorted(c) for c in networkx.chordless_cycles(nx, 6) if len(c) > 2)
        cells = rings(graph, 6)
        found = [cells.vertex[cells.cell == k].tolist() for k in (cells.rank == 2).nonzero().flatten().tolist()]
        assert sorted(sorted(c) for c in found) == wanted


def test_cliques_and_chains() -> None:
    graph = awkward(3)
    cells = cliques(graph, 3)
    t = graph.topology
    nx = networkx.Graph(list(zip(t.senders.tolist(), t.receivers.tolist(), strict=True)))
    nx.add_nodes_from(range(graph.N))
    sizes = [len(c) for c in networkx.enumerate_all_cliques(nx) if len(c) <= 4]
    assert cells.rank.bincount().tolist() == np.bincount(sizes)[1:].tolist()
    assert len(cells.chains(0)) == len(cells)
    assert len(cells.chains(1)) == len(cells.upper) == sum(2**s - 2 for s in sizes)  # every part of a clique is a clique
    inside = scipy.sparse.csr_array((np.ones(len(cells.upper)), (cells.upper, cells.lower)), shape=(len(cells),) * 2)
    assert len(cells.chains(2)) == (inside @ inside).sum()
    a = cells.chains(2)
    pairs = set(zip(cells.upper.tolist(), cells.lower.tolist(), strict=True))
    assert all((x, y) in pairs and (y, z) in pairs for x, y, z in a.tolist())
    assert (cells.graph.diff() >= 0).all()  # graph by graph


def test_signed_sum_on_the_nerve() -> None:
    """U(M)_b = sum_{a > b} M_{a > b} - sum_{b > c} M_{b > c}, by a loop over the inclusions."""
    graph = random_graph(7, 0.6, torch.Generator().manual_seed(5))
    cells = cliques(graph, 2)
    g = Nerve(partial(cliques, largest=2))(graph)
    t = g.topology
    x = torch.randn(g.N, generator=torch.Generator().manual_seed(6), dtype=DTYPE)
    sign = dense(g.edges["sign"])[:, 0]
    a, b = torch.where(sign > 0, t.senders, t.receivers), torch.where(sign > 0, t.receivers, t.senders)  # a > b
    found = torch.zeros(g.N, dtype=DTYPE).index_add(0, t.receivers, sign * torch.tanh(2 * x[a] - x[b]))
    wanted = torch.zeros(g.N, dtype=DTYPE)
    for up, low in zip(cells.upper.tolist(), cells.lower.tolist(), strict=True):
        M = torch.tanh(2 * x[up] - x[low])
        wanted[low] += M
        wanted[up] -= M
    assert torch.allclose(found, wanted, atol=1e-12)
    assert Nerve()(g) is g


def test_hyperedges() -> None:
    graph = awkward()
    cells = hyperedges(graph, [(0, 1, 2), (2, 1, 1), (5,), (9, 10), (0, 1, 2)])
    sets = [cells.vertex[cells.cell == k].tolist() for k in (cells.rank == 1).nonzero().flatten().tolist()]
    assert sets == [[0, 1, 2], [1, 2], [5], [0, 1, 2], [9, 10]]  # those of the first graph, then those of the third
    assert len(cells.upper) == 3 + 2 + 1 + 2 + 3 + 2  # members, and (1, 2) inside both (0, 1, 2)
    g = nerve(graph, cells)
    assert not dense(g.edges["incidence"]).any()
    mean = dense(graph.nodes["x"])[[1, 2]].mean(0)
    assert torch.allclose(dense(g.nodes["x"])[9], mean)
    for bad, words in (([(0, 99)], "has the member 99"), ([()], "no members"), ([(0, 9)], "different graphs")):
        with pytest.raises(DataError, match=words):
            hyperedges(graph, bad)
    assert len(hyperedges(graph, [])) == graph.N


def test_nearest_neighbours_as_hyperedges() -> None:
    graph = awkward()
    sets = nearest(graph, 3)
    assert len(sets) == graph.N
    assert all(i in s for i, s in enumerate(sets))
    pos = dense(graph.nodes["pos"])
    near = (pos[:8] - pos[0]).norm(dim=1).argsort()[:4].sort().values.tolist()
    assert list(sets[0]) == near
    assert sets[8] == (8,)
