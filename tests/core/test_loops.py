"""The view of self-loops, edge by edge."""

from __future__ import annotations

import torch

from heliograph.graph import Graph, Indexed, dense
from heliograph.views import SelfLoops
from tests.graphs import awkward


def test_every_node_is_its_own_neighbour_once() -> None:
    graph = awkward()
    loops = torch.arange(0, graph.N, 3)
    t = graph.topology
    order = torch.cat([t.receivers, loops]).argsort(stable=True)  # graph after graph
    attribute = torch.cat([dense(graph.edges["edge_attr"]), torch.ones(len(loops), 4, dtype=torch.float64)])
    before = Graph.build(  # some loops are there already
        torch.cat([t.senders, loops])[order],
        torch.cat([t.receivers, loops])[order],
        t.n_node.tolist(),
        (t.n_edge + torch.bincount(t.nodes_by_graph.index[loops], minlength=t.G)).tolist(),
        nodes=graph.nodes,
        edges={"edge_attr": attribute[order]},
    )
    for start in (graph, before):
        seen = SelfLoops()(start)
        s = seen.topology
        assert bool((s.receivers.diff() >= 0).all()) and torch.equal(s.n_edge, t.n_edge + t.n_node) and torch.equal(s.n_node, t.n_node)
        attribute = dense(seen.edges["edge_attr"])
        loop = s.senders == s.receivers
        assert s.receivers[loop].tolist() == list(range(graph.N)) and not attribute[loop].any()
        for name, feature, mine in (("senders", t.senders, s.senders), ("receivers", t.receivers, s.receivers)):
            assert torch.equal(mine[~loop], feature), name
        assert torch.equal(attribute[~loop], dense(graph.edges["edge_attr"]))
        assert all(len(g.edges["edge_attr"]) == g.E for g in seen.unbatch())


def test_a_small_table_stays_small_and_a_periodic_image_is_no_loop() -> None:
    graph = awkward()
    attribute, seen = graph.edges["edge_attr"], SelfLoops()(graph).edges["edge_attr"]
    assert isinstance(attribute, Indexed) and isinstance(seen, Indexed) and len(seen.table) == len(attribute.table) + 1
    shift = torch.tensor([[0, 0, 1], [0, 0, -1], [0, 0, 0]])
    zeros = torch.zeros(3, dtype=torch.long)
    chain = SelfLoops()(Graph.build(zeros, zeros, [1], [3], edges={"d": torch.tensor([[1.0], [1.0], [9.0]])}, shift=shift))
    assert chain.topology.shift is not None and chain.topology.shift.tolist() == [[0, 0, 1], [0, 0, -1], [0, 0, 0]]
    assert dense(chain.edges["d"])[:, 0].tolist() == [1.0, 1.0, 0.0]
