"""Hypergraphs: their tables, their graph, and architectures against formulas on dense incidence matrices."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from heliograph import zoo
from heliograph.blocks import Neighbour, Received
from heliograph.data.hypergraph import read
from heliograph.errors import DataError
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph, Incidence, MasterNode, OnView, incidence
from tests.graphs import DTYPE, awkward, random_graph

SETS = [(0, 1, 2), (2, 3), (3,), (0, 2, 4, 5), (1, 5)]  # node 6 is in none


def hyper() -> tuple[Graph, Tensor]:
    """The graph of seven nodes and five hyperedges, and its incidence matrix [7, 5]."""
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    bare = Graph.build(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), [7], [0], nodes={"x": x})
    cell, vertex = (torch.tensor(v) for v in zip(*((k, v) for k, s in enumerate(SETS) for v in s), strict=True))
    H = torch.zeros(7, 5, dtype=DTYPE)
    H[vertex, cell] = 1
    return incidence(bare, cell, vertex, torch.zeros(5, dtype=torch.long)), H


def network(arch: str, **args: object) -> MPNN:
    torch.manual_seed(1)
    return zoo.build(arch, Inputs(3, 0), 2, {"d": 4, **args}).to(DTYPE).eval()


def inverse(x: Tensor, power: float) -> Tensor:
    return torch.where(x > 0, x.clamp(min=1e-12) ** power, 0)


def test_hgnn_is_the_papers_formula() -> None:
    graph, H = hyper()
    net = network("hgnn", depth=2)
    h = dense(graph.nodes["x"])[:7]
    h = net.embed(Graph(graph.topology, {"x": dense(graph.nodes["x"])})).nodes["h"][:7]  # type: ignore[index]
    dv, de = inverse(H.sum(1), -0.5), inverse(H.sum(0), -1.0)
    S = dv[:, None] * H * de @ H.T * dv
    for layer in net.layers[0].layers[2::2]:  # type: ignore[index, union-attr]
        h = layer.update.update.W(S @ h).relu()
    assert torch.allclose(dense(net.states(graph).nodes["h"])[:7], h, atol=1e-12)


def test_unigcnii_is_the_papers_formula() -> None:
    graph, H = hyper()
    net = network("unigcnii", depth=3)
    h = start = dense(net.embed(graph).nodes["h"])[:7]
    dv = H.sum(1)
    de = (H.T @ dv) / H.sum(0)
    P = inverse(dv, -0.5)[:, None] * H * inverse(de, -0.5) @ (H / H.sum(0)).T
    for k, layer in enumerate(net.layers[0].layers[2::2], 1):  # type: ignore[index, union-attr]
        beta = log(0.5 / k + 1)
        u = 0.9 * P @ h + 0.1 * start
        h = ((1 - beta) * u + beta * layer.update.update.W(u)).relu()
    assert torch.allclose(dense(net.states(graph).nodes["h"])[:7], h, atol=1e-12)


def test_allset_is_attention_over_each_set() -> None:
    graph, H = hyper()
    net = network("allset", depth=1, heads=2)
    v = dense(net.embed(graph).nodes["h"])[:7]

    def multiset(layer: nn.Module, rows: Tensor, members: Tensor) -> Tensor:
        values, score = layer.message.V(rows), layer.message.K(rows)  # type: ignore[operator, union-attr]
        found = []
        for column in members.T:
            inside = column > 0
            heads = [score[inside, k].softmax(0) @ values[inside, 2 * k : 2 * k + 2] for k in range(2)]
            f = layer.update.update  # type: ignore[union-attr]
            Y = f.first(f.theta + torch.cat(heads))  # type: ignore[operator, union-attr]
            found.append(f.second(Y + f.mlp(Y).relu()).relu())  # type: ignore[operator, union-attr]
        return torch.stack(found)

    up, down = net.layers[0].layers  # type: ignore[union-attr, misc]
    wanted = multiset(down, multiset(up, v, H), H.T)
    assert torch.allclose(dense(net.states(graph).nodes["h"])[:7], wanted, atol=1e-12)


def test_incidence_has_sizes_degrees_and_no_doubles() -> None:
    graph, H = hyper()
    assert dense(graph.nodes["rank"]).tolist() == [0] * 7 + [1] * 5
    assert dense(graph.nodes["size"])[7:, 0].tolist() == [3, 2, 1, 4, 2]
    assert dense(graph.nodes["degree"])[:7, 0].tolist() == H.sum(1).tolist()
    twice = incidence(Graph.build(*(torch.zeros(0, dtype=torch.long),) * 2, [2], [0]), torch.tensor([0, 0, 0]), torch.tensor([1, 1, 0]),
                      torch.zeros(1, dtype=torch.long))  # fmt: skip
    assert twice.E == 4
    batchwise = Incidence()(awkward())
    assert Incidence()(batchwise) is batchwise
    assert batchwise.N == 2 * awkward().N
    assert (batchwise.topology.nodes_by_graph.index[dense(batchwise.nodes["rank"]) == 0] == awkward().topology.nodes_by_graph.index).all()


def test_a_layer_on_a_view_of_its_own() -> None:
    """A fully adjacent last layer hears everybody, and the graph stays as it was."""
    graph = random_graph(7, 0.3, torch.Generator().manual_seed(2)).with_nodes(h=torch.eye(7, dtype=DTYPE))
    layer = OnView(Layer(Neighbour(), Received()), CompleteGraph())
    done = layer(graph)
    assert torch.equal(dense(done.nodes["h"]), 1 - torch.eye(7, dtype=DTYPE))
    assert done.topology is graph.topology
    batch = awkward().with_nodes(h=torch.arange(float(awkward().N))[:, None])
    back = OnView(nn.Identity(), Incidence())(batch)  # a view of more nodes: those of the graph come back in order
    assert torch.equal(dense(back.nodes["h"]), dense(batch.nodes["h"]))
    with pytest.raises(DataError, match="no `rank` tells which"):
        OnView(nn.Identity(), MasterNode())(graph)


def test_tables(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("edge,member\np1,a\np1,b\np1,b\np2,c\np3,zoe\n,a\np4,a\n")
    (tmp_path / "n.csv").write_text("id,x,y,area\na,1,2,u\nb,3,,u\nc,5,6,v\nd,7,8,v\n")
    (tmp_path / "e.csv").write_text("id,year\np1,1999\np2,2000\np3,2001\np5,2002\n")
    found = read(tmp_path / "m.csv", tmp_path / "n.csv", tmp_path / "e.csv")
    assert (found.N, found.H, found.node_ids, found.edge_ids) == (4, 4, ("a", "b", "c", "d"), ("p1", "p2", "p3", "p5"))
    assert found.edge.tolist() == [0, 0, 1] and found.member.tolist() == [0, 1, 2]
    assert np.array_equal(found.x, [[1, 2], [3, np.nan], [5, 6], [7, 8]], equal_nan=True)
    assert found.edge_x.ravel().tolist() == [1999, 2000, 2001, 2002]
    notes = " ".join(found.notes)
    for words in ("1 rows have no edge", "1 rows name a node that is not in", "'zoe'", "named twice", "1 hyperedges have one member",
                  "2 hyperedges have no members", "1 rows name a hyperedge"):  # fmt: skip
        assert words in notes
    bare = read(tmp_path / "m.csv")
    assert (bare.N, bare.H) == (4, 4)
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "none.csv")
    (tmp_path / "one.csv").write_text("edge\np1\n")
    with pytest.raises(DataError, match="has two"):
        read(tmp_path / "one.csv")
    (tmp_path / "d.csv").write_text("id\na\na\n")
    with pytest.raises(DataError, match="more than once"):
        read(tmp_path / "m.csv", tmp_path / "d.csv")
