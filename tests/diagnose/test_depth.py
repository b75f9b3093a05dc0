"""Distances, gaps, resistances and homophily against NetworkX and PyTorch Geometric, and on graphs known from the books."""

from __future__ import annotations

import itertools
import math

import networkx
import numpy as np
import pytest
import torch

from heliograph.batching import batch
from heliograph.diagnose import depth
from heliograph.diagnose.depth import connectivity, homophily, sentences
from heliograph.graph import Graph
from tests.compare.sets import store, whole
from tests.core.test_wl import alike, cycle
from tests.graphs import awkward, random_graph, strange


def undirected(graph: Graph) -> networkx.Graph:
    nx = networkx.Graph()
    nx.add_nodes_from(range(graph.N))
    t = graph.topology
    nx.add_edges_from((j, i) for j, i in zip(t.senders.tolist(), t.receivers.tolist(), strict=True) if i != j)
    return nx


def many() -> Graph:
    rng = torch.Generator().manual_seed(3)
    graphs = [random_graph(n, p, rng) for n in (2, 5, 9, 9, 14) for p in (0.1, 0.25, 0.6)]
    return batch([Graph(g.topology) for g in (*graphs, awkward(), strange(), *graphs[:3])])


def test_against_networkx() -> None:
    graph = many()
    found = connectivity(graph)
    for g, one in enumerate(graph.unbatch()):
        nx, n = undirected(one), one.N
        assert found.nodes[g] == n
        if n == 0:
            assert math.isnan(found.parts[g]) and math.isnan(found.diameter[g])
            continue
        distance = [d for u, to in networkx.all_pairs_shortest_path_length(nx) for v, d in to.items() if u != v]
        assert found.parts[g] == networkx.number_connected_components(nx) and found.diameter[g] == max(distance, default=0)
        for k in range(6):
            share = sum(d <= k for d in distance) / (n * (n - 1)) if n > 1 else math.nan
            assert found.reach(k)[g] == pytest.approx(share, nan_ok=True, abs=1e-12)
        values = np.sort(np.linalg.eigvalsh(networkx.normalized_laplacian_matrix(nx).toarray()))
        positive = values[values > 1e-9]
        assert found.gap[g] == pytest.approx(positive[0] if len(positive) else math.nan, nan_ok=True, abs=1e-9)
        resistances = [
            r[u][v]
            for part in networkx.connected_components(nx)
            if len(part) > 1
            for r in [networkx.resistance_distance(nx.subgraph(part))]
            for u, v in itertools.combinations(part, 2)
        ]
        assert found.resistance[g] == pytest.approx(max(resistances, default=math.nan), nan_ok=True, rel=1e-9)
        assert found.mean_resistance[g] == pytest.approx(np.mean(resistances) if resistances else math.nan, nan_ok=True, rel=1e-9)


def test_rings_and_chains_from_the_books() -> None:
    ring, chain = alike(6, cycle(6)), alike(6, [(k, k + 1) for k in range(5)])
    found = connectivity(batch([ring, chain]))
    assert found.diameter.tolist() == [3, 5] and found.within[1].tolist() == pytest.approx([2 / 5, 1 / 3])
    assert found.gap.tolist() == pytest.approx([1 - math.cos(math.pi / 3), 1 - math.cos(math.pi / 5)])  # Chung 1997, ch. 1
    assert found.resistance.tolist() == pytest.approx([3 * 3 / 6, 5])  # two ways of three bonds side by side; five in a row


def test_each_skeleton_is_computed_once_and_matrices_are_kept_small(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = many()
    expected = connectivity(graph)
    seen: list[int] = []
    steps = depth._steps

    def counted(A: torch.Tensor) -> object:
        seen.append(len(A))
        return steps(A)

    monkeypatch.setattr(depth, "_steps", counted)
    monkeypatch.setattr(depth, "_ENTRIES", 100)
    found = connectivity(graph)
    pairs = {(g.N, frozenset(map(frozenset, undirected(g).edges))) for g in graph.unbatch() if g.N}
    assert sum(seen) == len(pairs) < (graph.topology.n_node > 0).sum() and max(seen) <= 25
    for name in ("parts", "diameter", "within", "gap", "resistance", "mean_resistance"):
        assert np.allclose(getattr(found, name), getattr(expected, name), atol=1e-12, equal_nan=True)


def test_large_graphs_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "LARGEST", 5)
    found = connectivity(batch([alike(6, cycle(6)), alike(5, cycle(5))]))
    assert math.isnan(found.diameter[0]) and math.isnan(found.within[1, 0]) and found.diameter[1] == 2
    nothing = connectivity(batch([alike(6, cycle(6))]))
    assert sentences(nothing, 3) == {} and np.isnan(nothing.reach(3)).all()


def test_sentences_say_the_numbers() -> None:
    found = connectivity(whole(store(["CCCCCC", "CCCCCC", "C1CCCCC1", "[Na+].[Cl-]", "C"])))
    said = sentences(found, 3)
    assert set(said) == {"diameter", "within", "resistance", "gap"}
    assert "3 bonds apart in a typical molecule and 5 in the longest" in said["diameter"] and "so 60% of the molecules" in said["diameter"]
    reach = (0.8 + 0.8 + 1 + 0) / 4  # a chain of six: 24 of 30 ordered pairs; sodium chloride: none
    assert f"{reach:.0%} of the other atoms" in said["within"] and "as 5.0 bonds in a row" in said["resistance"]
    assert "about 5 rounds" in said["gap"] and "0.191" in said["gap"]  # 1 - cos(36 degrees)
    assert all(sentence.count(". ") == 0 and sentence.endswith(".") for sentence in said.values())


def test_homophily_against_networkx_and_pyg() -> None:
    utils = pytest.importorskip("torch_geometric.utils")
    rng = torch.Generator().manual_seed(5)
    graph = batch([Graph(random_graph(n, 0.4, rng).topology) for n in (6, 12, 20)])
    y = np.random.default_rng(0).integers(0, 3, graph.N).astype(float)
    found, t = homophily(graph, y), graph.topology
    edge_index = torch.stack([t.senders, t.receivers])
    expected = utils.homophily(edge_index, torch.from_numpy(y).long(), t.nodes_by_graph.index, method="edge")
    assert found.edge == pytest.approx(expected.numpy(), rel=1e-6)
    for g, one in enumerate(graph.unbatch()):
        nx = undirected(one)
        networkx.set_node_attributes(nx, dict(enumerate(y[t.nodes_by_graph.index.numpy() == g].tolist())), "y")
        assert found.adjusted[g] == pytest.approx(networkx.attribute_assortativity_coefficient(nx, "y"), rel=1e-9)


def test_homophily_of_gaps_loops_and_one_label() -> None:
    path = alike(4, [(0, 1), (1, 2), (2, 3), (3, 3)])
    found = homophily(path, np.array([0.0, 0, 1, np.nan]))
    p = (3 / 4, 1 / 4)  # ends of the two edges that count: 0 0 0 1
    chance = p[0] ** 2 + p[1] ** 2
    assert found.edge[0] == 0.5 and found.adjusted[0] == pytest.approx((0.5 - chance) / (1 - chance))
    same = homophily(path, np.zeros(4))
    assert same.edge[0] == 1 and math.isnan(same.adjusted[0]) and "two kinds" in same.sentence()
    none = homophily(alike(3, []), np.zeros(3))
    assert math.isnan(none.edge[0]) and "two kinds" in none.sentence()


@pytest.mark.parametrize(
    ("y", "said"),
    [([0.0, 0, 0, 1, 1, 1], "tend to share"), ([0.0, 1, 0, 1, 0, 1], "tend to differ"), ([0.0, 0, 1, 1, 0, 1], "tend to differ")],
    ids=["halves", "alternating", "mixed"],
)
def test_homophily_in_words(y: list[float], said: str) -> None:
    sentence = homophily(alike(6, cycle(6)), np.array(y)).sentence()
    assert said in sentence and sentence.endswith(".")
