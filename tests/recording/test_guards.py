"""What a recorded network watches: whatever is changed, the result is that of the network as it is now."""

from __future__ import annotations

import copy
import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from heliograph import algebra, kernels, recording, segment, zoo
from heliograph.batching import batch
from heliograph.graph import Graph, Indexed
from heliograph.kernels import operator
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.recording import player, tape
from heliograph.recording.watch import kind
from heliograph.topology import Topology
from tests.conformance.test_zoo import OUT, network
from tests.graphs import ATOMS, BONDS, DTYPE
from tests.recording.test_recorded import graphs


def recorded(name: str = "gcn", geometry: bool = False, **args: Any) -> tuple[MPNN, list[Graph]]:
    """A network that is replayed for graphs of a kind, and more of these."""
    torch.manual_seed(0)
    net = zoo.build(name, Inputs(ATOMS, BONDS, geometry), OUT, args).to(DTYPE).eval() if args else network(name, geometry)
    for graph in graphs(0, 8):
        recording.play(net, graph)
    before = player.known(net).replayed
    assert before
    recording.play(net, graph)
    assert player.known(net).replayed == before + 1
    return net, graphs(5, 5)


def agrees(net: MPNN, graph: Graph) -> bool:
    torch.manual_seed(1)
    found = recording.play(net, graph)["y"]
    torch.manual_seed(1)
    wanted = net(graph)["y"]
    return torch.equal(found, wanted) and found.requires_grad == wanted.requires_grad and found.dtype == wanted.dtype


def values(net: MPNN) -> None:
    next(net.parameters()).data.mul_(2)


def swapped(net: MPNN) -> None:
    p = next(net.parameters())
    p.data = torch.zeros_like(p)


def replaced(net: MPNN) -> None:
    net.embed.W.weight = nn.Parameter(torch.ones_like(net.embed.W.weight))


def frozen(net: MPNN) -> None:
    net.requires_grad_(False)


def dropping(net: MPNN) -> None:
    for module in net.modules():
        if hasattr(module, "p"):
            module.p = 0.5
    net.train()


def training(net: MPNN) -> None:
    net.train()


def shorter(net: MPNN) -> None:
    del net.layers[-1]


def other_module(net: MPNN) -> None:
    net.readout.head = nn.Linear(net.readout.head[0].in_features, OUT).to(DTYPE)


def pooled(net: MPNN) -> None:
    from heliograph import segment

    net.readout.aggregate = segment.max


def hooked(net: MPNN) -> None:
    net.embed.register_forward_hook(lambda module, args, graph: graph.with_nodes(h=2 * graph.nodes["h"]))


def single(net: MPNN) -> None:
    net.float()


CHANGES = [values, swapped, replaced, frozen, dropping, training, shorter, other_module, pooled, hooked, single]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_a_changed_network(change: Callable[[MPNN], None]) -> None:
    net, more = recorded("gcn", dropout=0.2)
    change(net)
    for graph in more:
        assert agrees(net, graph)


def dense_nodes(graph: Graph) -> Graph:
    return graph.with_nodes(x=graph.nodes["x"].dense())


def without_edges(graph: Graph) -> Graph:
    none = torch.zeros(0, dtype=torch.long)
    return Graph.build(
        none, none, [3, 2], [0, 0], nodes={"x": torch.ones(5, ATOMS, dtype=DTYPE)}, edges={"edge_attr": torch.ones(0, BONDS)}
    )


def larger_table(graph: Graph) -> Graph:
    x = graph.nodes["x"]
    assert isinstance(x, Indexed)
    return graph.with_nodes(x=Indexed(torch.cat([x.table, x.table]), x.index + len(x.table)))


def strided(graph: Graph) -> Graph:
    x = graph.nodes["x"].dense()
    return graph.with_nodes(x=torch.stack([x, x], 1)[:, 0])


def three(graph: Graph) -> Graph:
    return batch([graph, graph.unbatch()[0]])


def with_gradient(graph: Graph) -> Graph:
    return graph.with_nodes(x=graph.nodes["x"].dense().requires_grad_())


OTHERS = [dense_nodes, without_edges, larger_table, strided, three, with_gradient]


@pytest.mark.parametrize("change", OTHERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("name", "geometry"), [("gcn", False), ("gat", False)])
def test_another_kind_of_graph(name: str, geometry: bool, change: Callable[[Graph], Graph]) -> None:
    net, more = recorded(name, geometry)
    for graph in more:
        assert agrees(net, change(graph))
        assert agrees(net, graph)


def test_features_that_are_one_and_then_are_two() -> None:
    class Message(nn.Module):
        def forward(self, e: Any) -> dict[str, Any]:
            return {"m": e.e["a"] + e.e["b"]}

    class Update(nn.Module):
        def forward(self, nodes: Any, messages: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"h": messages["m"]}

    class Start(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(1, dtype=DTYPE))

        def forward(self, graph: Graph) -> Graph:
            return graph

    class Out(nn.Module):
        def forward(self, graph: Graph) -> dict[str, Tensor]:
            return {"y": graph.nodes["h"] * 1}

    net, table = MPNN(Start(), [Layer(Message(), Update())], Out()), torch.rand(3, 2, dtype=DTYPE)

    def made(graph: Graph, one: bool) -> Graph:
        a = torch.randint(3, (graph.E,), generator=torch.Generator().manual_seed(0))
        return graph.with_edges(a=Indexed(table, a), b=Indexed(table, a if one else a.flip(0)))

    for graph in graphs(0, 8):
        assert agrees(net, made(graph, one=True))
    assert player.known(net).replayed
    for graph in graphs(5, 8):
        assert agrees(net, made(graph, one=False))


def test_switches() -> None:
    net, more = recorded("gat")
    count = player.known(net).replayed
    for graph in more:
        with recording.use(False):
            assert agrees(net, graph)
        with torch.autocast("cpu", torch.bfloat16):
            assert agrees(net, graph)
    assert player.known(net).replayed == count
    for graph in more:
        for way in (algebra.use(False), kernels.use("reference"), torch.no_grad(), torch.inference_mode()):
            with way:
                assert agrees(net, graph)


def test_only_so_many_kinds_are_remembered() -> None:
    net = network("gcn", False)
    whole = player.known(net)
    for k in range(10_000):
        whole._kind(k)
    assert len(whole.kinds) == player.MAX_KINDS
    whole.kinds.clear()


def test_what_is_never_replayed_is_not_recorded_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "MAX_RECORDED", 5)
    net, few = network("gcn", False), graphs(0, 2)
    for k in range(1, 12):  # so many graphs a batch: each a kind of its own
        for graph in few:
            recording.play(net, batch([graph.unbatch()[0]] * k))
    assert player.known(net).recorded == 6


def test_a_network_that_reads_data_is_refused() -> None:
    class Reads(nn.Module):
        def __init__(self, how: Callable[[Tensor], Any]) -> None:
            super().__init__()
            self.W, self.how = nn.Linear(ATOMS, 2).to(DTYPE), how

        def forward(self, graph: Graph) -> Graph:
            x = graph.nodes["x"].dense()
            return graph.with_nodes(h=self.W(x) * float(self.how(x)))

    class Out(nn.Module):
        def forward(self, graph: Graph) -> dict[str, Tensor]:
            return {"y": graph.nodes["h"] + 1}

    for how, why in (
        (lambda x: x.tolist()[0][0], "outside"),
        (lambda x: x.detach().numpy().sum(), "outside"),
        (lambda x: x.sum().item(), "decision"),
        (lambda x: int(x.argmax()), "decision"),
        (lambda x: torch.equal(x, x), "decision"),
        (lambda x: len(x * torch.tensor([2.0])), "neither"),
    ):
        net = MPNN(Reads(how), [], Out())
        for graph in graphs(0, 6):
            assert agrees(net, graph)
        assert not player.known(net).replayed
        assert any(why in kind.refused for kind in player.known(net).kinds.values())
    assert sys.getprofile() is None


class Decides(nn.Module):
    """A step that looks at data, after it has moved an average."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(ATOMS, dtype=DTYPE))
        self.norm = nn.BatchNorm1d(ATOMS).to(DTYPE)

    def forward(self, graph: Graph) -> Graph:
        x = self.norm(graph.nodes["x"]) * self.w
        return graph.with_nodes(h=x.exp() if bool(graph.nodes["x"].sum() > 0) else x)


class DecidesLate(Decides):
    """The same, but what it looks at is made of what the norm makes: the averages have moved by then."""

    def forward(self, graph: Graph) -> Graph:
        x = self.norm(graph.nodes["x"]) * self.w
        return graph.with_nodes(h=x.exp() if bool((x + 100 * graph.nodes["x"]).sum() > 0) else x)


@pytest.mark.parametrize("decides", [Decides, DecidesLate])
def test_a_decision_from_data_is_taken_anew(decides: type[Decides]) -> None:
    """And averages that moved before it are taken back."""
    net = MPNN(decides(), [], Total()).train()
    twin = copy.deepcopy(net)
    for k, n in enumerate((20, 21, 22, 23, 24, 25, 26, 27)):
        graph = ring(n)
        graph.nodes["x"].abs_().mul_(-1 if k in (5, 6) else 1)
        assert torch.equal(recording.play(net, graph)["y"], twin(graph)["y"])
        assert torch.equal(net.embed.norm.running_mean, twin.embed.norm.running_mean)
        assert player.known(net).replayed == {4: 1, 5: 1, 6: 1, 7: 2}.get(k, 0)


class Repeats(nn.Module):
    """Equal calls, between which what they read changes or what they made is changed; and some that may be one."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(ATOMS, dtype=DTYPE))

    def forward(self, graph: Graph) -> Graph:
        x = (graph.nodes["x"] * self.w).detach()
        first, seen = x.abs(), x.view(-1)
        seen.mul_(2)
        zero, other = torch.zeros_like(x), torch.zeros_like(x)
        zero.add_(x.abs())
        senders = graph.topology.senders
        few, again = (senders > 3).nonzero()[:, 0], (senders > 3).nonzero()[:, 0]
        picked = senders.index_select(0, few).sum() + senders.index_select(0, again).sum() * len(again)
        return graph.with_nodes(h=(first + zero + other + picked) * self.w)


def test_what_is_computed_twice_is_computed_once_where_nothing_changes_in_between() -> None:
    net = MPNN(Repeats(), [], Total())
    for n in (20, 21, 22, 23, 24, 25, 26, 27):
        assert agrees(net, ring(n))
    assert player.known(net).replayed >= 3
    (kind,) = (k for k in player.known(net).kinds.values() if k.chain is not None)
    calls = [function for function, *_ in kind.chain.forward]
    assert calls.count(Tensor.nonzero) == 1 and calls.count(tape.aten.abs.default) == 2


def test_a_network_is_not_kept_alive() -> None:
    net, _ = recorded("gat")
    alive = weakref.ref(net)
    del net
    gc.collect()
    assert alive() is None


def test_weights_changed_before_the_backward_pass() -> None:
    net, _ = recorded("gat")
    for graph in graphs(0, 6):
        y = recording.play(net, graph)["y"]
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(2)
    with pytest.raises(RuntimeError, match="in place"):
        y.sum().backward()


def test_every_operator_has_its_function() -> None:
    from heliograph.kernels import form, maxima, noise, ops, outer, segment_softmax

    for module in (form, maxima, noise, ops, outer, segment_softmax):
        for value in vars(module).values():
            if isinstance(value, operator.Operator):
                assert operator.FUNCTIONS[value.dispatched.default] is value.function
    assert tape.SEED > 2**31


def test_parameters_that_get_a_gradient_again() -> None:
    net = network("gcn", False)
    net.embed.requires_grad_(False)
    for graph in graphs(0, 8):
        recording.play(net, graph)
    assert player.known(net).replayed
    net.embed.requires_grad_(True)
    recording.play(net, graph)["y"].sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_strides_are_of_a_kind() -> None:
    (graph,) = graphs(0, 1)
    assert kind((strided(graph),)) != kind((dense_nodes(graph),))


class Total(nn.Module):
    """The sum of the states of each graph."""

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return {"y": segment.sum(graph.nodes["h"], graph.topology.nodes_by_graph)}


class Sized(nn.Module):
    """A step whose answer has a number of the topology in it that no tensor of its own tells."""

    def __init__(self, number: Callable[[Topology], int]):
        super().__init__()
        self.number, self.w = number, nn.Parameter(torch.ones(1, dtype=DTYPE))

    def forward(self, graph: Graph) -> Graph:
        total = torch.ones(self.number(graph.topology), dtype=DTYPE).sum()
        return graph.with_nodes(h=self.w * graph.nodes["x"] * total)


def ring(n: int, loops: int = 0, chords: int = 0) -> Graph:
    a = torch.arange(n)
    far = torch.arange(chords)
    senders = torch.cat([a, (a + 1) % n, torch.arange(loops), far, far + 3])
    receivers = torch.cat([(a + 1) % n, a, torch.arange(loops), far + 3, far])
    return Graph.build(senders, receivers, [n], [len(senders)], nodes={"x": torch.randn(n, ATOMS, dtype=DTYPE)})


@pytest.mark.parametrize(
    "number",
    [lambda t: 2 * t.pairs.P, lambda t: t.E - t.N, lambda t: 2 * t.N, lambda t: t.N + t.E, lambda t: 1 + t.pairs.P - t.N],
    ids=["2P", "E-N", "2N", "N+E", "1+P-N"],
)
def test_what_was_so_by_chance_on_the_tapes_is_not_taken_to_stay_so(number: Callable[[Topology], int]) -> None:
    net = MPNN(Sized(number), [], Total())
    with torch.no_grad():
        for n in range(20, 29):  # rings: P = N, E = 2 N
            graph = ring(n)
            assert torch.equal(recording.play(net, graph)["y"], net(graph)["y"])
        assert player.known(net).replayed
        for loops, chords in ((6, 0), (0, 3), (2, 2)):
            graph = ring(25, loops, chords)
            assert torch.equal(recording.play(net, graph)["y"], net(graph)["y"])
