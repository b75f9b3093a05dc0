"""Estimators of one graph, from every form in which a graph comes."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from heliograph import LinkPredictor, NodeClassifier, NodeRegressor
from heliograph.errors import DataError
from heliograph.onegraph.convert import tables_of

nx = pytest.importorskip("networkx")
FAST = {"arch": "gcn", "arch_args": {"d": 16, "dropout": 0.0}, "epochs": 60}


def blocks(n: int = 60) -> tuple[object, np.ndarray]:
    graph = nx.planted_partition_graph(3, n // 3, 0.4, 0.02, seed=1)
    y = np.repeat([0, 1, 2], n // 3)
    random = np.random.default_rng(0)
    for k in graph.nodes:
        del graph.nodes[k]["block"]
        graph.nodes[k]["f"] = float(y[k] + random.normal())
        graph.nodes[k]["kind"] = str(random.choice(["a", "b"]))
    return graph, y


@pytest.mark.parametrize("kind", [NodeClassifier, NodeRegressor, LinkPredictor])
def test_init_stores_arguments_and_nothing_else(kind: type) -> None:
    given = {name: object() for name in inspect.signature(kind).parameters}
    assert vars(kind(**given)) == given
    made = kind(epochs=7)
    assert clone(made).get_params() == made.get_params()
    with pytest.raises(NotFittedError, match="call fit"):
        made.predict([(0, 1)])


def test_classes_and_numbers_of_nodes_with_gaps() -> None:
    graph, y = blocks()
    names = np.array(["red", "green", "blue"])[y].astype(object)
    hidden = np.arange(60) % 2 == 1
    names[hidden] = None
    model = NodeClassifier(**FAST)
    assert model.fit(graph, names) is model
    assert model.classes_.tolist() == ["blue", "green", "red"]
    p = model.predict_proba(graph)
    assert p.shape == (60, 3) and np.allclose(p.sum(1), 1)
    right = np.array(["red", "green", "blue"])[y]
    assert (model.predict(graph) == right)[hidden].mean() > 0.7
    assert np.array_equal(clone(model).fit(graph, names).predict_proba(graph), p)
    values = np.where(hidden, np.nan, y.astype(float))
    assert np.corrcoef(NodeRegressor(**FAST).fit(graph, values).predict(graph)[hidden], y[hidden])[0, 1] > 0.6


def test_every_form_of_a_graph_gives_the_same_tables() -> None:
    graph, _ = blocks()
    A = nx.to_scipy_sparse_array(graph)
    x = np.array([[graph.nodes[k]["f"]] for k in graph.nodes], np.float32)
    _, edges, directed = tables_of((A, x))
    assert not directed and len(edges) == 2 * graph.number_of_edges()
    torch_geometric = pytest.importorskip("torch_geometric.data")
    import torch

    from heliograph.graph import Graph

    data = torch_geometric.Data(x=torch.from_numpy(x), edge_index=torch.from_numpy(np.stack(A.nonzero())).long())
    for other in (data, Graph.from_pyg(data)):
        nodes, more, directed = tables_of(other)
        assert nodes is not None and not directed and len(nodes) == 60
        pairs = sorted(zip(more["source"].to_pylist(), more["target"].to_pylist(), strict=True))
        assert pairs == sorted(zip(edges["source"].to_pylist(), edges["target"].to_pylist(), strict=True))
    assert tables_of(nx.DiGraph([(0, 1)]))[2]
    with pytest.raises(DataError, match="a graph is a networkx graph"):
        tables_of("nodes.csv")


def test_links_of_a_graph() -> None:
    graph, y = blocks()
    model = LinkPredictor(**FAST).fit(graph)
    random = np.random.default_rng(1)
    pairs = [(a, b) for a, b in random.integers(0, 60, (400, 2)).tolist() if a != b and not graph.has_edge(a, b)]
    p = model.predict_proba(pairs)
    same = np.array([y[a] == y[b] for a, b in pairs])
    assert p[same].mean() > p[~same].mean() + 0.1 and set(model.predict(pairs).tolist()) <= {0, 1}
    with pytest.raises(DataError, match="no node called"):
        model.predict_proba([(0, "x")])


def test_embedded_states_are_what_the_answers_are_read_from() -> None:
    import torch

    graph, y = blocks()
    model = NodeClassifier(**FAST | {"epochs": 3}).fit(graph, y)
    h = model.embed(graph)
    assert h.shape == (60, 16) and h.dtype == np.float32
    with torch.no_grad():
        p = model.predictor_.models[0].readout.head(torch.from_numpy(h)).softmax(1).numpy()
    assert np.allclose(p, model.predict_proba(graph), atol=1e-6)
