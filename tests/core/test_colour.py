"""Each distinct state of bonds and of nodes is computed once: how many rows that is, that nothing changes, and where it must stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import kernels, segment, wl, zoo
from heliograph.algebra import colour, held
from heliograph.algebra import use as algebra
from heliograph.algebra.expression import Gather
from heliograph.batching import batch
from heliograph.blocks import Combine, Embed, JumpingKnowledge, Neighbour, Pool
from heliograph.edge import Edge, EdgeTensor
from heliograph.graph import Features, Graph, Indexed, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.tensorlike import TensorLike
from heliograph.topology import Segments
from tests.graphs import ATOMS, BONDS, DTYPE, make_tables, random_graph

WIDTH = 128


@pytest.fixture(autouse=True)
def small_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of tests are smaller than those that are worth it."""
    monkeypatch.setattr(colour, "LEAST_NUMBERS", 1)


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

    monkeypatch.setattr(colour, "LEAST_NUMBERS", 300_000)
    monkeypatch.setattr(wl, "together", fail)
    monkeypatch.setattr(colour, "distinct", fail)
    monkeypatch.setattr(kernels, "multisets", fail)
    of_nodes("gcn")(molecules())  # 440 nodes of 128 channels
    narrow = zoo.build("dmpnn", Inputs(ATOMS, BONDS), 1, {"d": 16}).to(DTYPE)
    narrow(molecules())
    dmpnn()(molecules().unbatch()[0])


def test_a_state_of_edges_is_kept_as_a_table() -> None:
    graph, layer = molecules(), nn.Linear(ATOMS + BONDS, WIDTH).to(DTYPE)
    e = Edge(graph)
    state = held({"h": layer(torch.cat([e.j["x"], e.e["edge_attr"]], -1)).relu()})["h"]
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
        lazy = True

        def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
            assert isinstance(messages["m"], EdgeTensor) and isinstance(nodes["h"], EdgeTensor)
            m = 2 * messages["m"]
            return {"h": m + dense(nodes["h"]), "m": m, "pos": nodes["pos"], "untouched": nodes["h"]}

    nodes = Layer(Neighbour(), Seen())(graph).nodes
    assert isinstance(nodes["h"], Indexed) and len(nodes["h"].table) < graph.N / 4 and nodes["pos"] is graph.nodes["pos"]
    with algebra(False):
        m = segment.sum(Edge(graph).j["h"], graph.topology.incoming)
    for name, value in {"h": 2 * m + dense(graph.nodes["h"]), "m": 2 * m, "untouched": dense(graph.nodes["h"])}.items():
        assert torch.allclose(dense(nodes[name]), value, atol=1e-12)


def test_numbers_are_exact() -> None:
    """The loops against `wl`, which sorts: the same rows, and the same multisets, have one number."""
    rng = torch.Generator().manual_seed(0)

    def same(a: Tensor, b: Tensor) -> bool:
        return len(a.unique()) == len(b.unique()) == len(torch.stack([a, b]).unique(dim=1).T)

    for n, segments, values in ((0, 1, 1), (1, 1, 1), (7, 3, 2), (500, 3, 3), (3000, 1500, 2), (3000, 1500, 1000)):
        a, b, c = (torch.randint(values, (n,), generator=rng) for _ in range(3))
        for columns in ([a], [a, b], [a, b, c]):
            found = kernels.factorize(columns)
            assert found is not None
            number, rows = found
            assert same(number, wl.together(*columns)) and torch.equal(number[rows], torch.arange(len(rows)))
        runs = Segments(torch.randint(segments, (n,), generator=rng).sort().values, segments + 1)
        found = kernels.multisets(a, runs)
        assert found is not None
        number, rows = found
        assert same(number, wl.multisets(a, runs)) and torch.equal(number[rows], torch.arange(len(rows)))
        some = torch.randperm(segments + 1, generator=rng)[: segments // 2 + 1]
        fast, part = kernels.select_segments(some, runs)
        with kernels.use("reference"):
            slow, other = kernels.select_segments(some, runs)
        assert torch.equal(fast, slow) and torch.equal(part.index, other.index) and torch.equal(runs.index[fast], some[part.index])


def wide() -> Graph:
    """Many atoms, few kinds, their states wide: what is computed once for each colour."""
    graph = molecules()
    return graph.with_nodes(h=Indexed(torch.randn(3, WIDTH, dtype=DTYPE, requires_grad=True), graph.nodes["x"].index))  # type: ignore[union-attr]


class Written(nn.Module):
    """An update as somebody writes it who has never heard of lazy tensors."""

    def __init__(self, f: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.f = f

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        assert type(messages["m"]) is Tensor
        return {"h": self.f(dense(nodes["h"]), messages["m"])}


def stopped(h: Tensor, m: Tensor) -> Tensor:
    with torch.no_grad():
        gate = m.sigmoid()
    return m * gate


def logged(h: Tensor, m: Tensor) -> Tensor:
    x = m.tanh()
    with torch.no_grad():
        assert not x.norm(dim=1).isnan().any()
    return x


def with_buffer(h: Tensor, m: Tensor) -> Tensor:
    buffer = torch.zeros(len(m), WIDTH, dtype=DTYPE)
    buffer.add_(m)
    buffer[:, :3] = 0
    return buffer


UPDATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "stopped gradient": stopped,
    "logged": logged,
    "buffer": with_buffer,
    "in place": lambda h, m: m.mul_(2).add_(h),
    "part in place": lambda h, m: (m * 1.0)[:, :64].mul_(2) + h[:, :64],
    "mask": lambda h, m: torch.where(m == 0, h, m),
}


def same_both_ways(layer: Callable[[], Layer]) -> None:
    """States and the gradient of the table before, with the algebra and without."""
    results = []
    for on in (True, False):
        torch.manual_seed(0)
        graph = wide()
        with algebra(on):
            h = dense(layer()(graph).nodes["h"])
        table = graph.nodes["h"].table  # type: ignore[union-attr]
        results.append([h, *torch.autograd.grad((h * torch.arange(graph.N)[:, None]).sum(), table)])
    for fast, slow in zip(*results, strict=True):
        assert torch.allclose(fast, slow, rtol=1e-9)


@pytest.mark.parametrize("name", UPDATES)
def test_updates_of_others_get_plain_tensors(name: str) -> None:
    same_both_ways(lambda: Layer(Neighbour(), Written(UPDATES[name])))
    assert type(Layer(Neighbour(), Written(UPDATES[name]))(wide()).nodes["h"]) is Tensor


class Message(nn.Module):
    def __init__(self, f: Callable[[EdgeTensor, EdgeTensor], object]):
        super().__init__()
        self.f = f

    def forward(self, e: Edge) -> dict[str, object]:
        return {"m": self.f(e.j["h"], e.i["h"])}


MESSAGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # a sum of two tables stays open, what is made of one does not
    "stopped gradient": lambda j, i: stopped(j, i + j),
    "logged": lambda j, i: logged(j, i + j),
    "itself": lambda j, i: j.to(DTYPE).flatten(1),
    "long chain": lambda j, i: [j := j + 0.001 for _ in range(600)][-1],
    "shared": lambda j, i: [j := j * j.sigmoid() for _ in range(20)][-1],
    "shared sum": lambda j, i: [s := j + i, *(s := s * s.sigmoid() for _ in range(30))][-1],
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_mean_what_they_say_where_they_say_it(name: str) -> None:
    same_both_ways(lambda: Layer(Message(MESSAGES[name]), Combine(WIDTH).to(DTYPE)))


def test_a_map_before_the_sum_has_its_bias_after_it() -> None:
    class Mapped(nn.Module):
        lazy = True

        def __init__(self) -> None:
            super().__init__()
            self.W = nn.Linear(WIDTH, WIDTH).to(DTYPE)

        def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"h": self.W(messages["m"]).relu()}

    for aggregate in (segment.sum, segment.mean, segment.max):
        same_both_ways(lambda aggregate=aggregate: Layer(Neighbour(), Mapped(), aggregate))  # type: ignore[misc]


def test_a_colour_is_a_feature_like_any_other() -> None:
    """The index of a table, itself a feature of nodes: what is made of it has its colour, and is no colour."""
    index = torch.arange(300) % 3
    colour.begin(Indexed(torch.randn(3, WIDTH), index), None)
    made = colour.made_of(index.double()[:, None] / 2, index)
    assert colour.known(made) and torch.equal(colour.of(made), index)


def test_what_listens_or_comes_from_elsewhere_may_use_it_like_a_tensor() -> None:
    """A hook, a step between layers, an aggregate and a readout that somebody wrote, after an update that is lazy."""
    seen: list[object] = []

    class Between(nn.Module):
        def forward(self, graph: Graph) -> Graph:
            seen.append(graph.nodes["h"])
            return graph

    class Readout(nn.Module):
        def forward(self, graph: Graph) -> dict[str, Tensor]:
            seen.append(graph.nodes["h"])
            return {"y": segment.mean(graph.nodes["h"], graph.topology.nodes_by_graph)}  # type: ignore[arg-type]

    class Alone(nn.Module):
        def forward(self, states: list[Tensor]) -> Tensor:
            assert len(states) == 2  # rows instead of a table are no new state
            return states[1]

    def by_hand(x: Tensor, segments: Segments) -> Tensor:
        seen.append(x)
        return x.new_zeros(segments.n, x.shape[1]).index_add_(0, segments.index, x)

    def net(*between: nn.Module, readout: nn.Module, hook: bool = False, jumping: bool = False) -> MPNN:
        torch.manual_seed(0)
        update = Combine(WIDTH)
        if hook:
            update.W1.register_forward_hook(lambda *args: seen.append(args[2]))
        embed, layers = Embed(ATOMS, WIDTH), [Layer(Neighbour(), update), *between]
        net = MPNN(nn.Identity(), [JumpingKnowledge([embed, *layers], Alone())], readout) if jumping else MPNN(embed, layers, readout)
        return net.to(DTYPE)

    graph, by_hand_too = molecules(), Pool(nn.Identity(), by_hand)
    nets = [
        net(Between(), readout=Readout()),
        net(readout=Readout()),
        net(readout=by_hand_too),
        net(readout=Pool(nn.Identity()), hook=True),
        net(Between(), readout=Pool(nn.Identity()), jumping=True),
    ]
    results = []
    for on in (True, False):
        with algebra(on):
            results.append([each(graph)["y"] for each in nets])
    assert all(torch.allclose(a, b, rtol=1e-9) for a, b in zip(*results, strict=True))
    assert all(isinstance(x, Tensor | TensorLike) and len(x) == graph.N for x in seen) and len(seen) == 2 * 6
    assert any(isinstance(x, Indexed) for x in seen) and any(isinstance(x, EdgeTensor) for x in seen)
    assert isinstance(nets[0].layers[0](nets[0].embed(graph)).nodes["h"], Indexed)  # there was a table to be seen


def test_a_state_that_is_changed_in_place_loses_its_colour() -> None:
    """GCN's 1 / sqrt(d), whose colour is the degree, made different for each atom between two steps."""
    graph = molecules()
    noise = torch.randn(graph.N, 1, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    net, results = of_nodes("gcn", depth=1), []
    for on in (True, False):
        with algebra(on):
            first = net.embed(graph)
            net.layers[0](first)  # what was seen here must not be believed afterwards
            first.nodes["norm"].copy_(noise)
            results.append(dense(net.layers[0](first).nodes["h"]))
    assert torch.allclose(*results, rtol=1e-10) and len(results[0].unique(dim=0)) > graph.N / 2


def test_batch_norm_sees_rows_in_use_alone() -> None:
    rows = torch.cat([torch.randn(3, WIDTH, dtype=DTYPE), torch.full((1, WIDTH), torch.nan, dtype=DTYPE)])
    index = torch.arange(300, dtype=torch.int32) % 3
    results = []
    for on in (True, False):
        norm = nn.BatchNorm1d(WIDTH).to(DTYPE)
        y = norm(EdgeTensor(Gather(rows, index)) if on else rows[index.long()])
        if on:
            assert isinstance(y.expression, Gather) and len(y.expression.table) == 4  # by the rule, not by plain rows
            y = y.expression.table[index.long()]
        results.append([y, norm.running_mean, norm.running_var])
    for fast, slow in zip(*results, strict=True):
        assert torch.allclose(fast, slow, atol=1e-10)
