"""Graphs of PyTorch Geometric and NetworkX as people make them: levels from the batch, any numbers, errors that name the culprit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heliograph.errors import DataError
from heliograph.graph import Graph

pyg = pytest.importorskip("torch_geometric.data")
networkx = pytest.importorskip("networkx")
PAIR = torch.tensor([[0, 1], [1, 0]])
NONE = torch.zeros(2, 0, dtype=torch.long)


def atom(y: float) -> object:
    return pyg.Data(x=torch.ones(1, 3), edge_index=NONE, y=torch.tensor([y]), energy=torch.tensor([[y]]))


def test_labels_of_single_atoms_are_of_graphs() -> None:
    graph = Graph.from_pyg(pyg.Batch.from_data_list([atom(1.0), atom(2.0)]))
    assert graph.globals["y"].tolist() == [1.0, 2.0] and "y" not in graph.nodes
    alone = Graph.from_pyg(atom(3.0))
    assert alone.globals["y"].tolist() == [3.0] and set(alone.nodes) >= {"x"}


def test_levels_come_from_the_slices_of_a_batch() -> None:
    """Three graphs, three nodes in all, three edges: lengths say nothing."""
    loop = torch.tensor([[0], [0]])
    one = [pyg.Data(x=torch.ones(1, 2), edge_index=loop, edge_attr=torch.ones(1, 4), y=torch.tensor([float(k)])) for k in range(3)]
    graph = Graph.from_pyg(pyg.Batch.from_data_list(one))
    assert graph.G == 3 and graph.globals["y"].tolist() == [0.0, 1.0, 2.0]
    values = {"x": torch.ones(2, 2), "edge_attr": torch.ones(2, 4), "y": torch.tensor([1.0]), "g": torch.ones(1, 2), "z": torch.arange(2)}
    two = [pyg.Data(edge_index=PAIR, **values) for _ in range(2)]
    graph = Graph.from_pyg(pyg.Batch.from_data_list(two))
    assert set(graph.nodes) == {"x", "z"} and set(graph.edges) == {"edge_attr"} and set(graph.globals) == {"y", "g"}
    assert tuple(graph.globals["g"].shape) == (2, 2)


def test_numbers_arrays_and_texts() -> None:
    data = pyg.Data(x=np.ones((2, 3)), edge_index=PAIR, y=1.5, n=3, name="ethanol", big=np.array([2**40 + 1, 2**40 + 2]), flag=True)
    data.num_nodes = 2
    graph = Graph.from_pyg(data)
    assert graph.globals["y"].tolist() == [1.5] and graph.globals["n"].tolist() == [3] and graph.globals["flag"].tolist() == [True]
    assert "name" not in {*graph.nodes, *graph.edges, *graph.globals}
    everything = {**graph.nodes, **graph.globals}
    assert everything["big"].reshape(-1).tolist() == [2**40 + 1, 2**40 + 2]
    batch = pyg.Batch.from_data_list([pyg.Data(x=torch.ones(1, 1), edge_index=NONE, y=1.0, smiles="C") for _ in range(2)])
    assert Graph.from_pyg(batch).globals["y"].tolist() == [1.0, 1.0]


def test_what_is_no_graph_says_so() -> None:
    hetero = pyg.HeteroData()
    hetero["a"].x = torch.ones(2, 1)
    x = torch.ones(2, 1)
    cases = [
        (hetero, "HeteroData has several types of nodes"),
        (pyg.Data(x=x), "needs edge_index and num_nodes"),
        (pyg.Data(x=x, edge_index=torch.tensor([[0, 5], [1, 0]])), "edge_index has nodes 0 to 5, but there are 2 nodes"),
        (pyg.Data(x=x, edge_index=PAIR.float()), "edge_index must be whole numbers"),
        (pyg.Data(x=x, edge_index=torch.zeros(3, 2, dtype=torch.long)), "of shape \\[2, E\\]"),
        (pyg.Data(x=x, edge_index=PAIR, odd={"a": 1}), "attribute 'odd' is no feature: dict"),
        (pyg.Data(x=x, edge_index=PAIR, odd=[1.0, "b", None]), "attribute 'odd' is no feature: list"),
        (pyg.Data(x=x, edge_index=PAIR, batch=torch.tensor([0])), "batch must be the graph of each of the 2 nodes"),
        (pyg.Data(x=x, edge_index=PAIR, batch=torch.tensor([0, 1])), "an edge joins nodes of two graphs"),
    ]
    for data, message in cases:
        with pytest.raises(DataError, match=message):
            Graph.from_pyg(data)


def test_a_batch_made_by_hand() -> None:
    edges = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
    data = pyg.Data(x=torch.ones(4, 2), edge_index=edges, batch=torch.tensor([0, 0, 1, 1]), y=torch.tensor([1.0, 2.0]))
    graph = Graph.from_pyg(data)
    assert graph.G == 2 and graph.globals["y"].tolist() == [1.0, 2.0] and graph.topology.n_edge.tolist() == [2, 2]


def test_networkx_attributes() -> None:
    graph = networkx.Graph()
    graph.add_node("a", w=1, v=np.array([1.0, 2.0]), ident=2**40 + 1, name="A", t=torch.tensor(2.0))
    graph.add_node("b", w=2.5, v=[3.0, 4.0], ident=2**40 + 2, name="B", t=1)
    graph.add_edge("a", "b", order=2, kind="x")
    found = Graph.from_networkx(graph, node_features=("w", "v", "ident", "t"), edge_features=("order",))
    assert found.nodes["w"].tolist() == [1.0, 2.5] and tuple(found.nodes["v"].shape) == (2, 2) and found.nodes["t"].tolist() == [2.0, 1.0]
    assert found.nodes["ident"].tolist() == [2**40 + 1, 2**40 + 2] and found.edges["order"].tolist() == [2.0, 2.0]
    for options, message in [
        ({"node_features": ("name",)}, "node 'a': attribute 'name' is 'A' \\(str\\); features are numbers"),
        ({"node_features": ("nothing",)}, "node 'a' has no attribute 'nothing': it has w, v, ident, name, t"),
        ({"edge_features": ("kind",)}, "edge 'a' to 'b': attribute 'kind' is 'x'"),
    ]:
        with pytest.raises(DataError, match=message):
            Graph.from_networkx(graph, **options)  # type: ignore[arg-type]
    graph.nodes["b"]["v"] = [1.0]
    with pytest.raises(DataError, match=r"node 'b': attribute 'v' has shape \(1,\), others have \(2,\)"):
        Graph.from_networkx(graph, node_features=("v",))
