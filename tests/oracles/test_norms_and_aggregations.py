"""Normalisations and aggregations with weights, against PyTorch Geometric's: values, first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from heliograph import segment, zoo
from heliograph.blocks import GraphNorm, LSTMAggregation, Neighbour, OnStates, PairNorm, PowerMean, SoftAttention, SoftmaxMean, Sorted
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.topology import Segments
from tests.graphs import ATOMS, BONDS, DTYPE, awkward

pyg = pytest.importorskip("torch_geometric.nn")
D = 6


def states() -> tuple[Graph, Tensor]:
    graph = awkward()
    return graph, torch.randn(graph.N, D, generator=torch.Generator().manual_seed(1), dtype=DTYPE, requires_grad=True)


def randomised(module: nn.Module) -> nn.Module:
    rng = torch.Generator().manual_seed(2)
    module.double()
    for p in module.parameters():
        p.data = torch.rand(p.shape, generator=rng, dtype=DTYPE) + 0.5
    return module


def agree(ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], x: Tensor) -> None:
    def twice(f: Callable[[Tensor], Tensor]) -> list[Tensor]:
        y = f(x)
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return [y, first, *torch.autograd.grad(first.square().sum(), x)]

    for a, b in zip(twice(ours), twice(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_graph_norm() -> None:
    graph, x = states()
    mine, other = randomised(GraphNorm(D)), pyg.GraphNorm(D).double()
    other.weight.data, other.bias.data, other.mean_scale.data = mine.gamma.data, mine.beta.data, mine.alpha.data
    index = graph.topology.nodes_by_graph.index
    agree(lambda x: dense(mine(graph.with_nodes(h=x)).nodes["h"]), lambda x: other(x, index, graph.G), x)


def test_pair_norm() -> None:
    graph, x = states()
    mine, other = PairNorm(scale=1.5), pyg.PairNorm(scale=1.5)
    agree(lambda x: dense(mine(graph.with_nodes(h=x)).nodes["h"]), lambda x: other(x, graph.topology.nodes_by_graph.index, graph.G), x)


def test_power_mean() -> None:
    graph, x = states()
    segments = graph.topology.nodes_by_graph
    mine, other = randomised(PowerMean(D)), pyg.PowerMeanAggregation(learn=True, channels=D).double()
    other.p.data = mine.p.data
    agree(lambda x: mine(x, segments), lambda x: other(x, segments.index, dim_size=segments.n), x)


def test_softmax_mean() -> None:
    graph, x = states()
    segments = graph.topology.nodes_by_graph
    mine, other = randomised(SoftmaxMean(D)), pyg.SoftmaxAggregation(learn=True, channels=D).double()
    other.t.data = mine.t.data
    agree(lambda x: mine(x, segments), lambda x: other(x, segments.index, dim_size=segments.n), x)
    some = segments.count > 0
    torch.testing.assert_close(SoftmaxMean(D, t=0.0).double()(x, segments), segment.mean(x, segments))
    torch.testing.assert_close(SoftmaxMean(D, t=1e4).double()(x, segments)[some], segment.max(x, segments)[some])


def test_soft_attention() -> None:
    graph, x = states()
    segments = graph.topology.nodes_by_graph
    gate, V = nn.Linear(D, 1).double(), nn.Linear(D, 4).double()
    mine, other = SoftAttention(gate, V), pyg.AttentionalAggregation(gate, V)
    agree(lambda x: mine(x, segments), lambda x: other(x, segments.index, dim_size=segments.n), x)


def test_lstm() -> None:
    """Segment by segment: PyTorch Geometric's reads the zeros, too, that fill a segment up to the longest of the batch."""
    graph, x = states()
    segments = graph.topology.nodes_by_graph
    mine, other = randomised(LSTMAggregation(D, 4)), pyg.LSTMAggregation(D, 4).double()
    for name, p in mine.cell.named_parameters():
        getattr(other.lstm, f"{name}_l0").data = p.data

    def one_by_one(x: Tensor) -> Tensor:
        parts = x.split(segments.count.tolist())
        return torch.cat([other(part, torch.zeros(len(part), dtype=torch.long)) if len(part) else x.new_zeros(1, 4) for part in parts])

    agree(lambda x: mine(x, segments), one_by_one, x)
    same = [part.flip(0) for part in x.split(segments.count.tolist())]
    assert not torch.allclose(mine(x, segments), mine(torch.cat(same), segments), atol=1e-3)  # it depends on the order


def test_sorted_rows() -> None:
    _, x = states()
    x = x.detach().round()
    x[:, 0] = 0.0  # then others decide
    counts = [5, 0, 7, 12]
    segments = Segments(torch.repeat_interleave(torch.arange(4), torch.tensor(counts)), 4)
    seen = []
    result = Sorted(lambda x, s: seen.append((x, s)) or segment.sum(x, s))(x, segments)
    assert torch.equal(seen[0][0], torch.tensor([row for part in x.split(counts) for row in sorted(part.tolist())], dtype=DTYPE))
    assert seen[0][1] is segments and torch.allclose(result, segment.sum(x, segments))
    lstm = Sorted(randomised(LSTMAggregation(D)))
    mixed = torch.cat([part[torch.randperm(len(part), generator=torch.Generator().manual_seed(3))] for part in x.split(counts)])
    assert not torch.equal(x, mixed) and torch.equal(lstm(x, segments), lstm(mixed, segments))
    x[3, 2] = float("nan")
    assert lstm(x, segments)[0].isnan().all() and lstm(x, segments)[1:].isfinite().all()


def test_power_mean_runs_from_the_mean_to_the_maximum() -> None:
    graph, x = states()
    x, segments = x.detach().abs() + 0.1, graph.topology.nodes_by_graph
    some = segments.count > 0
    torch.testing.assert_close(PowerMean(D).double()(x, segments)[some], segment.mean(x, segments)[some])
    large = PowerMean(D, p=200.0, low=1e-300, high=float("inf")).double()(x / 2, segments) * 2
    torch.testing.assert_close(large[some], segment.max(x, segments)[some], rtol=0.03, atol=0)


def test_they_take_a_place_in_any_network() -> None:
    torch.manual_seed(0)
    net = zoo.build("gcn", Inputs(ATOMS, BONDS), 1, {"d": D, "depth": 2})
    steps = [net.layers[0], GraphNorm(D), OnStates(nn.LayerNorm(D)), net.layers[1], PairNorm()]
    steps.append(Layer(Neighbour(), Summed(), SoftAttention(nn.Linear(D, 1), nn.Linear(D, D))))
    mixed = MPNN(net.embed, steps, net.readout).double()
    y = mixed(awkward())["y"]
    assert torch.isfinite(y).all() and y.shape == (awkward().G, 1)
    y.square().sum().backward()
    assert all(p.grad is not None for step in steps for p in step.parameters())


class Summed(nn.Module):
    """h_i + m_i."""

    def forward(self, nodes: dict[str, Tensor], messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": dense(nodes["h"]) + messages["m"]}
