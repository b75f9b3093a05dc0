"""Measures of a graph: against NetworkX, against loops, the sparse way against the dense, and what is odd gets a clear word."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import networkx
import numpy as np
import pytest
import torch

from heliograph import wl
from heliograph.diagnose import structure as module
from heliograph.diagnose.homophily import homophily
from heliograph.diagnose.page import of_edges
from heliograph.diagnose.structure import structure
from heliograph.errors import DataError
from heliograph.graph import Graph
from heliograph.views import curvature


def ends(nx: networkx.Graph) -> tuple[np.ndarray, np.ndarray, int]:
    nx = networkx.convert_node_labels_to_integers(nx)
    e = np.array(nx.edges, dtype=np.int64).reshape(-1, 2)
    return e[:, 0], e[:, 1], len(nx)


GRAPHS = {
    "sparse": lambda: networkx.gnp_random_graph(60, 0.04, seed=1),
    "tree": lambda: networkx.random_labeled_tree(40, seed=2),
    "barbell": lambda: networkx.barbell_graph(7, 3),
    "small world": lambda: networkx.connected_watts_strogatz_graph(80, 4, 0.2, seed=3),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("dense", [2000, 5], ids=["dense", "sparse"])
def test_measures_are_networkx(name: str, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE", dense)
    monkeypatch.setattr(module, "SOURCES", 1000)
    nx = GRAPHS[name]()
    s = structure(*ends(nx))
    parts = sorted(networkx.connected_components(nx), key=len)
    big = nx.subgraph(parts[-1])
    assert (s.nodes, s.edges, s.parts, s.isolated) == (len(nx), nx.number_of_edges(), len(parts), len(list(networkx.isolates(nx))))
    assert s.diameter == max(networkx.diameter(nx.subgraph(p)) for p in parts)
    hops = dict(networkx.all_pairs_shortest_path_length(nx))
    n = len(nx)
    if dense > n:
        wanted = [sum(0 < d <= k for row in hops.values() for d in row.values()) / (n * (n - 1)) for k in range(len(s.reach))]
        assert np.allclose(s.reach, wanted)
    assert s.gap == pytest.approx(np.sort(networkx.normalized_laplacian_spectrum(big))[1], abs=1e-8 if dense > n else 3e-3)
    bridges = list(networkx.bridges(big))
    assert s.bridges == len(bridges)
    if bridges:
        m, best = len(big), 0.0
        for edge in bridges:
            cut = networkx.Graph(big)
            cut.remove_edge(*edge)
            a = len(networkx.node_connected_component(cut, edge[0]))
            best = max(best, a * (m - a) / (m * (m - 1) / 2))
        assert s.bridge_share == pytest.approx(best)
    resistance = [networkx.resistance_distance(big, a, b) for a, b in list(combinations(big, 2))[::7]] if dense > n else []
    if resistance:
        assert s.resistance_max >= max(resistance) - 1e-9
        R = sum(r for row in networkx.resistance_distance(big).values() for r in row.values())
        assert s.resistance_mean == pytest.approx(R / (len(big) * (len(big) - 1)))
    graph = Graph.from_networkx(nx)
    exact = [int(c.max()) + 1 for c in wl.refinements(graph, (), ())]
    assert list(s.colours) == exact[: len(s.colours)]


def test_resistance_by_sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    nx = networkx.connected_watts_strogatz_graph(300, 6, 0.3, seed=4)
    exact = structure(*ends(nx))
    monkeypatch.setattr(module, "DENSE", 10)
    monkeypatch.setattr(module, "SKETCHES", 400)
    near = structure(*ends(nx))
    assert near.resistance_mean == pytest.approx(exact.resistance_mean, rel=0.05)
    assert {"resistance_mean", "diameter"} <= near.estimated
    assert not exact.estimated


def naive_balanced(nx: networkx.Graph, i: int, j: int) -> float:
    """Definition 1 of Topping et al. 2022 by its words."""
    S1, S2 = set(nx[i]), set(nx[j])
    if len(S1) == 1 or len(S2) == 1:
        return 0.0
    triangles = len(S1 & S2)

    def squares(a: int, b: int) -> list[int]:
        found = []
        for k in set(nx[a]) - {b}:
            if nx.has_edge(k, b):
                continue
            w = [w for w in set(nx[k]) & set(nx[b]) if w != a and not nx.has_edge(w, a)]
            if w:
                found.append(len(w))
        return found

    ours, theirs = squares(i, j), squares(j, i)
    hi, lo = max(len(S1), len(S2)), min(len(S1), len(S2))
    value = 2 / len(S1) + 2 / len(S2) - 2 + 2 * triangles / hi + triangles / lo
    return value + ((len(ours) + len(theirs)) / (max(ours + theirs) * hi) if ours else 0)


def test_curvatures() -> None:
    nx = networkx.gnp_random_graph(25, 0.25, seed=5)
    A = curvature.simple(*ends(nx))
    edges = curvature.pairs_of(A)
    assert edges.tolist() == sorted(sorted(e) for e in nx.edges)
    assert np.allclose(curvature.balanced_forman(A, edges), [naive_balanced(nx, *e) for e in edges.tolist()])
    flat = [4 - nx.degree[a] - nx.degree[b] + 3 * len(set(nx[a]) & set(nx[b])) for a, b in edges.tolist()]
    assert curvature.forman(A, edges).tolist() == flat

    def of(graph: networkx.Graph, name: str) -> np.ndarray:
        A = curvature.simple(*ends(graph))
        return np.asarray(getattr(curvature, name)(A, curvature.pairs_of(A)))

    # examples of the paper (table 1): cycles, complete graphs, grids, trees
    assert np.allclose(of(networkx.cycle_graph(3), "balanced_forman"), 1.5)
    assert np.allclose(of(networkx.cycle_graph(4), "balanced_forman"), 1.0)
    assert np.allclose(of(networkx.cycle_graph(7), "balanced_forman"), 0.0)
    assert np.allclose(of(networkx.complete_graph(6), "balanced_forman"), 6 / 5)
    assert of(networkx.balanced_tree(3, 3), "balanced_forman").min() == pytest.approx(2 / 4 + 2 / 4 - 2)
    assert np.allclose(of(networkx.complete_graph(5), "ollivier"), 1 - 1 / 4)
    assert np.allclose(of(networkx.cycle_graph(8), "ollivier"), 0, atol=1e-9)
    assert of(networkx.barbell_graph(5, 0), "ollivier").min() < -1
    for pentagons in (networkx.petersen_graph(), networkx.dodecahedral_graph()):  # the short way leads past both neighbourhoods
        assert np.allclose(of(pentagons, "ollivier"), -1 / 3)


def test_homophily_by_hand() -> None:
    a, b = np.array([0, 1, 2, 3, 0]), np.array([1, 2, 3, 0, 0])
    same = homophily(a, b, np.array([0, 1, 0, 1]))
    assert (same.edge, same.adjusted, same.informativeness) == (0.0, pytest.approx(-1.0), pytest.approx(1.0))
    assert homophily(a, b, np.array([0, 0, 0, 0])).edge == 1.0
    assert np.isnan(homophily(a, b, np.array([0, -1, 0, -1])).edge)
    rng = np.random.default_rng(0)
    label, i, j = rng.integers(3, size=500), *rng.integers(500, size=(2, 20_000))
    assert abs(homophily(i, j, label).adjusted) < 0.02
    assert abs(homophily(i, j, label).informativeness) < 0.01


def test_odd_graphs_get_a_clear_word(tmp_path: Path) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    with pytest.raises(DataError, match="no nodes"):
        structure(nothing, nothing, 0)
    with pytest.raises(DataError, match="outside of the nodes 0 to 2"):
        structure(np.array([0]), np.array([3]), 3)
    page = of_edges(nothing, nothing, 4)
    assert "4 isolated nodes" in page.text()
    assert "No trouble found" in page.text()
    i, j = np.array([0, 1, 1, 0, 2]), np.array([1, 0, 0, 1, 2])
    s = structure(i, j, 4)
    assert (s.edges, s.loops, s.repeated, s.isolated) == (1, 1, 2, 2)
    paths = of_edges(i, j, 4, labels=np.array([0, 1, -1, -1]), steps=3).write(tmp_path / "out")
    assert json.loads(paths[1].read_text())["measures"]["structure"]["edges"] == 1


def test_a_bottleneck_comes_with_what_a_few_edges_would_do() -> None:
    a, b, n = ends(networkx.barbell_graph(12, 0))
    page = of_edges(a, b, n)
    before, after = page.measures["structure"], page.measures["rewired"]
    assert after.edges == before.edges + 6
    assert after.gap > 2 * before.gap and after.resistance_max < before.resistance_max / 2
    assert f"With 6 more edges by FoSR: spectral gap {before.gap:.3g} -> {after.gap:.3g}" in page.text()
    assert "rewired" not in of_edges(*ends(networkx.cycle_graph(20))).measures


@pytest.mark.parametrize("dense", [2000, 5], ids=["dense", "sparse"])
def test_edges_both_ways_are_no_repeats(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE", dense)
    a, b, n = ends(networkx.cycle_graph(9))
    assert structure(np.append(a, b), np.append(b, a), n).repeated == 0
    assert structure(np.append(a, a[:2]), np.append(b, b[:2]), n).repeated == 2


def test_a_network_of_no_features_has_no_jacobian() -> None:
    from heliograph import zoo
    from heliograph.diagnose.network import network
    from heliograph.model import Inputs

    graph = Graph.from_networkx(networkx.path_graph(6)).with_nodes(x=torch.randn(6, 3, generator=torch.Generator().manual_seed(0)))
    torch.manual_seed(0)
    found = network(zoo.build("sage", Inputs(3, 0), 1, {"d": 8, "depth": 2}), graph)
    assert found.steps == 2
    assert len(found.energy) == len(found.cosine) == 3
    assert found.jacobian[0] == found.bound[0] == 1
    assert all(x == 0 for x in found.jacobian[3:])  # two steps see two edges far
    assert all(x == 0 for x in found.bound[3:])
