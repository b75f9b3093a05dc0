"""What the playground shows is what heliograph's layers and 1-WL compute."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from heliograph import wl
from heliograph.errors import UsageError
from heliograph.learn.loop import node_similarity
from heliograph.serve import playground
from heliograph.serve.playground import Drawn


def drawn(seed: int) -> Drawn:
    """A random graph with up to 14 nodes of up to three kinds."""
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(int(rng.integers(2, 15)), 0.3, seed=seed)
    n = graph.number_of_nodes()
    return Drawn(("",) * n, ((0.0, 0.0),) * n, tuple(graph.edges), tuple(rng.integers(0, int(rng.integers(1, 4)), n).tolist()))


def adjacency(one: Drawn) -> np.ndarray:
    a = np.zeros((len(one.places),) * 2)
    for i, j in one.edges:
        a[i, j] = a[j, i] = 1
    return a


def partition(row: list[int]) -> list[int]:
    return playground.numbered(row)


def test_colours_are_those_of_networkx_and_wl() -> None:
    for seed in range(100):
        one = drawn(seed)
        graph = nx.Graph([*one.edges])
        graph.add_nodes_from(range(len(one.places)))
        for k, kind in enumerate(one.kinds):
            graph.nodes[k]["kind"] = str(kind)
        rounds = nx.weisfeiler_lehman_subgraph_hashes(graph, node_attr="kind", iterations=3, include_initial_labels=True)
        found = playground.play(one, "mean", 3)["colours"]
        ours = list(wl.refinements(playground.graph_of(one)))
        for step in range(4):
            assert found[step] == partition([rounds[k][step] for k in range(len(one.places))]), seed
            assert found[step] == partition(ours[min(step, len(ours) - 1)].tolist())


@pytest.mark.parametrize("layer", ["mean", "sum", "max"])
def test_plain_steps_are_sums_over_neighbours(layer: str) -> None:
    for seed in range(40):
        one = drawn(seed)
        a, h = adjacency(one), np.eye(max(one.kinds) + 1)[list(one.kinds)]
        for state in playground.states(playground.graph_of(one), layer, 4):
            np.testing.assert_allclose(state.numpy(), h, rtol=1e-5, atol=1e-6)
            if layer == "max":
                h = np.stack([h[a[i] > 0].max(0) if a[i].any() else 0 * h[i] for i in range(len(a))])
            else:
                h = a @ h / (np.maximum(a.sum(1, keepdims=True), 1) if layer == "mean" else 1)


def test_gcn_steps_are_kipf_and_welling_eq_8() -> None:
    for seed in range(20):
        one = drawn(seed)
        graph = playground.graph_of(one)
        net = playground.network("gcn", max(one.kinds) + 1, 3)
        a = adjacency(one) + np.eye(len(one.places))
        s = a / np.sqrt(np.outer(a.sum(1), a.sum(1)))
        states = playground.states(graph, "gcn", 3)
        for k in range(3):
            w = net.layers[k].update.W
            wanted = np.maximum(s @ states[k].numpy() @ w.weight.detach().numpy().T + w.bias.detach().numpy(), 0)
            np.testing.assert_allclose(states[k + 1].numpy(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [*playground.PLAIN, *playground.LEARNED])
def test_no_layer_is_sharper_than_the_colours(layer: str) -> None:
    """But for gcn, whose degrees are one round ahead."""
    for seed in range(12):
        one = drawn(seed)
        found = playground.play(one, layer, 5)
        assert len(found["equal"]) == len(found["colours"]) == len(found["similarity"]) == 6
        for step in range(5):
            colours = found["colours"][step + (layer == "gcn")]
            states = found["equal"][step]
            assert len(set(zip(colours, states, strict=True))) == len(set(colours)), (layer, seed, step)


def test_hexagon_and_two_triangles_stay_equal() -> None:
    for layer in [*playground.PLAIN, *playground.LEARNED]:
        found = playground.play(playground.toys()["hexagon and two triangles"], layer, 8)
        assert all(set(row) == {0} for row in (*found["equal"], *found["colours"]))


def test_with_triangles_counted_hexagon_and_triangles_part() -> None:
    one = playground.toys()["hexagon and two triangles"]
    for layer in [*playground.PLAIN, *playground.LEARNED]:
        found = playground.play(one, layer, 8, counting=True)
        assert found["colours"] == [[0] * 6 + [1] * 6] * 9, layer
        assert all(row[0] != row[6] for row in found["equal"][:3]), layer


def test_triangles_are_those_of_networkx() -> None:
    for seed in range(60):
        one = drawn(seed)
        wanted = nx.triangles(nx.Graph([*one.edges]))
        x = playground.graph_of(one, counting=True).nodes["x"][:, -1].tolist()
        assert x == [wanted.get(k, 0) for k in range(len(one.places))], seed


def test_a_graph_of_ones_own() -> None:
    one = playground.own([(0, 1), (1, 2), (2, 1), (4, 0)])
    assert one.edges == ((0, 1), (0, 4), (1, 2)) and one.labels == ("1", "2", "3", "4", "5") and len(one.places) == 5
    for edges in ([(1, 1)], [(0, 99)]):
        with pytest.raises(UsageError):
            playground.own(edges)


def test_the_curve_and_the_surroundings() -> None:
    one = playground.toys()["path of ten"]
    graph = playground.graph_of(one)
    found = playground.play(one, "sage", 3, node=0)
    for h, s in zip(playground.states(graph, "sage", 3), found["similarity"], strict=True):
        assert s == pytest.approx(node_similarity(h.double(), graph.topology.nodes_by_graph), abs=1e-6)
    assert found["hops"] == list(range(10))
    assert sum(found["influence"]) == pytest.approx(1.0, abs=1e-5) and max(found["influence"][4:]) == 0 < found["influence"][3]
    two = playground.toys()["hexagon and two triangles"]
    assert playground.hops(two, 0)[6:] == [-1] * 6


def test_twins_differ_to_no_layer_but_are_not_the_same_graph() -> None:
    toys = playground.toys()
    rook, shrikhande = (nx.Graph(toys[name].edges) for name in ("rook's graph", "Shrikhande graph"))
    assert set(dict(rook.degree).values()) == set(dict(shrikhande.degree).values()) == {6}
    assert not nx.is_isomorphic(rook, shrikhande)
    for graph in (rook, shrikhande):  # strongly regular, (16, 6, 2, 2)
        common = {len(set(graph[a]) & set(graph[b])) for a in graph for b in graph if a < b}
        assert common == {2}


def test_addresses(client: TestClient) -> None:
    choices = client.get("/v1/playground").json()
    assert "barbell" in choices["graphs"] and "gin" in choices["layers"]
    found = client.post("/v1/playground", json={"smiles": "CC[O-]", "layer": "gin", "steps": 2, "node": 2}).json()
    mine = client.post("/v1/playground", json={"edges": [[0, 1], [1, 2], [2, 0], [2, 3]], "steps": 1, "node": 3, "triangles": True}).json()
    assert mine["colours"][0] == [0, 0, 0, 1] and mine["state"] == [[1.0, 0.0], [1.0, 1.0]]
    assert found["labels"] == ["C", "C", "O−"] and len(found["shade"]) == 3 and len(found["influence"]) == 3
    bad = [{}, {"smiles": "C", "graph": "star"}, {"smiles": "nonsense"}, {"graph": "star", "layer": "x"}, {"graph": "star", "node": 99}]
    bad += [{"graph": "star", "steps": 99}, {"smiles": "C" * 61}, {"edges": []}, {"edges": [[0, 0]]}, {"edges": [[0, 60]]}]
    bad += [{"edges": [[0, 1]], "graph": "star"}, {"edges": [[0]]}]
    assert [client.post("/v1/playground", json=one).status_code for one in bad] == [400] * len(bad)
    drawing = client.post("/v1/draw", json={"smiles": "c1ccccc1"}).json()
    assert drawing["svg"].startswith("<svg") and drawing["new_atoms"] == []
    assert client.post("/v1/draw", json={"smiles": "<script>"}).status_code == 400
    torch.manual_seed(1)
    before = torch.rand(1)
    torch.manual_seed(1)
    playground.network("gin", 1, 2)
    assert torch.rand(1) == before  # nobody else's random numbers change
