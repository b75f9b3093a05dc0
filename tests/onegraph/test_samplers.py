"""Samplers of layers and of subgraphs: right on average, to four standard errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heliograph import zoo
from heliograph.data.graph_store import GraphStore
from heliograph.graph import dense
from heliograph.layer import Layer
from heliograph.model import Inputs
from heliograph.sampling import Clusters, FastGCN, Ladies, Neighbors, Saint, Sampler, by_label_propagation, induced
from tests.onegraph.test_sampling import store


def spread(found: list[torch.Tensor], truth: torch.Tensor) -> float:
    """The largest difference of the mean from the truth, in standard errors; differences of rounding are none."""
    x = torch.stack(found)
    error = x.std(0) / len(x) ** 0.5
    apart = (x.mean(0) - truth).abs()
    return float((apart / error.clamp(min=1e-9))[apart > 1e-9].max()) if bool((apart > 1e-9).any()) else 0.0


def first(arch: str, inputs: Inputs) -> tuple[torch.nn.Module, Layer]:
    torch.manual_seed(0)
    model = zoo.build(arch, inputs, 2, {"d": 6}, level="node").double().eval()
    return model.embed, next(layer for layer in model.layers if isinstance(layer, Layer))


@pytest.mark.parametrize("arch", ["gcn", "gin", "sage"])
@pytest.mark.parametrize("sampler", [Neighbors((3,)), Ladies((12,)), FastGCN((25,))], ids=["neighbours", "ladies", "fastgcn"])
def test_messages_of_a_sample_are_right_on_average(arch: str, sampler: Sampler) -> None:
    if arch == "sage" and not isinstance(sampler, Neighbors):
        pytest.skip("a mean over nodes that were drawn with unequal probabilities is not the mean")
    s, seeds = store(25, 140), np.array([0, 5, 11])
    embed, layer = first(arch, Inputs(5, 1))
    with torch.no_grad():
        truth = {k: dense(m)[seeds] for k, m in layer.messages(embed(s.graph().to(dtype=torch.double)))[1].items()}
        found: dict[str, list[torch.Tensor]] = {}
        for key in range(400):
            graph = sampler(s, seeds, key).to(dtype=torch.double)
            for name, m in layer.messages(embed(graph))[1].items():
                found.setdefault(name, []).append(dense(m)[: len(seeds)])
    for name, values in found.items():
        assert float(torch.stack(values).std(0).max()) > 0 and spread(values, truth[name]) < 4.5  # of some dozen numbers


def test_a_sampled_attention_adds_up_to_one_without_weights() -> None:
    s = store(25, 140)
    torch.manual_seed(0)
    model = zoo.build("gat", Inputs(5, 1), 2, {"d": 8, "heads": 2, "depth": 1}, level="node").double().eval()
    graph = Neighbors((2,))(s, np.array([3, 4]), 1)
    assert "sampling_weight" in graph.edges
    plain = graph.with_topology(graph.topology, {k: v for k, v in graph.edges.items() if k != "sampling_weight"})
    assert torch.equal(model(graph)["y"], model(plain)["y"])


@pytest.mark.parametrize("how", ["node", "edge", "walk"])
def test_saints_two_normalisations_make_loss_and_messages_right(how: str) -> None:
    s = store(30, 120)
    sampler = Saint(how, 12, trials=1500)
    edge_weight, node_weight = sampler.normalise(s)
    x = torch.from_numpy(s.columns["x"][:, :1].astype(float))
    truth = torch.zeros(s.N, 1, dtype=torch.double).index_add_(
        0, torch.from_numpy(s.receivers).long(), x[torch.from_numpy(s.columns["indices"]).long()]
    )
    losses, sums, counts = [], torch.zeros(s.N, 1, dtype=torch.double), torch.zeros(s.N)
    for key in range(1000):
        graph = sampler(s, np.zeros(0, int), key)
        nodes, t = dense(graph.nodes["id"]), graph.topology
        weight = dense(graph.edges["sampling_weight"]).double()
        losses.append((dense(graph.nodes["loss_weight"]).double() * x[nodes, 0]).sum())
        sums.index_add_(0, nodes[t.receivers], weight * x[nodes[t.senders]])
        counts[nodes] += 1
    assert spread(losses, x.sum()) < 4.5  # sum over drawn nodes of loss / lambda_v
    seen = counts > 100
    estimate = sums[seen] / counts[seen, None]  # messages of a node, given that it was drawn: eq. 3
    assert seen.sum() > 10 and float((estimate - truth[seen]).abs().mean()) < 0.1 * float(truth[seen].abs().mean())
    assert len(edge_weight) == s.E and len(node_weight) == s.N


def test_an_induced_graph_has_all_edges_among_its_nodes() -> None:
    s, nodes = store(40, 160), np.array([5, 2, 9, 30, 31, 7])
    graph = induced(s, nodes)
    t = graph.topology
    found = {(int(nodes[a]), int(nodes[b])) for a, b in zip(t.senders, t.receivers, strict=True)}
    inside = set(nodes.tolist())
    assert found == {
        (a, b) for a, b in zip(s.columns["indices"].tolist(), s.receivers.tolist(), strict=True) if a in inside and b in inside
    }
    assert torch.equal(t.degree, torch.from_numpy(s.degree[nodes])) and (t.receivers.diff() >= 0).all()


def test_clusters_are_parts_of_the_graph_and_say_what_they_keep() -> None:
    random = np.random.default_rng(0)
    part = np.repeat(np.arange(4), 25)
    a, b = random.integers(0, 100, (2, 3000))
    keep = (a != b) & ((part[a] == part[b]) | (random.random(3000) < 0.05))
    ends = np.unique(np.sort(np.stack([a, b], 1)[keep], axis=1), axis=0)
    s = GraphStore.build(ends, 100, x=np.zeros((100, 1), np.float32))
    clusters = Clusters(part, together=2)
    graph = clusters(s, np.zeros(0, int), 3)
    assert graph.N == 50 and len(np.unique(part[dense(graph.nodes["id"]).numpy()])) == 2
    assert torch.equal(dense(graph.nodes["id"]), dense(clusters(s, np.zeros(0, int), 3).nodes["id"]))
    assert clusters.kept(s) == pytest.approx((part[ends[:, 0]] == part[ends[:, 1]]).mean())
    found = by_label_propagation(s, 4)
    assert Clusters(found).kept(s) > 0.6 and np.bincount(found).max() <= 29  # random parts keep a quarter
