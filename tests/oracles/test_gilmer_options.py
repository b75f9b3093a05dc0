"""Gilmer et al. 2017: virtual edges, distance bins, towers and the master node against loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from heliograph import segment, zoo
from heliograph.blocks import GRU, MLP, Embed, Head, Mix, Pool, Towers, WithMaster
from heliograph.errors import UsageError
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import DistanceBins, VirtualEdges
from heliograph.zoo import ggnn
from tests.graphs import ATOMS, BONDS, awkward
from tests.oracles.agreement import Parameters, assert_agree
from tests.oracles.test_naive import affine, each, mlp, nodes_and_edges, precision, total


def gru(p: Parameters, name: str, m: Tensor, h: Tensor) -> Tensor:
    a, b = p[name + ".weight_ih"] @ m + p[name + ".bias_ih"], p[name + ".weight_hh"] @ h + p[name + ".bias_hh"]
    d = len(h)
    r, z = torch.sigmoid(a[:d] + b[:d]), torch.sigmoid(a[d : 2 * d] + b[d : 2 * d])
    return (1 - z) * torch.tanh(a[2 * d :] + r * b[2 * d :]) + z * h


def sent(A: Tensor, e: Tensor, h: Tensor) -> Tensor:
    """sum_k e_k A_k h."""
    return total([e[k] * (A[:, k].view(len(h), len(h)) @ h) for k in range(len(e))], len(h), h)


@pytest.mark.parametrize("dense_edges", [False, True])
@pytest.mark.parametrize("bins", [False, True])
def test_what_a_pair_without_an_edge_is(bins: bool, dense_edges: bool) -> None:
    batch = awkward()
    if dense_edges:
        batch = batch.with_edges(edge_attr=dense(batch.edges["edge_attr"]))
    view = DistanceBins() if bins else VirtualEdges()
    seen, used = view(batch), set()
    for graph, new in zip(batch.unbatch(), seen.unbatch(), strict=True):
        _, old, _ = nodes_and_edges(graph)
        _, edges, _ = nodes_and_edges(new)
        assert sorted(edges) == [(i, j) for i in range(graph.N) for j in range(graph.N) if i != j]
        pos = dense(graph.nodes["pos"])
        for (i, j), row in edges.items():
            r = float((pos[i] - pos[j]).norm())
            which = 0 if not bins or r <= 2 else 9 if r > 6 else 1 + int((r - 2) / 0.5)
            want = torch.zeros(BONDS + (10 if bins else 1), dtype=row.dtype)
            if (i, j) in old:
                want[:BONDS] = old[i, j]
            else:
                want[BONDS + which] = 1
                used.add(which)
            assert torch.equal(row, want)
    assert len(used) == 10 if bins else used == {0}


@precision
def test_towers(dtype: torch.dtype) -> None:
    k, d = 3, 4  # three towers of four channels
    torch.manual_seed(0)
    layer = Layer(Towers(ggnn.Message(BONDS, d) for _ in range(k)), Mix([GRU(d) for _ in range(k)], MLP(k * d, k * d, k * d)))
    net = MPNN(Embed(ATOMS, k * d), [layer] * 2, Pool(Head(k * d, 2), segment.sum)).to(dtype)

    def one(p: Parameters, graph: Graph) -> Tensor:
        x, e, neighbours = nodes_and_edges(graph)
        h = [affine(p, "embed.W", v) for v in x]
        for _ in range(2):
            new = []
            for i in range(graph.N):
                towers = []
                for t in range(k):
                    A, of = p[f"layers.0.message.messages.{t}.A.weight"], slice(t * d, (t + 1) * d)
                    m = total([sent(A, e[i, j], h[j][of]) for j in neighbours[i]], d, A)
                    towers.append(gru(p, f"layers.0.update.updates.{t}.cell", m, h[i][of]))
                new.append(mlp(p, "layers.0.update.g", torch.cat(towers)))
            h = new
        return mlp(p, "readout.head", total(h, k * d, p["embed.W.bias"]))

    assert_agree(net, awkward().to(dtype=dtype), each(one))


@pytest.mark.parametrize(("d", "towers"), [(64, 1), (64, 4)])
def test_messages_begin_small_beside_states(d: int, towers: int) -> None:
    net = zoo.build("gilmer", Inputs(ATOMS, BONDS, True), 1, {"d": d, "hidden": 9, "towers": towers})
    largest = max(float(p.detach().abs().max()) for name, p in net.named_parameters() if ".W2." in name)
    bound = 9**-0.5 * towers / d  # PyTorch's for 9 inputs, over d / k
    assert 0.9 * bound < largest <= bound


@pytest.mark.parametrize(("d", "towers"), [(64, 0), (10, 4)])
def test_towers_that_make_no_network(d: int, towers: int) -> None:
    with pytest.raises(UsageError, match=f"d = {d} can't be split into {towers} towers"):
        zoo.build("gilmer", Inputs(ATOMS, BONDS, True), 1, {"d": d, "towers": towers})


@pytest.mark.parametrize(
    ("positions", "gaussians", "what"), [(False, 5, "must have positions"), (True, 1, "at least two, not 1"), (True, -3, "not -3")]
)
def test_gaussians_that_make_no_network(positions: bool, gaussians: int, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        zoo.build("gilmer", Inputs(ATOMS, BONDS, positions), 1, {"gaussians": gaussians})


class FromMaster(nn.Module):
    """The sum of the nodes' states beside the master's."""

    def __init__(self, d: int):
        super().__init__()
        self.head = Head(d, 2)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        both = [segment.sum(dense(graph.nodes["h"]), graph.topology.nodes_by_graph), dense(graph.globals["master"])]
        return {"y": self.head(torch.cat(both, -1))}


@precision
def test_master_node(dtype: torch.dtype) -> None:
    d, d_master = 4, 6
    torch.manual_seed(0)
    layer = WithMaster(ggnn.Message(BONDS, d), GRU(d), d, d_master)
    net = MPNN(Embed(ATOMS, d), [layer] * 3, FromMaster(d + d_master)).to(dtype)

    def one(p: Parameters, graph: Graph) -> Tensor:
        x, e, neighbours = nodes_and_edges(graph)
        h = [affine(p, "embed.W", v) for v in x]
        A = p["layers.0.layer.message.A.weight"]
        z = A.new_zeros(d_master)
        for _ in range(3):
            new = []
            for i in range(graph.N):
                m = total([sent(A, e[i, j], h[j]) for j in neighbours[i]], d, A) + p["layers.0.R.weight"] @ z
                new.append(gru(p, "layers.0.layer.update.update.cell", m, h[i]))
            z = gru(p, "layers.0.cell", total([p["layers.0.W.weight"] @ v for v in h], d_master, A), z)
            h = new
        return mlp(p, "readout.head", torch.cat([total(h, d, A), z]))

    assert_agree(net, awkward().to(dtype=dtype), each(one))
