"""What was computed for an environment once is right wherever it is met again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from heliograph import wl, zoo
from heliograph.algebra import colour
from heliograph.algebra import use as algebra
from heliograph.batching import batch
from heliograph.blocks import GraphNorm, Head, Pool
from heliograph.edge import Edge
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.predictor.environments import Environments
from heliograph.topology import Segments
from tests.graphs import ATOMS, BONDS, DTYPE, make_tables, random_graph

FLAT = [name for name in zoo.names() if zoo.load(name).GEOMETRY != "required"]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if small graphs and narrow states were worth it."""
    monkeypatch.setattr(colour, "LEAST_WIDTH", 1)
    monkeypatch.setattr(colour, "LEAST_ROWS", 1)


def batches(count: int = 3, seed: int = 0) -> list[Graph]:
    """Batches of small sparse graphs whose atoms and bonds are rows of the same tables: environments recur."""
    rng = torch.Generator().manual_seed(seed)
    tables = make_tables(rng)
    return [batch([random_graph(int(n), 0.3, rng, tables) for n in torch.randint(1, 9, (20,), generator=rng)]) for _ in range(count)]


def network(name: str) -> MPNN:
    torch.manual_seed(0)
    narrow = {"d": 16} if "d" in inspect.signature(zoo.load(name).build).parameters else {}
    net = zoo.build(name, Inputs(ATOMS, BONDS, False), 2, narrow).to(DTYPE)
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net.eval()


def plain(net: nn.Module, graph: Graph) -> Tensor:
    with torch.inference_mode(), algebra(False):
        y: Tensor = net(graph)["y"]
    return y


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("name", FLAT)
def test_the_same_numbers(name: str) -> None:
    net, kept, graphs = network(name), Environments(), batches()
    kept.check(net, graphs[0])
    assert not kept.off
    for graph in [*graphs, graphs[0]]:
        y = plain(net, graph)
        assert torch.allclose(kept.predict(net, graph)["y"], y, rtol=1e-9, atol=1e-10 * float(y.abs().max()))


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("rows", [4, 30])
def test_graphs_too_small_for_colours_come_after_large_ones(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "LEAST_WIDTH", 1)
    monkeypatch.setattr(colour, "LEAST_ROWS", rows)
    net, kept, (first, *_) = network(name), Environments(), batches()
    kept.check(net, first)
    rng = torch.Generator().manual_seed(0)
    tables = make_tables(rng)  # those of `batches`
    for n in (1, 2, 3, 5, 8, 12):
        graph = batch([random_graph(n, 0.4, rng, tables)])
        y = plain(net, graph)
        assert torch.allclose(kept.predict(net, graph)["y"], y, rtol=1e-9, atol=1e-10 * float(y.abs().max()))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("name", "steps"), [("gcn", {1, 2, 3, 4}), ("gin", {1, 2, 3, 4}), ("sage", {1, 2}), ("dmpnn", {3})])
def test_nothing_is_computed_twice(name: str, steps: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    net, kept, graphs = network(name), Environments(), batches()
    kept.check(net, graphs[0])
    assert kept.keep >= {f"layer {k}" for k in steps}
    for graph in graphs * 3:  # what is nearly all new is not kept at first sight
        kept.predict(net, graph)
    used, seen = {what: table.used for what, table in kept.tables.items()}, []
    recall = Environments.recall

    def watched(self: Environments, what: object, distinct: colour.Distinct, compute: object, most: int) -> dict[str, Tensor] | None:
        return recall(self, what, distinct, lambda rows: seen.append(len(rows)) or compute(rows), most)  # type: ignore[arg-type, operator]

    monkeypatch.setattr(Environments, "recall", watched)
    for graph in graphs:
        kept.predict(net, graph)
    assert seen == [] and {what: table.used for what, table in kept.tables.items()} == used


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("room", [0, 3000, 30_000])
def test_memory_has_an_end(room: int) -> None:
    net, kept, graphs = network("gin"), Environments(room), batches()
    kept.check(net, graphs[0])
    for graph in graphs:
        assert torch.allclose(kept.predict(net, graph)["y"], plain(net, graph), rtol=1e-9, atol=1e-9)
    held = sum(rows.numel() * rows.element_size() for table in kept.tables.values() for rows in table.rows.values())  # with what is free
    assert held <= room and held == room - kept.left and (held > 0) == (room == 30_000)


class Neighbours(nn.Module):
    def forward(self, e: Edge) -> dict[str, Tensor]:
        return {"m": e.j["h"]}


class Same(nn.Module):
    """W relu(h_j) + W h_j: two maps by the same weights of two things of one colour."""

    def __init__(self, d: int):
        super().__init__()
        self.W = nn.Linear(d, d)

    def forward(self, e: Edge) -> dict[str, Tensor]:
        both = e.j["h"] + e.i["h"]
        return {"m": self.W(both) + self.W(both.relu())}


class Against(nn.Module):
    """relu(W m_i - mean over all nodes there are): no function of single nodes."""

    def __init__(self, d: int):
        super().__init__()
        self.W = nn.Linear(d, d)

    def forward(self, nodes: object, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        m = self.W(messages["m"])
        return {"h": (m - m.mean(0)).relu()}


class Start(nn.Module):
    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=dense(graph.nodes["x"]))


class Plus(nn.Module):
    def __init__(self, d: int):
        super().__init__()
        self.W = nn.Linear(d, d)

    def forward(self, nodes: object, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.W(messages["m"]).relu()}


@pytest.fixture
def graphs() -> Iterator[list[Graph]]:
    yield batches()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("case", ["mean over nodes", "one weight twice", "norm by graph"])
def test_what_is_no_function_of_single_nodes_is_found_out(case: str, graphs: list[Graph]) -> None:
    layers: dict[str, list[nn.Module]] = {
        "mean over nodes": [Layer(Neighbours(), Against(ATOMS))],
        "one weight twice": [Layer(Same(ATOMS), Plus(ATOMS))],
        "norm by graph": [Layer(Neighbours(), Plus(ATOMS)), GraphNorm(ATOMS)],
    }
    torch.manual_seed(0)
    net = MPNN(Start(), layers[case], Pool(Head(ATOMS, 1))).to(DTYPE).eval()
    kept = Environments()
    kept.check(net, graphs[0])
    assert kept.off == (case == "one weight twice")
    for graph in graphs:
        assert torch.allclose(kept.predict(net, graph)["y"], plain(net, graph), rtol=1e-9, atol=1e-9)
    assert case != "mean over nodes" or kept.single["layer 1"] == set()
    assert case != "norm by graph" or kept.single["layer 2"] == set()


@pytest.mark.usefixtures("narrow")
def test_a_graph_that_was_seen_is_as_good_as_a_fresh_one(graphs: list[Graph]) -> None:
    """Colours that are hashes and colours that are numbers do not meet."""
    net, kept = network("dmpnn"), Environments()
    kept.check(net, graphs[0])
    for graph in graphs:
        y = plain(net, graph)
        for _ in range(2):
            with torch.inference_mode():
                assert torch.allclose(net(graph)["y"], y, rtol=1e-9, atol=1e-9)
            assert torch.allclose(kept.predict(net, graph)["y"], y, rtol=1e-9, atol=1e-9)


def test_without_the_algebra_there_is_nothing_to_keep(graphs: list[Graph]) -> None:
    net, kept = network("gin"), Environments()
    with algebra(False):
        kept.check(net, graphs[0])
    assert kept.off and kept.tables == {}


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=30))
def test_hashes_of_multisets(sets: list[list[int]]) -> None:
    """Two are equal if and only if the multisets are, as with the numbers of `wl.multisets`."""
    values, index = torch.tensor([v for s in sets for v in s], dtype=torch.long), [k for k, s in enumerate(sets) for _ in s]
    segments = Segments(torch.tensor(index, dtype=torch.long), len(sets))
    with colour.kept_in(Environments()):
        hashes = colour.of_sum(values, segments)
    numbers = wl.multisets(values, segments)
    assert ((hashes[:, None] == hashes) == (numbers[:, None] == numbers)).all()
