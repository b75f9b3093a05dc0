"""A network that is replayed gives what the network gives: the zoo, on graphs of changing sizes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from heliograph import recording, zoo
from heliograph.batching import batch
from heliograph.errors import HeliographError
from heliograph.graph import Graph
from heliograph.model import MPNN, Inputs
from heliograph.recording import player
from tests.conformance.test_zoo import CASES, OUT, network
from tests.graphs import ATOMS, BONDS, DTYPE, awkward, make_tables, random_graph

# must be replayed; others may be, or look at data to decide what to do
REPLAYED = {"attentivefp", "dmpnn", "gat", "gatv2", "gcn", "gin", "gps", "painn", "pna", "rgcn", "sage", "schnet", "weave"}
LONG = {"alignn", "mace", "nequip", "dimenet", "dimenet_pp", "empnn", "graphormer", "san", "semla", "egnn", "schnet_edge"}


def graphs(seed: int, count: int) -> list[Graph]:
    """Batches of two graphs of changing sizes; their features share tables, as those of a store do."""
    rng = torch.Generator().manual_seed(seed)
    tables = make_tables(rng)
    sizes = torch.randint(9, 12, (count, 2), generator=rng).tolist()
    return [batch([random_graph(n, 0.45, rng, tables) for n in pair]) for pair in sizes]


def both(net: MPNN, twin: MPNN, graph: Graph, seed: int) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Outputs, gradients and buffers of a network that may be replayed and of one that is not."""
    found = []
    for model, run in ((net, recording.play), (twin, MPNN.__call__)):
        torch.manual_seed(seed)
        y = run(model, graph)["y"]
        slope = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed), dtype=y.dtype)
        gradients = torch.autograd.grad(y, list(model.parameters()), slope, allow_unused=True) if y.requires_grad else ()
        found.append([y.detach(), *gradients, *(b.clone() for b in model.buffers())])
    return found[0], found[1]


def same(a: list[Tensor | None], b: list[Tensor | None]) -> bool:
    """Bit for bit: the same kernels run in the same order."""
    return len(a) == len(b) and all(p is q if p is None or q is None else torch.equal(p, q) for p, q in zip(a, b, strict=True))


QUICK = [(n, g) for n, g in CASES if ((n, not g) not in CASES or not g) and n not in LONG and " " not in n]  # of several ways one


@pytest.mark.parametrize(("name", "geometry"), [pytest.param(*c, marks=[] if c in QUICK else pytest.mark.slow) for c in CASES])
def test_a_training_step_is_the_same_bit_for_bit(name: str, geometry: bool) -> None:
    net = network(name, geometry).train()
    twin, others = copy.deepcopy(net), {4: awkward(), 5: graphs(9, 1)[0].unbatch()[0]}
    for k, graph in enumerate(graphs(0, 16 if name in REPLAYED else 9)):
        assert same(*both(net, twin, graph, k)), f"step {k}"
        if k > 6 and player.known(net).replayed > 2:
            break
        if k in others:  # an empty graph, single nodes, a single graph
            assert same(*both(net, twin, others[k], k))
    assert player.known(net).replayed or name not in REPLAYED


@pytest.mark.parametrize(("name", "geometry"), [("dmpnn", False), ("gat", False), ("gps", False), ("schnet", True)])
@pytest.mark.parametrize("inference", [True, False])
def test_so_is_a_prediction(name: str, geometry: bool, inference: bool) -> None:
    net = network(name, geometry)
    with torch.inference_mode(inference), torch.no_grad():
        for graph in graphs(1, 12):
            assert torch.equal(recording.play(net, graph)["y"], net(graph)["y"])
    assert player.known(net).replayed


def test_second_derivatives_are_those_of_the_network() -> None:
    net, twin = (network("schnet", True) for _ in range(2))
    for graph in graphs(2, 8):
        found = []
        for model, run in ((net, recording.play), (twin, MPNN.__call__)):
            slopes = torch.autograd.grad(run(model, graph)["y"].square().sum(), list(model.parameters()), create_graph=True)
            found.append(torch.autograd.grad(sum(g.square().sum() for g in slopes), list(model.parameters()), allow_unused=True))
        for a, b in zip(*found, strict=True):  # a sum of the same terms in another order
            assert a is b if a is None or b is None else torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))
    assert player.known(net).replayed


@pytest.mark.slow
@pytest.mark.parametrize(("name", "geometry"), CASES)
def test_second_derivatives_of_the_whole_zoo(name: str, geometry: bool) -> None:
    """In evaluation: where noise is drawn they are refused. An empty graph and single nodes in between."""
    net, twin = (network(name, geometry) for _ in range(2))
    for k, graph in enumerate(graphs(2, 7)):
        for one in [graph, awkward()] if k == 5 else [graph]:
            found = []
            for model, run in ((net, recording.play), (twin, MPNN.__call__)):
                parameters = list(model.parameters())
                slopes = torch.autograd.grad(run(model, one)["y"].square().sum(), parameters, create_graph=True, materialize_grads=True)
                total = torch.stack([g.square().sum() for g in slopes]).sum()
                found.append(torch.autograd.grad(total, parameters, materialize_grads=True))
            for a, b in zip(*found, strict=True):
                assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))


def test_second_derivatives_of_noise_are_refused() -> None:
    net = network("gps", False).train()
    for graph in graphs(2, 8):
        y = recording.play(net, graph)["y"]
    with pytest.raises(HeliographError, match=r"recording.use\(False\)"):
        torch.autograd.grad(y.sum(), list(net.parameters()), create_graph=True)


def test_forces_go_the_ordinary_way() -> None:
    net = network("schnet", True)
    for graph in graphs(3, 6):
        pos = graph.nodes["pos"].requires_grad_()
        y = recording.play(net, graph)["y"].sum()
        force = torch.autograd.grad(y, pos, create_graph=True)[0]
        assert torch.autograd.grad(force.square().sum(), next(net.parameters()))[0].abs().sum() > 0
    assert not player.known(net).kinds


def test_dropout_draws_the_same_noise() -> None:
    torch.manual_seed(0)
    net = zoo.build("gat", Inputs(ATOMS, BONDS), OUT, {"dropout": 0.3}).to(DTYPE).train()
    twin = copy.deepcopy(net)
    for k, graph in enumerate(graphs(4, 9)):
        assert same(*both(net, twin, graph, k))
    assert player.known(net).replayed
