"""Parts of `blocks` that the family shares, against matrices and loops."""

from __future__ import annotations

import inspect
from math import log

import pytest
import torch

from heliograph import segment, zoo
from heliograph.blocks import (
    AdditiveAttention,
    Combine,
    Heads,
    JumpingKnowledge,
    Largest,
    Neighbour,
    Principal,
    Propagate,
    normalised,
    propagated,
)
from heliograph.edge import Edge
from heliograph.errors import UsageError
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.topology import Segments
from tests.graphs import ATOMS, BONDS, DTYPE, awkward


def with_states(d: int) -> Graph:
    graph = awkward()
    return graph.with_nodes(h=torch.randn(graph.N, d, generator=torch.Generator().manual_seed(1), dtype=DTYPE))


def adjacency(graph: Graph) -> torch.Tensor:
    A = torch.zeros(graph.N, graph.N, dtype=DTYPE)
    A[graph.topology.receivers, graph.topology.senders] = 1
    return A


def test_propagation_is_the_normalised_matrix() -> None:
    graph = with_states(3)
    h = dense(graph.nodes["h"])
    A = adjacency(graph) + torch.eye(graph.N, dtype=DTYPE)
    S = A / (A.sum(1)[:, None] * A.sum(1)).sqrt()
    graph = normalised(graph, h, start=h)
    assert graph.nodes["start"] is h
    m = segment.sum(Propagate()(Edge(graph))["m"], graph.topology.incoming)
    assert torch.allclose(propagated(graph.nodes, {"m": m}), S @ h)


def test_neighbours_combined() -> None:
    torch.manual_seed(0)
    graph, combine = with_states(3), Combine(3).to(DTYPE)
    h = dense(graph.nodes["h"])
    W, b = torch.cat([combine.W1.weight, combine.W2.weight], 1), combine.W1.bias
    want = (torch.cat([h, adjacency(graph) @ h], 1) @ W.T + b).relu()  # relu(W [h_i, m_i])
    assert torch.allclose(dense(Layer(Neighbour(), combine)(graph).nodes["h"]), want)


def test_additive_attention_node_by_node() -> None:
    torch.manual_seed(0)
    heads, channels, slope = 2, 3, 0.1
    graph = with_states(heads * channels)
    attention, merge = AdditiveAttention(heads, channels, slope).to(DTYPE), Heads(heads * channels).to(DTYPE)
    merge.b.data.normal_()
    h = dense(graph.nodes["h"]).unflatten(1, (heads, channels))
    e = Edge(graph.with_nodes(h=h))
    m = segment.sum(attention(e.i["h"], e.j["h"], graph.topology.incoming), graph.topology.incoming)
    for i in range(graph.N):
        neighbours = graph.topology.senders[graph.topology.receivers == i].tolist()
        want = torch.zeros(heads, channels, dtype=DTYPE)
        for k in range(heads if neighbours else 0):
            a = torch.cat([attention.a_i[k], attention.a_j[k]])
            scores = torch.stack([torch.cat([h[i, k], h[j, k]]) @ a for j in neighbours])
            weights = torch.where(scores > 0, scores, slope * scores).softmax(0)
            want[k] = sum((w * h[j, k] for w, j in zip(weights, neighbours, strict=True)), torch.zeros(channels, dtype=DTYPE))
        assert torch.allclose(m[i], want)
        state = merge(graph.nodes, {"m": m})["h"][i]
        assert torch.allclose(state, torch.nn.functional.elu(want.reshape(-1) + merge.b))


def test_twelve_aggregations() -> None:
    counts, delta = [2, 0, 1, 4], 0.7
    x = torch.randn(7, 2, generator=torch.Generator().manual_seed(1), dtype=DTYPE)
    y = Principal(delta)(x, Segments(torch.repeat_interleave(torch.arange(4), torch.tensor(counts)), 4))
    assert y.shape == (4, 24) and not y[1].any()
    for k, part in enumerate(x.split(counts)):
        if counts[k]:
            std = (part.var(0, unbiased=False) + 1e-5).sqrt()
            m, s = torch.cat([part.mean(0), part.amax(0), part.amin(0), std]), log(counts[k] + 1) / delta
            assert torch.allclose(y[k], torch.cat([m, s * m, m / s]))


def test_aggregations_have_names() -> None:
    sage = zoo.load("sage")
    assert zoo.resolved(sage, {})["aggregate"] == "mean" and zoo.resolved(sage, {"aggregate": "lstm"})["aggregate"] == "lstm"
    net = zoo.build("sage", Inputs(ATOMS, BONDS), 2, {"d": 8, "depth": 2, "aggregate": "lstm"})
    cells = [p for key, p in net.named_parameters() if "aggregate" in key]
    assert len(cells) == 2 * 4 and net.layers[0].aggregate is not net.layers[1].aggregate  # each layer has weights of its own
    for arch in ("sage", "gcn"):
        with pytest.raises(UsageError, match=f"'lstn' is no aggregation of {arch}") as error:
            zoo.build(arch, Inputs(ATOMS, BONDS), 2, {"aggregate": "lstn"})
        assert ("lstm" in str(error.value)) is (arch == "sage")


@pytest.mark.parametrize("name", ["gat", "dmpnn", "graphconv"])
def test_jumps_around_the_layers_of_any_architecture(name: str) -> None:
    """gat has steps between its layers that leave h alone, dmpnn only ends in h."""
    torch.manual_seed(0)
    net, graph = zoo.build(name, Inputs(ATOMS, BONDS), 2, {"d": 8, "depth": 3}).to(DTYPE).eval(), awkward()
    at, states = net.embed(graph if net.view is None else net.view(graph)), []
    for layer in net.layers:
        at = layer(at)
        if "h" in at.nodes and isinstance(layer, (Layer, type(net.layers[-1]))):
            states.append(dense(at.nodes["h"]))
    assert len(states) == {"gat": 3, "dmpnn": 1, "graphconv": 3}[name]
    jumping = MPNN(net.embed, [JumpingKnowledge(net.layers, Largest())], net.readout, net.view)
    assert torch.equal(dense(jumping.states(graph).nodes["h"]), torch.stack(states).amax(0))


def test_jk_stands_around_most_of_the_zoo() -> None:
    inside, outside = [], []
    for name in zoo.names():
        module = zoo.load(name)
        if name == "jk" or not {"d", "depth"} <= set(inspect.signature(module.build).parameters):
            continue
        inputs = Inputs(ATOMS, BONDS, module.GEOMETRY == "required")
        for mode in ("concat", "max", "lstm"):
            args = {"of": name, "mode": mode, "d": 24, "depth": 3}
            try:
                net = zoo.build("jk", inputs, 2, args).to(DTYPE)
            except UsageError as error:
                assert f"in the 3 layers of {name} give" in str(error)
                outside.append(name)
            else:
                assert net.training and net(awkward())["y"].isfinite().all()
                inside.append(name)
    no_step_of_one_kind = {
        "alignn",
        "allset",
        "dimenet_pp",
        "dmpnn",
        "empnn",
        "graphormer",
        "hgnn",
        "kgnn",
        "nerve",
        "semla",
        "sgformer",
        "unigcnii",
    }
    assert set(outside) == no_step_of_one_kind and len(inside) == 3 * len(set(inside)) >= 3 * 16
    for args, message in (
        ({"mode": "sum"}, "jk has no mode 'sum'"),
        ({"of": "ggnn"}, "ggnn has no argument 'd"),
        ({"of": "gcnn"}, "did you mean 'gcn'"),
        ({"of": "schnet"}, "schnet needs atoms in space"),
        ({"of": "bruna", "dropout": 0.1}, "bruna has no argument 'dropout'"),
    ):
        with pytest.raises(UsageError, match=message):
            zoo.build("jk", Inputs(ATOMS, BONDS), 2, args)
