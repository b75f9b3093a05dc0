"""Views that add nodes, and the mark on what was an edge."""

from __future__ import annotations

import pytest
import torch

from heliograph.graph import Graph, dense
from heliograph.views import CompleteGraph, MasterNode, without_master
from tests.graphs import awkward


def test_a_complete_graph_says_which_pairs_were_edges() -> None:
    graph = awkward()
    t = graph.topology
    ends = set(zip(t.senders.tolist(), t.receivers.tolist(), strict=True))
    for self_pairs in (False, True):
        seen = CompleteGraph(self_pairs)(graph)
        pairs = list(zip(seen.topology.senders.tolist(), seen.topology.receivers.tolist(), strict=True))
        assert dense(seen.edges["real"])[:, 0].tolist() == [float(pair in ends) for pair in pairs]
        assert torch.equal(seen.topology.n_edge, t.n_node * (t.n_node - int(not self_pairs)))


def test_a_master_node_is_joined_to_all_of_its_graph() -> None:
    graph = awkward()
    seen = MasterNode()(graph)
    assert seen.topology.n_node.tolist() == [n + 1 for n in graph.topology.n_node.tolist()]
    for old, new in zip(graph.unbatch(), seen.unbatch(), strict=True):
        t, n = new.topology, old.N
        ends = list(zip(t.senders.tolist(), t.receivers.tolist(), strict=True))
        assert len(dense(new.nodes["x"])) == n + 1 and bool((t.receivers.diff() >= 0).all())
        were = dict(zip(zip(*(x.tolist() for x in (old.topology.senders, old.topology.receivers)), strict=True), range(old.E), strict=True))
        assert sorted(ends) == sorted([*were, *((k, n) for k in range(n)), *((n, k) for k in range(n)), (n, n)])
        assert dense(new.nodes["master"])[:, 0].tolist() == [0.0] * n + [1.0] and not dense(new.nodes["x"])[n].any()
        assert torch.equal(dense(new.nodes["x"])[:n], dense(old.nodes["x"]))
        for k, (j, i) in enumerate(ends):
            attribute = dense(new.edges["edge_attr"])[k]
            assert float(dense(new.edges["master"])[k]) == (n in (i, j))
            assert not attribute.any() if n in (i, j) else torch.equal(attribute, dense(old.edges["edge_attr"])[were[j, i]])


def test_taking_the_master_node_away_gives_the_graph_back() -> None:
    graph = awkward()
    there = MasterNode()(graph)
    number = torch.arange(there.N)
    back = without_master(there.with_nodes(number=number))
    for name in ("senders", "receivers", "n_node", "n_edge"):
        assert torch.equal(getattr(back.topology, name), getattr(graph.topology, name))
    assert back.N == graph.N and "master" not in back.nodes and "master" not in back.edges
    assert all(torch.equal(dense(back.nodes[k]), dense(v)) for k, v in graph.nodes.items())
    assert all(torch.equal(dense(back.edges[k]), dense(v)) for k, v in graph.edges.items())
    last = there.topology.n_node.cumsum(0) - 1
    assert torch.equal(dense(back.globals["number"]), last)


@pytest.mark.parametrize("arch", ["gps", "graphormer", "san"])
def test_views_of_all_pairs_refuse_large_graphs_and_name_the_alternative(arch: str) -> None:
    from heliograph import zoo
    from heliograph.errors import DataError
    from heliograph.model import Inputs

    n = 10_000
    ends = torch.arange(n)
    nodes = {"x": torch.zeros(n, 2), "z": torch.ones(n, dtype=torch.long)}
    graph = Graph.build(ends, ends.roll(1), [n], [n], nodes=nodes, edges={"edge_attr": torch.zeros(n, 1)})
    with pytest.raises(DataError, match=r"all pairs of 10,000 nodes .* sampled"):
        zoo.build(arch, Inputs(2, 1), 1, level="node")(graph)
