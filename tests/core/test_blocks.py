"""Parts of `blocks` against loops."""

from __future__ import annotations

from math import exp

import pytest
import torch

from heliograph import segment, zoo
from heliograph.algebra import use as algebra
from heliograph.blocks import (
    AtomWise,
    Attention,
    Gated,
    Gaussians,
    Head,
    PerType,
    Pool,
    Residual,
    SumMaxLSTM,
    apply_matrix,
)
from heliograph.edge import Edge, EdgeTensor
from heliograph.errors import UsageError
from heliograph.graph import Graph, Indexed, dense
from heliograph.model import MPNN, Inputs
from heliograph.topology import Segments
from tests.graphs import ATOMS, BONDS, DTYPE, awkward, permuted, random_graph


def with_matrices() -> Graph:
    """A table of four 3 x 2 matrices on the edges, vectors of two on the nodes."""
    rng = torch.Generator().manual_seed(1)
    graph = awkward()
    table = torch.randn(4, 6, generator=rng, dtype=DTYPE)
    h = torch.randn(graph.N, 2, generator=rng, dtype=DTYPE)
    return graph.with_nodes(h=h).with_edges(A=Indexed(table, torch.randint(4, (graph.E,), generator=rng)))


def test_a_matrix_per_edge() -> None:
    graph = with_matrices()
    A, h = dense(graph.edges["A"]), dense(graph.nodes["h"])
    want = torch.stack([A[k].view(3, 2) @ h[graph.topology.senders[k]] for k in range(graph.E)])
    e = Edge(graph)
    lazy = apply_matrix(e.e["A"], e.j["h"])
    assert isinstance(lazy, EdgeTensor) and torch.allclose(lazy.dense(), want)
    with algebra(False):
        assert torch.allclose(apply_matrix(e.e["A"], e.j["h"]), want)


def test_gaussians_stand_where_they_should() -> None:
    basis = Gaussians(56, 10.0, start=-1.0).to(DTYPE)  # 0.2 apart
    value = basis(torch.tensor([[1.2]], dtype=DTYPE))[0]  # the twelfth
    assert int(value.argmax()) == 11 and abs(float(value[11]) - 1) < 1e-9
    assert abs(float(value[10]) - exp(-0.5)) < 1e-5 and abs(float(value[13]) - exp(-2.0)) < 1e-5


def test_gated_sum() -> None:
    torch.manual_seed(0)
    gated, x = Gated(3, 2).to(DTYPE), torch.randn(5, 3, dtype=DTYPE)
    y = gated(x, Segments(torch.tensor([0, 0, 2, 2, 2]), 4))
    for g, rows in enumerate(([0, 1], [], [2, 3, 4], [])):
        total = torch.zeros(2, dtype=DTYPE)
        for k in rows:
            total = total + torch.sigmoid(gated.W(x[k])) * torch.tanh(gated.V(x[k]))
        assert torch.allclose(y[g], torch.tanh(total))


@pytest.mark.parametrize("aggregate", [segment.sum, segment.max], ids=["sum", "max"])
def test_a_row_per_type(aggregate: segment.Aggregate) -> None:
    graph, types = with_matrices(), [6, 1, 4]
    h, z = dense(graph.nodes["h"]), dense(graph.nodes["z"])
    assert set(types) <= set(z.tolist()) and set(z.tolist()) - set(types)
    y = PerType(torch.nn.Identity(), types, aggregate)(graph)["y"]
    assert y.shape == (graph.G, 8)
    for g in range(graph.G):
        for k in range(4):
            of_graph = graph.topology.nodes_by_graph.index
            rows = [h[i] for i in range(graph.N) if of_graph[i] == g and [*types, int(z[i])].index(int(z[i])) == k]
            want = torch.zeros(2, dtype=DTYPE)
            for n, row in enumerate(rows):
                want = want + row if aggregate is segment.sum or n == 0 else torch.maximum(want, row)
            assert torch.allclose(y[g, 2 * k : 2 * k + 2], want)


def test_each_type_has_weights_of_its_own() -> None:
    graph, W = with_matrices(), torch.nn.Linear(3 * 2, 1).to(DTYPE)
    h, index = dense(graph.nodes["h"]), graph.topology.nodes_by_graph.index
    kind = torch.arange(graph.N) % 4  # 3 is listed by no one, like 2
    y = PerType(W, [0, 1], by="kind")(graph.with_nodes(kind=kind))["y"]
    for g in range(graph.G):
        want = W.bias
        for i in (index == g).nonzero().flatten().tolist():
            k = min(int(kind[i]), 2)
            want = want + W.weight[:, 2 * k : 2 * k + 2] @ h[i]
        assert torch.allclose(y[g], want)


@pytest.mark.parametrize("steps", [1, 3])
def test_lstm_over_sum_and_max(steps: int) -> None:
    torch.manual_seed(0)
    d, hidden, counts = 2, 5, [3, 0, 4]
    readout, lstm = SumMaxLSTM(d, hidden).to(DTYPE), torch.nn.LSTM(2 * d, hidden).to(DTYPE)
    for name, p in readout.cell.named_parameters():
        getattr(lstm, f"{name}_l0").data = p.data
    x = torch.randn(7, steps * d, dtype=DTYPE)
    y = readout(x, Segments(torch.repeat_interleave(torch.arange(3), torch.tensor(counts)), 3))
    for g, part in enumerate(x.split(counts)):
        read = []
        for t in range(steps):
            own = part[:, t * d : t * d + d]
            read.append(torch.cat([own.sum(0), own.amax(0) if len(own) else torch.zeros(d, dtype=DTYPE)]))
        assert torch.allclose(y[g], lstm(torch.stack(read))[1][0][0])


def test_readouts_take_a_place_in_any_network() -> None:
    torch.manual_seed(0)
    gin, jk = (zoo.build(name, Inputs(ATOMS, BONDS), 1, {"d": 8, "depth": 2}) for name in ("gin", "jk"))
    for net, readout in (
        (gin, Pool(Head(6, 1), SumMaxLSTM(8, 6), of="all")),
        (jk, Pool(Head(6, 1), SumMaxLSTM(8, 6))),
        (gin, PerType(Head(6 * 8, 1), [1, 6, 7, 8, 9])),
    ):
        mixed, graph = MPNN(net.embed, net.layers, readout, net.view).to(DTYPE).eval(), awkward()
        y = mixed(graph)["y"]
        assert torch.allclose(y, torch.cat([mixed(g)["y"] for g in graph.unbatch()]))
        assert len(set(y[:, 0].tolist())) == graph.G - 1  # the two empty ones are alike
        y.sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in readout.parameters())
        graph = random_graph(8, 0.5, torch.Generator().manual_seed(0))
        assert torch.allclose(mixed(graph)["y"], mixed(permuted(graph, torch.Generator().manual_seed(1)))["y"])


def test_atom_wise_and_residual() -> None:
    torch.manual_seed(0)
    graph, linear = with_matrices(), torch.nn.Linear(2, 2).to(DTYPE)
    m = torch.randn(graph.N, 2, dtype=DTYPE)
    graph = graph.with_nodes(**Residual(linear)(graph.nodes, {"m": m}))
    h = dense(graph.nodes["h"])
    assert torch.allclose(h, dense(with_matrices().nodes["h"]) + linear(m))
    y, first = AtomWise(linear)(graph)["y"], int(graph.topology.n_node[0])
    assert y.shape == (graph.G, 2) and torch.allclose(y[0], sum(linear(h[k]) for k in range(first)))


def test_attention_against_pytorch() -> None:
    torch.manual_seed(0)
    d, heads = 6, 3
    attention, theirs = Attention(d, heads).to(DTYPE), torch.nn.MultiheadAttention(d, heads, batch_first=True).to(DTYPE)
    theirs.in_proj_weight.data = torch.cat([attention.Q.weight, attention.K.weight, attention.V.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([attention.Q.bias, torch.zeros(d, dtype=DTYPE), attention.V.bias]).detach()
    theirs.out_proj.weight.data = torch.eye(d, dtype=DTYPE)
    for n in (1, 4):
        x, bias = torch.randn(n, d, dtype=DTYPE), torch.randn(heads, n, n, dtype=DTYPE)
        receivers, senders = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
        segments = Segments(receivers, n)
        message = attention(x[receivers], x[senders], segments, bias.permute(1, 2, 0).reshape(-1, heads))
        assert message.shape == (n * n, heads, d // heads)
        assert torch.allclose(segment.sum(message, segments).flatten(1), theirs(x, x, x, attn_mask=bias)[0])


def test_attention_wants_heads_that_fit() -> None:
    with pytest.raises(UsageError, match="a width of 6 does not split into 4 heads"):
        Attention(6, 4)
