"""Messages along and against each edge."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heliograph import Graph, zoo
from heliograph.algebra import use as algebra
from heliograph.blocks import BothWays
from heliograph.data.graph_store import GraphStore
from heliograph.errors import DataError
from heliograph.graph import dense
from heliograph.layer import Layer
from heliograph.model import Inputs
from heliograph.views import WithReverse
from heliograph.zoo import ggnn


def random(n: int = 7, m: int = 15, seed: int = 0) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randint(0, n, (2, m), generator=generator)
    attr, x = (torch.randn(k, 3, generator=generator, dtype=torch.double) for k in (m, n))
    return Graph.build(a, b, [n], [m], nodes={"x": x, "h": x}, edges={"edge_attr": attr})


class Keep(torch.nn.Module):
    def forward(self, nodes: object, messages: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"m": dense(messages["m"])}


@pytest.mark.parametrize("lazy", [True, False])
def test_the_two_sums_are_those_of_a_loop_over_edges(lazy: bool) -> None:
    torch.manual_seed(1)
    graph = random()
    M_in, M_out = ggnn.Message(3, 3).double(), ggnn.Message(3, 3).double()
    with algebra(lazy):
        found = dense(Layer(BothWays(M_in, M_out), Keep())(WithReverse()(graph)).nodes["m"])
    wanted, t = torch.zeros(graph.N, 6, dtype=torch.double), graph.topology
    for j, i, e in zip(t.senders.tolist(), t.receivers.tolist(), dense(graph.edges["edge_attr"]), strict=True):
        wanted[i, :3] += M_in.A(e).view(3, 3) @ dense(graph.nodes["h"])[j]
        wanted[j, 3:] += M_out.A(e).view(3, 3) @ dense(graph.nodes["h"])[i]
    assert torch.allclose(found, wanted, atol=1e-12)


def path(n: int, reverse: bool = False) -> Graph:
    """Node k sends to k + 1, or hears it; node 0 is marked."""
    k, x = torch.arange(n - 1), torch.zeros(n, 1)
    x[0] = 1.0
    ends = (k + 1, k) if reverse else (k, k + 1)
    return Graph.build(*ends, [n], [n - 1], nodes={"x": x}, edges={"edge_attr": torch.ones(n - 1, 1)})


def test_a_path_and_its_reverse_differ_and_the_first_node_hears_the_others() -> None:
    torch.manual_seed(0)
    for both in (True, False):
        network = zoo.build("ggnn", Inputs(1, 1), 3, {"d": 6, "both_ways": both}, level="node")
        with torch.no_grad():
            forth, back, short = (network(g)["y"] for g in (path(5), path(5, reverse=True), path(2)))
        assert not torch.allclose(forth, back, atol=1e-4)
        assert torch.allclose(forth[0], short[0], atol=1e-6) != both  # along edges alone nobody tells it anything


def test_relations_with_inverses_need_no_view_and_parts_of_graphs_are_refused() -> None:
    ends = np.array([[0, 1], [1, 2]])
    store = GraphStore.build(ends, 3, directed=True, relation=np.zeros(2, int), relations=1, x=np.zeros((3, 2), np.float32))
    graph = store.graph()
    assert WithReverse()(graph) is graph and dense(graph.edges["inverse"]).sum() == 2
    block = Graph.build(torch.tensor([1]), torch.tensor([0]), [2], [1], nodes={"x": torch.zeros(2, 1)}, R=1)
    with pytest.raises(DataError, match="against their direction"):
        WithReverse()(block)
    empty = Graph.build(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), [2], [0], nodes={"x": torch.zeros(2, 1)})
    assert WithReverse()(empty).E == 0
