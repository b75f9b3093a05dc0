"""Each distinct state is computed once: how many rows that is, that nothing changes, and where it must stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import colour, wl, zoo
from heliograph.edge import Edge, algebra
from heliograph.graph import Graph, Indexed, batch, dense
from heliograph.layer import plain
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
