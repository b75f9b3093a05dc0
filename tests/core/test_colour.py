"""Each distinct state of bonds and of nodes is computed once: how many rows that is, that nothing changes, and where it must stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import colour, kernels, segment, wl, zoo
from heliograph.blocks import Embed, Neighbour
from heliograph.edge import Edge, EdgeTensor, algebra
from heliograph.graph import Features, Graph, Indexed, Segments, batch, dense
from heliograph.layer import Layer, plain
from heliograph.model import MPNN, Inputs
from tests.graphs import ATOMS, BONDS, DTYPE, make_tables, random_graph

WIDTH = 128


def molecules() -> Graph:
    """60 graphs, of which 6 are different."""
    rng = torch.Generator().manual_seed(0)
    tables = make_tables(rng)
    kinds = [random_graph(n, 0.4, rng, tables) for n in (5, 6, 7, 8, 9, 9)]
    return batch([kinds[k % 6] for k in range(60)])


def dmpnn(dropout: float = 0.0) -> MPNN:
    torch.manual_seed(0)
    return zoo.build("dmpnn", Inputs(ATOMS, BONDS), 1, {"d": WIDTH, "depth": 4, "dropout": dropout}).to(DTYPE)


def linear_rows(monkeypatch: pytest.MonkeyPatch, run: Callable[[], object], wide: int = WIDTH) -> list[int]:
    """On how many rows each square linear map ran."""
    rows: list[int] = []
    original = F.linear

    def watched(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if isinstance(x, Tensor) and tuple(weight.shape) == (wide, wide):
            rows.append(len(x))
        return original(x, weight, bias)

    with monkeypatch.context() as patch:
        patch.setattr(F, "linear", watched)
        run()
    return rows


def states_of_bonds(graph: Graph, steps: int) -> list[int]:
    """How many distinct directed bonds D-MPNN sees before each step, by a dictionary of multisets."""
    t = graph.topology
    x, bond = graph.nodes["x"], graph.edges["edge_attr"]
    assert isinstance(x, Indexed) and isinstance(bond, Indexed)
    senders, reverse = t.senders.tolist(), t.reverse.tolist()
    state: list[object] = [(int(x.index[j]), int(b)) for j, b in zip(senders, bond.index, strict=True)]
    first, counts = state, []
    for _ in range(steps):
        into: list[list[object]] = [[] for _ in range(graph.N)]
        for e, i in enumerate(t.receivers.tolist()):
            into[i].append(state[e])
        seen = [(tuple(sorted(map(repr, into[j]))), state[reverse[e]]) for e, j in enumerate(senders)]
        counts.append(len(set(map(repr, seen))))
        state = [(first[e], s) for e, s in enumerate(seen)]
    return counts


def test_rows_are_the_distinct_states_of_bonds(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, net = molecules(), dmpnn()
    rows = linear_rows(monkeypatch, lambda: net(graph))
    expected = states_of_bonds(graph, 3)
    assert rows[:3] == expected and max(expected) < graph.E / 4
    with algebra(False):
        assert linear_rows(monkeypatch, lambda: net(graph))[:3] == [graph.E] * 3


def test_nothing_changes() -> None:
    graph, net = molecules(), dmpnn()
    results = []
    for on in (True, False):
        with algebra(on):
            y = net(graph)["y"]
        first = torch.autograd.grad(y.square().sum(), list(net.parameters()), create_graph=True)
        second = torch.autograd.grad(torch.stack([g.square().sum() for g in first]).sum(), list(net.parameters()))
        results.append([y, *first, *second])
    for fast, slow in zip(*results, strict=True):
        assert torch.allclose(fast, slow, rtol=1e-9, atol=1e-9 * float(slow.detach().abs().max() + 1))


def test_noise_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout two bonds of one colour differ after the first step, so both are computed."""
    graph, net = molecules(), dmpnn(dropout=0.5).train()
    rows = linear_rows(monkeypatch, lambda: net(graph))
    assert rows[0] < graph.E / 4 and rows[1:3] == [graph.E] * 2
    assert linear_rows(monkeypatch, lambda: net.eval()(graph))[2] < graph.E / 4


def test_continuous_features_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = molecules()
    x = dense(graph.nodes["x"]) + 0.1 * torch.randn(graph.N, ATOMS, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    net = dmpnn()
    rows = linear_rows(monkeypatch, lambda: net(graph.with_nodes(x=x)))
    assert min(rows[:3]) > graph.E / 2


def test_small_or_narrow_graphs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("colours were looked for")

    monkeypatch.setattr(wl, "together", fail)
    monkeypatch.setattr(colour, "distinct", fail)
    narrow = zoo.build("dmpnn", Inputs(ATOMS, BONDS), 1, {"d": 16}).to(DTYPE)
    narrow(molecules())
    dmpnn()(molecules().unbatch()[0])


def test_a_state_of_edges_is_kept_as_a_table() -> None:
    graph, layer = molecules(), nn.Linear(ATOMS + BONDS, WIDTH).to(DTYPE)
    e = Edge(graph)
    state = plain({"h": layer(torch.cat([e.j["x"], e.e["edge_attr"]], -1)).relu()})["h"]
    assert isinstance(state, Indexed) and len(state.table) <= 9 < graph.E
    with algebra(False):
        e = Edge(graph)
        assert torch.allclose(dense(state), layer(torch.cat([e.j["x"], e.e["edge_attr"]], -1)).relu(), atol=1e-12)


def of_nodes(arch: str, **arguments: object) -> MPNN:
    torch.manual_seed(0)
    return zoo.build(arch, Inputs(ATOMS, BONDS), 1, {"d": WIDTH, **arguments}).to(DTYPE)


def test_rows_are_the_distinct_states_of_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """GCN's states see degrees one step before 1-WL does: 1-WL of atoms with their degrees."""
    graph, net = molecules(), of_nodes("gcn", depth=4)
    degree = graph.topology.incoming.count[:, None]
    expected = [
        len(wl.colours(graph.with_nodes(degree=degree), k, ("x", "degree"), ()).unique()) for k in (1, 2, 3, 4)
    ]  # one more round a layer
    assert linear_rows(monkeypatch, lambda: net(graph))[:4] == expected and max(expected) < graph.N / 4
    with kernels.use("reference"):
        assert linear_rows(monkeypatch, lambda: net(graph))[:4] == expected
    with algebra(False):
        assert linear_rows(monkeypatch, lambda: net(graph))[:4] == [graph.N] * 4


def test_a_linear_map_runs_before_or_after_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAGE's W_1 h_i + W_2 m_i: both on the states before the step, of which there are fewer than sums."""
    graph, net = molecules(), of_nodes("sage", depth=2)
    before = [len(wl.colours(graph, k, edges=()).unique()) for k in (0, 1)]
    rows = linear_rows(monkeypatch, lambda: net(graph))
    assert rows[2:4] == [before[1]] * 2 and max(rows[:2]) <= graph.N  # the first states are plain rows


@pytest.mark.parametrize("arch", ["gcn", "gin", "sage", "graphconv", "dmpnn", "sage aggregate=max"])
@pytest.mark.parametrize("training", [False, True])
def test_nothing_changes_for_nodes(arch: str, training: bool) -> None:
    """Values, first and second derivatives, and what batch norm keeps of the batches it has seen."""
    graph, (name, *arguments) = molecules(), arch.split()
    results = []
    for on in (True, False):
        net = of_nodes(name, **dict(a.split("=") for a in arguments)).train(training)
        with algebra(on):
            y = net(graph)["y"]
        first = torch.autograd.grad(y.square().sum(), list(net.parameters()), create_graph=True)
        second = torch.autograd.grad(torch.stack([g.square().sum() for g in first]).sum(), list(net.parameters()))
        results.append([[y], first, second, [b.to(DTYPE) for b in net.buffers()]])
    for fast, slow in zip(*results, strict=True):  # of one kind: a bias before batch norm has no gradient but rounding
        scale = max((float(b.detach().abs().max()) for b in slow), default=0.0)
        assert all(torch.allclose(a, b, rtol=0, atol=1e-10 * scale) for a, b in zip(fast, slow, strict=True))


def test_noise_ends_it_for_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, net = molecules(), of_nodes("gcn", dropout=0.5).train()
    rows = linear_rows(monkeypatch, lambda: net(graph))
    assert rows[0] < graph.N / 4 and rows[1:3] == [graph.N] * 2
    assert linear_rows(monkeypatch, lambda: net.eval()(graph))[2] < graph.N / 4


def test_a_state_of_nodes_is_kept_as_a_table() -> None:
    graph = molecules()
    graph = graph.with_nodes(h=Indexed(torch.randn(3, WIDTH, dtype=DTYPE), graph.nodes["x"].index))  # type: ignore[union-attr]

    class Seen(nn.Module):
        def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
            assert isinstance(messages["m"], EdgeTensor) and isinstance(nodes["h"], EdgeTensor)
            m = messages["m"].mul_(2)  # in place, as for a plain tensor: nothing but this name changes
            return {"h": m + dense(nodes["h"]), "m": messages["m"], "pos": nodes["pos"], "untouched": nodes["h"]}

    nodes = Layer(Neighbour(), Seen())(graph).nodes
    assert isinstance(nodes["h"], Indexed) and len(nodes["h"].table) < graph.N / 4 and nodes["pos"] is graph.nodes["pos"]
    with algebra(False):
        m = segment.sum(Edge(graph).j["h"], graph.topology.incoming)
    for name, value in {"h": 2 * m + dense(graph.nodes["h"]), "m": 2 * m, "untouched": dense(graph.nodes["h"])}.items():
        assert torch.allclose(dense(nodes[name]), value, atol=1e-12)


def test_equal_values_that_are_learned_stay_apart() -> None:
    """A weight for each node, all alike today, has a gradient of its own for each."""
    graph = molecules()
    h = Indexed(torch.randn(3, WIDTH, dtype=DTYPE), graph.nodes["x"].index)  # type: ignore[union-attr]
    w = torch.ones(graph.N, 1, dtype=DTYPE, requires_grad=True)
    gradients = []
    for on in (True, False):
        with algebra(on):
            e = Edge(graph.with_nodes(h=h, w=w))
            m = segment.sum((e.j["h"] * e.j["w"]).tanh(), graph.topology.incoming)
            gradients.append(torch.autograd.grad((m * torch.arange(graph.N)[:, None]).sum(), w)[0])
    assert torch.allclose(*gradients) and len(gradients[0].unique()) > 100


def test_a_feature_of_few_values_is_a_colour_and_zero_has_a_sign() -> None:
    few = torch.tensor([[0.0], [-0.0]], dtype=DTYPE).repeat(300, 1)
    many = torch.rand(600, 1, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    for x in (few, many):
        colour.perhaps(x)
    assert colour.known(few) and len(colour.of(few).unique()) == 2
    assert not colour.known(many)


def test_numbers_are_exact() -> None:
    """The loops against `wl`, which sorts: the same rows, and the same multisets, have one number."""
    rng = torch.Generator().manual_seed(0)

    def same(a: Tensor, b: Tensor) -> bool:
        return len(a.unique()) == len(b.unique()) == len(torch.stack([a, b]).unique(dim=1).T)

    for n, segments, values in ((0, 1, 1), (1, 1, 1), (7, 3, 2), (500, 3, 3), (3000, 1500, 2), (3000, 1500, 1000)):
        a, b, c = (torch.randint(values, (n,), generator=rng) for _ in range(3))
        for columns in ([a], [a, b], [a, b, c]):
            found = kernels.numbers(columns)
            assert found is not None
            number, rows = found
            assert same(number, wl.together(*columns)) and torch.equal(number[rows], torch.arange(len(rows)))
        runs = Segments(torch.randint(segments, (n,), generator=rng).sort().values, segments + 1)
        number_of = kernels.multisets(a, runs)
        assert number_of is not None and same(number_of, wl.multisets(a, runs))


@pytest.mark.parametrize("what", ["embedding", "messages", "narrow feature"])
def test_what_is_changed_in_place_loses_its_colour(what: str) -> None:
    """Atoms of one colour that somebody makes different, between two steps that would have computed them once."""
    graph = molecules()
    noise = torch.randn(graph.N, 1, generator=torch.Generator().manual_seed(0), dtype=DTYPE)

    class Changed(nn.Module):
        def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
            m = messages["m"]
            return {"h": m.add_(noise) if what == "messages" else m + dense(nodes["h"])}

    torch.manual_seed(0)
    embed, layer = Embed(ATOMS, WIDTH).to(DTYPE), Layer(Scaled(), Changed())
    results = []
    for on in (True, False):
        with algebra(on):
            one = torch.ones(graph.N, 1, dtype=DTYPE)
            first = embed(graph).with_nodes(one=one)
            layer(first)  # what was seen here must not be believed afterwards
            if what == "embedding":
                first.nodes["h"].add_(noise)  # type: ignore[union-attr]
            if what == "narrow feature":
                one.copy_(noise)
            results.append(dense(layer(layer(first)).nodes["h"]))
    assert torch.allclose(*results, rtol=1e-10) and len(results[0].unique(dim=0)) > graph.N / 2


class Scaled(nn.Module):
    def forward(self, e: Edge) -> dict[str, Tensor]:
        return {"m": (e.j["h"] * e.j["one"]).tanh()}
