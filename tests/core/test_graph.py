"""The data type: order, pairs, batching, conversions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data

from heliograph import segment
from heliograph.batching import batch
from heliograph.errors import DataError, HeliographError
from heliograph.graph import Graph, Indexed, dense
from heliograph.topology import Segments, Topology
from heliograph.views import CompleteGraph, RadiusGraph, line_graph
from tests.graphs import awkward, random_graph


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_edges_are_sorted_and_the_given_order_comes_back(rng: torch.Generator) -> None:
    senders, receivers = torch.tensor([2, 0, 1, 2, 0]), torch.tensor([1, 2, 0, 0, 1])
    graph = Graph.build(senders, receivers, [3], [5], edges={"w": torch.arange(5.0)})
    assert bool((graph.topology.receivers.diff() >= 0).all())
    assert torch.equal(graph.topology.given(graph.topology.senders), senders)
    assert torch.equal(graph.topology.given(dense(graph.edges["w"])), torch.arange(5.0))
    assert torch.equal(graph.topology.incoming.count, torch.tensor([2, 2, 1]))
    assert torch.equal(graph.topology.incoming.pointer, torch.tensor([0, 2, 4, 5]))


@pytest.mark.parametrize("periodic", [False, True])
def test_reverse_and_pairs_against_a_search(rng: torch.Generator, periodic: bool) -> None:
    N, E = 6, 60  # parallel edges, self-loops and one-way edges are in it
    senders, receivers = (torch.randint(N, (E,), generator=rng) for _ in range(2))
    shift = torch.randint(-1, 2, (E, 3), generator=rng) * torch.tensor([1, 0, 0]) if periodic else None
    t = Topology.build(senders, receivers, [N], [E], shift)
    image = t.shift.tolist() if t.shift is not None else [[0, 0, 0]] * E
    key = [(int(i), int(j), tuple(s)) for i, j, s in zip(t.receivers, t.senders, image, strict=True)]
    back = [(j, i, tuple(-x for x in s)) for i, j, s in key]
    matched = 0
    for k in range(E):
        r = int(t.reverse[k])
        if r >= 0:
            matched += 1
            assert key[r] == back[k] and int(t.reverse[r]) == k
            assert int(t.pairs.index[k]) == int(t.pairs.index[r])
            assert r == k or int(t.pairs.sign[k]) == -int(t.pairs.sign[r])
        else:  # the reverse is missing, or taken by a parallel edge
            assert back.count(back[k]) > key.count(back[k])
    assert matched > 10
    assert len(set(t.pairs.index.tolist())) == t.pairs.P


def test_awkward_batches_come_apart_as_they_were(rng: torch.Generator) -> None:
    whole = awkward()
    again = batch(whole.unbatch())
    assert whole.G == again.G == 7 and whole.N == again.N and whole.E == again.E
    assert torch.equal(whole.topology.senders, again.topology.senders)
    for side in ("nodes", "edges"):
        for name, feature in getattr(whole, side).items():
            assert torch.equal(dense(feature), dense(getattr(again, side)[name]))


def test_tables_merge_when_they_differ() -> None:
    one = Graph.build(torch.tensor([0]), torch.tensor([1]), [2], [1], nodes={"x": Indexed(torch.tensor([[1.0]]), torch.tensor([0, 0]))})
    two = Graph.build(
        torch.tensor([1]), torch.tensor([0]), [2], [1], nodes={"x": Indexed(torch.tensor([[2.0], [3.0]]), torch.tensor([1, 0]))}
    )
    assert dense(batch([one, two]).nodes["x"]).squeeze(1).tolist() == [1, 1, 3, 2]


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(DataError, match=r"senders\[1\] = 5 lies outside graph 0, whose nodes are 0 to 2"):
        Graph.build(torch.tensor([0, 5]), torch.tensor([1, 1]), [3], [2])
    with pytest.raises(DataError, match=r"no node feature 'poss': did you mean 'pos'"):
        awkward().nodes["poss"]
    with pytest.raises(DataError, match=r"has 2 rows; this graph has 3 nodes"):
        Graph.build(torch.tensor([0]), torch.tensor([1]), [3], [1], nodes={"x": torch.zeros(2, 1)})
    with pytest.raises(AttributeError, match="immutable"):
        awkward().nodes = {}  # type: ignore[assignment]


def test_pyg_round_trip_keeps_the_given_order(rng: torch.Generator) -> None:
    def data(n: int, e: int) -> Data:
        return Data(
            x=torch.randn(n, 3, generator=rng),
            edge_index=torch.randint(n, (2, e), generator=rng),
            edge_attr=torch.randn(e, 2, generator=rng),
            y=torch.randn(1, generator=rng),
        )

    one = data(5, 9)
    back = Graph.from_pyg(one).to_pyg()
    assert torch.equal(back.edge_index, one.edge_index) and torch.equal(back.edge_attr, one.edge_attr) and torch.equal(back.x, one.x)
    many = Batch.from_data_list([data(5, 9), data(2, 3), data(1, 1)])
    graph = Graph.from_pyg(many)
    assert graph.G == 3 and graph.topology.n_node.tolist() == [5, 2, 1]
    assert torch.equal(graph.to_pyg().edge_index, many.edge_index) and torch.equal(graph.to_pyg().batch, many.batch)
    assert dense(graph.globals["y"]).shape == (3,)


def test_networkx_and_line_graph(rng: torch.Generator) -> None:
    directed = nx.gnp_random_graph(8, 0.4, seed=2, directed=True)
    graph = Graph.from_networkx(directed)
    line = line_graph(graph)
    ends = list(zip(graph.topology.senders.tolist(), graph.topology.receivers.tolist(), strict=True))
    mine = {(ends[a], ends[b]) for a, b in zip(line.topology.senders.tolist(), line.topology.receivers.tolist(), strict=True)}
    theirs = {(a, b) for a, b in nx.line_graph(directed).edges if a[0] != b[1]}
    assert mine == theirs and directed.number_of_edges() == line.N


def test_complete_and_radius_graphs(rng: torch.Generator) -> None:
    graph = awkward()
    complete = CompleteGraph()(graph)
    n = graph.topology.n_node
    assert torch.equal(complete.topology.n_edge, n * (n - 1))
    fresh = Topology(complete.topology.senders, complete.topology.receivers, n, complete.topology.n_edge, N=graph.N)
    assert torch.equal(fresh.reverse, complete.topology.reverse)  # the shortcut against the search
    was = {
        (int(i), int(j)): a
        for i, j, a in zip(graph.topology.receivers, graph.topology.senders, dense(graph.edges["edge_attr"]), strict=True)
    }
    zero = torch.zeros(4, dtype=torch.float64)
    for i, j, a in zip(complete.topology.receivers, complete.topology.senders, dense(complete.edges["edge_attr"]), strict=True):
        assert torch.equal(a, was.get((int(i), int(j)), zero))
    near = RadiusGraph(2.5)(graph)
    pos, t = dense(graph.nodes["pos"]), near.topology
    apart = (pos[t.receivers] - pos[t.senders]).norm(dim=-1)
    assert torch.allclose(dense(near.edges["distance"]).squeeze(-1), apart) and float(apart.max()) < 2.5
    every = torch.cdist(pos, pos) < 2.5
    same = t.nodes_by_graph.index[:, None] == t.nodes_by_graph.index[None, :]
    assert int((every & same).sum()) - graph.N == t.E


def test_pairs_of_a_molecule_have_one_row_each(rng: torch.Generator) -> None:
    graph = random_graph(9, 0.5, rng)
    assert graph.topology.pairs.P * 2 == graph.E and graph.topology.symmetric


def test_a_table_is_used_like_a_tensor() -> None:
    table = torch.randn(3, 4, requires_grad=True)
    x = Indexed(table, torch.tensor([0, 2, 2, 1, 0]))
    y, linear, two = dense(x), torch.nn.Linear(4, 2), Segments(torch.tensor([0, 0, 1, 1, 1]), 2)
    uses: list[Callable[[Any], Any]] = [
        lambda x: x + 1,
        lambda x: 1 - x * x,
        lambda x: -x / (1 + x**2),
        lambda x: x @ linear.weight.T,
        lambda x: y @ x.T,
        lambda x: x[1:, :2],
        lambda x: x.unflatten(-1, (2, 2)).mean(0),
        lambda x: torch.cat([x, y, x], -1).relu(),
        lambda x: torch.where(x > 0, x, 0.0),
        lambda x: linear(x),
        lambda x: segment.sum(x, two),
        lambda x: segment.softmax(x, two),
        lambda x: x.new_zeros(2),
    ]
    for use in uses:
        assert torch.equal(use(x), use(y))
    assert x.shape == y.shape and x.size(-1) == 4 and x.dim() == x.ndim == 2 and len(x) == 5 and x.dtype == y.dtype and x.requires_grad
    assert repr(x) == "Indexed(shape=(5, 4), 3 distinct rows at most)"
    assert torch.equal(copy.deepcopy(Indexed(table.detach(), x.index)), y)
    with pytest.raises(AttributeError):
        x.no_such_thing  # noqa: B018
    assert torch.equal(torch.zeros(5, 4).add_(x), y) and torch.equal(x == x, y == y) and torch.equal(abs(x), abs(y))
    with pytest.raises(HeliographError, match=r"in-place relu_ on a lazy tensor, or a feature that is held as a table"):
        x.relu_()
    with pytest.raises(HeliographError, match=r"can't be set"):
        x[0] = 1
