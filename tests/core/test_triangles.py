"""Triangles as a neighbourhood: against NetworkX, SciPy's sparse matrices, and loops."""

from __future__ import annotations

from itertools import combinations

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn

from heliograph import zoo
from heliograph.graph import Graph, dense
from heliograph.model import Inputs
from heliograph.views import ConcatenateEdges, SharedTriangles, triangles
from tests.graphs import ATOMS, BONDS, DTYPE, awkward, permuted, random_graph, strange


def large() -> Graph:
    """A few thousand edges with hubs."""
    nx = networkx.powerlaw_cluster_graph(500, 5, 0.7, seed=1)
    ends = torch.tensor([[a, b] for pair in nx.edges for a, b in (pair, pair[::-1])])
    return Graph.build(ends[:, 0], ends[:, 1], [500], [len(ends)])


def joined(graph: Graph) -> networkx.Graph:
    t = graph.topology
    nx = networkx.Graph()
    nx.add_nodes_from(range(graph.N))
    nx.add_edges_from((j, i) for j, i in zip(t.senders.tolist(), t.receivers.tolist(), strict=True) if i != j)
    return nx


MAKE = [awkward, strange, lambda: random_graph(12, 0.6, torch.Generator().manual_seed(2)), large]


@pytest.mark.parametrize("make", MAKE, ids=["awkward", "strange", "dense", "large"])
def test_counts(make: type[Graph]) -> None:
    graph = make()
    t, nx, count = graph.topology, joined(graph), triangles(graph.topology)
    for j, i, n in zip(t.senders.tolist(), t.receivers.tolist(), count.tolist(), strict=True):
        assert n == (len(set(nx[i]) & set(nx[j]) - {i, j}) if i != j else 0)
    A = networkx.to_scipy_sparse_array(nx, nodelist=range(graph.N), dtype=np.int64)
    motif = scipy.sparse.coo_array((A @ A) * A)
    seen = {(int(j), int(i)): int(n) for j, i, n in zip(t.senders, t.receivers, count, strict=True) if n}
    symmetric = seen | {(j, i): n for (i, j), n in seen.items()}
    assert symmetric == dict(zip(zip(*(x.tolist() for x in motif.coords), strict=True), motif.data.tolist(), strict=True))
    per_node = [sum(symmetric.get((j, i), 0) for j in nx[i]) // 2 for i in range(graph.N)]
    assert per_node == [networkx.triangles(nx)[i] for i in range(graph.N)]


def test_triangles_of_three_edges() -> None:
    graph = random_graph(9, 0.6, torch.Generator().manual_seed(3))
    nx, t = joined(graph), graph.topology
    want = dict.fromkeys(zip(t.senders.tolist(), t.receivers.tolist(), strict=True), 0)
    for three in combinations(range(9), 3):
        if all(nx.has_edge(a, b) for a, b in combinations(three, 2)):
            for a, b in combinations(three, 2):
                want[a, b] += 1
                want[b, a] += 1
    assert list(want.values()) == triangles(t).tolist() and max(want.values()) > 1


@pytest.mark.parametrize("make", [awkward, strange])
def test_what_stays_keeps_its_features(make: type[Graph]) -> None:
    graph = make()
    t, count, seen = graph.topology, triangles(graph.topology), SharedTriangles()(graph)
    s, kept = seen.topology, (count > 0).nonzero().squeeze(1)
    assert torch.equal(s.senders, t.senders[kept]) and torch.equal(s.receivers, t.receivers[kept]) and torch.equal(s.n_node, t.n_node)
    assert torch.equal(dense(seen.edges["edge_attr"]), dense(graph.edges["edge_attr"])[kept])
    assert torch.equal(dense(seen.edges["triangles"])[:, 0], count[kept].to(DTYPE))
    assert [g.E for g in seen.unbatch()] == [int((triangles(g.topology) > 0).sum()) for g in graph.unbatch()]
    assert 0 < seen.E < graph.E if make is awkward else seen.E == 0


def test_a_periodic_edge_keeps_its_image() -> None:
    ends = torch.tensor([[0, 1], [1, 2], [2, 0], [2, 3]])
    both, shift = torch.cat([ends, ends.flip(1)]), torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    graph = Graph.build(both[:, 0], both[:, 1], [4], [8], shift=torch.cat([shift, -shift]))
    t, seen = graph.topology, SharedTriangles()(graph).topology
    inside = (t.senders < 3) & (t.receivers < 3)
    assert seen.E == 6 and t.shift is not None and seen.shift is not None and torch.equal(seen.shift, t.shift[inside])


@pytest.mark.parametrize("name", ["gin", "gat", "dmpnn", "gilmer", "jk"])
def test_any_architecture_sends_along_them(name: str) -> None:
    torch.manual_seed(0)
    net = zoo.build(name, Inputs(ATOMS, BONDS + 1), 2).to(DTYPE).eval()
    own = net.view
    net.view = nn.Sequential(SharedTriangles(), ConcatenateEdges("triangles"), *([] if own is None else [own]))
    graph = awkward()
    y = net(graph)["y"]
    assert torch.allclose(y, torch.cat([net(g)["y"] for g in graph.unbatch()]), atol=1e-10)
    graph = random_graph(8, 0.5, torch.Generator().manual_seed(0))
    assert torch.allclose(net(graph)["y"], net(permuted(graph, torch.Generator().manual_seed(1)))["y"], atol=1e-10)


def test_they_take_gin_above_1_wl() -> None:
    def rings(*sizes: int) -> Graph:
        n, ends = sum(sizes), []
        for k, size in enumerate(sizes):
            first = sum(sizes[:k])
            ends += [(first + a, first + (a + 1) % size) for a in range(size)]
        both = torch.tensor(ends + [(b, a) for a, b in ends])
        x, edge_attr = torch.ones(n, ATOMS, dtype=DTYPE), torch.ones(2 * n, BONDS, dtype=DTYPE)
        return Graph.build(both[:, 0], both[:, 1], [n], [2 * n], nodes={"x": x}, edges={"edge_attr": edge_attr})

    torch.manual_seed(0)
    net = zoo.build("gin", Inputs(ATOMS, BONDS), 2).to(DTYPE).eval()
    hexagon, two = rings(6), rings(3, 3)
    assert torch.allclose(net(hexagon)["y"], net(two)["y"], atol=1e-10)
    net.view = SharedTriangles()
    assert not torch.allclose(net(hexagon)["y"], net(two)["y"], atol=1e-3)
