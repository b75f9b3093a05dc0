"""The edge algebra: every identity against the plain evaluation, in value, first and second derivative."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import segment, zoo
from heliograph.algebra import use as algebra
from heliograph.algebra.expression import Cat, Gather, Linear, Map, Sum
from heliograph.algebra.product import Product
from heliograph.edge import Edge, EdgeTensor
from heliograph.errors import HeliographError
from heliograph.graph import Graph, Indexed, dense
from tests.graphs import DTYPE, awkward

torch.manual_seed(0)
D = 4
lin, no_bias, wide = nn.Linear(D, 3).to(DTYPE), nn.Linear(D, 3, bias=False).to(DTYPE), nn.Linear(3 * D, 3).to(DTYPE)
square, two, net = (
    nn.Linear(D, D).to(DTYPE),
    nn.Linear(3, 2).to(DTYPE),
    nn.Sequential(nn.Linear(3 * D, 6), nn.SiLU(), nn.Linear(6, 2)).to(DTYPE),
)
matrix, norm, bn = nn.Linear(D, 3 * D).to(DTYPE), nn.LayerNorm(D).to(DTYPE), nn.BatchNorm1d(D).to(DTYPE)
row = torch.randn(D, dtype=DTYPE)

MESSAGES: dict[str, Callable[[Edge], Any]] = {
    "gather": lambda e: e.j["h"],
    "receiver": lambda e: e.i["h"],
    "edge": lambda e: e.e["w"],
    "types": lambda e: e.e["t"],
    "reverse": lambda e: e.reverse["w"],
    "linear of a gather": lambda e: lin(e.j["h"]),
    "linear of types": lambda e: lin(e.e["t"]),
    "linear of an edge feature": lambda e: lin(e.e["w"]),
    "linear without bias": lambda e: no_bias(e.e["w"]),
    "function of a gather": lambda e: e.j["h"].tanh(),
    "linear of a cat": lambda e: wide(torch.cat([e.j["h"], e.i["h"], e.e["t"]], -1)),
    "linear of a cat with edges": lambda e: wide(torch.cat([e.e["w"], e.i["h"], e.reverse["w"]], -1)),
    "function of a cat": lambda e: torch.cat([e.j["h"], e.e["w"]], -1).relu(),
    "row taken from a cat": lambda e: torch.cat([e.j["h"][..., :2], e.e["w"][..., :2]], -1) - row,
    "cat within one table": lambda e: torch.cat([e.j["h"][..., :2], e.j["g"][..., :2]], -1) - row,
    "pair mlp": lambda e: net(torch.cat([e.j["h"], e.i["h"], e.e["w"]], -1)),
    "linear after a function": lambda e: lin(F.silu(e.j["h"] + e.e["w"])),
    "two linears": lambda e: two(lin(e.e["w"])),
    "sum of tables": lambda e: square(e.j["h"] + e.i["h"] - e.e["t"]),
    "sum with itself": lambda e: e.j["h"] + e.j["g"] + e.i["h"] + e.i["g"],
    "difference": lambda e: 1 - (e.j["h"] - e.i["h"]) / 2,
    "reflected difference": lambda e: dense_w(e) - e.j["h"],
    "product": lambda e: e.j["h"] * e.e["w"] * e.i["h"],
    "product in one table": lambda e: e.j["h"] * e.j["g"],
    "product of columns": lambda e: e.j["h"] * e.e["w"][..., :1] * e.i["h"][..., 1:2],
    "scaled by columns": lambda e: e.j["h"] * e.j["g"][..., :1] * e.i["g"][..., 1:2],
    "linear of a scaled table": lambda e: lin(e.j["h"] * e.j["g"][..., :1]),
    "function of a scaled table": lambda e: (e.j["h"] * e.j["g"][..., :1]).tanh(),
    "constant row": lambda e: e.j["h"] * row + row,
    "outer with a constant": lambda e: e.e["w"][..., :1] - row,
    "power and division": lambda e: (e.e["w"] ** 2 + 1) / (e.j["h"].square() + 1),
    "masked": lambda e: torch.relu(e.j["h"] + e.e["w"]) * e.e["near"],
    "masked by a table": lambda e: lin(F.silu(e.j["h"] + e.e["w"])) * e.e["kind"] * e.e["near"],
    "dot product": lambda e: (e.j["h"] * e.i["h"]).sum(-1),
    "scores": lambda e: (heads(e.i["h"]) * heads(e.j["g"])).sum(dim=-1),
    "scores of three": lambda e: (heads(e.i["h"]) * heads(e.j["g"]) * heads(e.e["t"])).sum(-1),
    "scores in one table": lambda e: (heads(e.j["h"]) * heads(e.j["g"])).sum(-1),
    "scores that broadcast": lambda e: (heads(e.i["h"]) * e.e["w"].unsqueeze(-1)[:, :2]).sum(-1),
    "sum over channels": lambda e: (e.j["h"] * e.i["h"]).sum(-1, keepdim=True) * e.j["h"],
    "norm": lambda e: (e.j["h"] - e.i["h"]).norm(dim=-1, keepdim=True),
    "layer norm": lambda e: norm(e.j["h"]) + norm(e.e["w"]),
    "batch norm": lambda e: bn(e.j["h"]),
    "chunk": lambda e: torch.cat(e.j["h"].chunk(2, -1)[::-1], -1),
    "heads": lambda e: (e.j["h"].unflatten(-1, (2, -1)) * e.e["w"].unflatten(-1, (2, -1)).sum(-1, keepdim=True)).flatten(1),
    "softmax over edges": lambda e: segment.softmax(e.j["h"] + e.i["h"], e.graph.topology.incoming) * e.j["g"],
    "matrix per edge": lambda e: (matrix(e.e["w"].tanh()).unflatten(-1, (3, D)) @ e.j["h"].unsqueeze(-1)).squeeze(-1),
    "matrix per type": lambda e: (matrix(e.e["t"]).unflatten(-1, (3, D)) @ e.j["h"].unsqueeze(-1)).squeeze(-1),
    "matrix per edge, column": lambda e: matrix(e.e["w"]).unflatten(-1, (3, D)) @ e.j["h"].unsqueeze(-1),
    "matmul": lambda e: e.j["h"] @ lin.weight.T,
    "outside the algebra": lambda e: torch.flip(e.j["h"], [-1]).cumsum(0) + torch.where(e.e["w"] > 0, e.e["w"], e.j["h"]),
    "inplace relu": lambda e: F.relu(e.j["h"] + e.e["w"], inplace=True) * 2,
}


def heads(x: Any) -> Any:
    return x.unflatten(-1, (2, -1))


def dense_w(e: Edge) -> Tensor:
    w = e.e["w"]
    return w.dense() if isinstance(w, EdgeTensor) else w


def inputs(seed: int = 0) -> tuple[Graph, list[Tensor]]:
    base, rng = awkward(seed), torch.Generator().manual_seed(seed)
    make = lambda n: torch.randn(n, D, generator=rng, dtype=DTYPE, requires_grad=True)  # noqa: E731
    h, g, w, table = make(base.N), make(base.N), make(base.E), make(3)
    index = torch.randint(3, (base.E,), generator=rng)
    near, kind = torch.rand(base.E, 1, generator=rng, dtype=DTYPE), Indexed(torch.tensor([[0.0], [0.5], [1.0]], dtype=DTYPE), index)
    edges = {"w": w, "t": Indexed(table, index), "near": near * (near > 0.7), "kind": kind}
    return base.with_nodes(h=h, g=g).with_edges(**edges), [h, g, w, table]


def evaluate(message: Callable[[Edge], Any], aggregate: Any, on: bool, seed: int = 0) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Value, gradients, and gradients of the gradients' norm."""
    graph, leaves = inputs(seed)
    with algebra(on):
        value = aggregate(message(Edge(graph)), graph.topology.incoming)
    weight = torch.linspace(-1, 1, value.numel(), dtype=DTYPE).view(value.shape)
    parameters = [*leaves, lin.weight, wide.weight, net[0].weight, matrix.weight, matrix.bias]
    first = torch.autograd.grad((value.sin() * weight).sum(), parameters, create_graph=True, materialize_grads=True)
    second = (
        torch.autograd.grad(
            sum((g.square().sum() for g in first), start=torch.zeros((), dtype=DTYPE)),
            parameters,
            materialize_grads=True,
            allow_unused=True,
        )
        if any(g.requires_grad for g in first)
        else []
    )
    return value, list(first), list(second)


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("aggregate", [segment.sum, segment.mean, segment.max], ids=["sum", "mean", "max"])
def test_on_equals_off(name: str, aggregate: Any) -> None:
    for seed in (0, 1):
        value, first, second = evaluate(MESSAGES[name], aggregate, True, seed)
        plain, plain_first, plain_second = evaluate(MESSAGES[name], aggregate, False, seed)
        assert value.shape == plain.shape and torch.allclose(value, plain, atol=1e-12)
        for a, b in zip([*first, *second], [*plain_first, *plain_second], strict=True):
            assert torch.allclose(a, b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", MESSAGES)
def test_shapes_are_told_before_anything_is_computed(name: str) -> None:
    message = MESSAGES[name](Edge(inputs()[0]))
    if isinstance(message, EdgeTensor):
        assert message.shape == message.dense().shape and message.dim() == message.dense().dim() and len(message) == len(message.dense())


def expression(name: str) -> Any:
    return MESSAGES[name](Edge(inputs()[0])).expression


def test_what_stays_on_the_tables() -> None:
    """The identities are used, not only right: where the rows are."""
    graph = inputs()[0]
    assert graph.N < graph.E
    for name in (
        "gather",
        "linear of a gather",
        "function of a gather",
        "product in one table",
        "constant row",
        "cat within one table",
        "linear of a scaled table",
        "function of a scaled table",
    ):
        e = expression(name)
        assert isinstance(e, Gather) and len(e.table) == graph.N, name
    assert len(expression("linear of types").table) == 3
    mixed = expression("linear of a cat")
    assert isinstance(mixed, Sum) and sorted(len(t.table) for t in mixed.terms) == [3, graph.N, graph.N]
    assert isinstance(expression("function of a cat"), Cat) and isinstance(expression("product"), Product)
    assert isinstance(expression("linear after a function"), Linear) and isinstance(expression("linear after a function").inner, Map)
    assert isinstance(expression("sum with itself"), Sum) and len(expression("sum with itself").terms) == 2


def test_linear_after_the_sum_runs_on_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    original = F.linear
    monkeypatch.setattr(F, "linear", lambda x, *a: (rows.append(len(x)), original(x, *a))[1])
    graph = inputs()[0]
    segment.sum(MESSAGES["linear after a function"](Edge(graph)), graph.topology.incoming)
    assert rows[-1] == graph.N


def test_no_matrix_per_edge_is_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one tensor of E x a x b numbers appears in the edge network's message."""
    from torch.utils._python_dispatch import TorchDispatchMode

    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in (result if isinstance(result, (tuple, list)) else [result]) if isinstance(t, Tensor))
            return result

    graph, rng = inputs()[0], torch.Generator().manual_seed(0)
    big, d = nn.Linear(8, 32 * 32).to(DTYPE), 32
    graph = graph.with_nodes(h=torch.randn(graph.N, d, generator=rng, dtype=DTYPE)).with_edges(
        w=torch.randn(graph.E, 8, generator=rng, dtype=DTYPE)
    )
    with Watch():
        e = Edge(graph)
        segment.sum((big(e.e["w"]).unflatten(-1, (d, d)) @ e.j["h"].unsqueeze(-1)).squeeze(-1), graph.topology.incoming)
    assert max(sizes) < graph.E * d * d / 2


def test_what_a_mask_of_data_leaves_out_is_not_computed() -> None:
    graph, (h, *_) = inputs()
    seen: list[int] = []

    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return x.exp()

    e, watched = Edge(graph), Watched()
    pairs = (e.j["h"] + e.e["w"]).expression
    few = EdgeTensor(Map(watched, pairs)) * e.e["near"]
    few.expression.total(graph.topology.incoming)
    assert seen == [int((dense(graph.edges["near"]) != 0).sum())] and seen[0] < graph.E / 2
    learned = EdgeTensor(Map(watched, pairs)) * (e.e["near"] * h.mean())
    learned.expression.total(graph.topology.incoming)
    assert seen[1:] == [graph.E]  # its derivative is wanted where it is zero, too


def test_scores_need_no_products_on_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    e = Edge(inputs()[0])
    product = (heads(e.i["h"]) * heads(e.j["g"])).expression
    monkeypatch.setattr(Product, "compute", lambda _: pytest.fail("products were formed"))
    assert tuple(EdgeTensor(product).sum(-1).shape) == (e.graph.E, 2)


def test_dropout_that_drops_gives_each_edge_its_own_noise() -> None:
    graph = inputs()[0]
    assert isinstance(F.dropout(Edge(graph).j["h"], 0.5, training=False), EdgeTensor)
    noisy = F.dropout(Edge(graph).j["h"] * 0 + 1, 0.5, training=True)
    assert isinstance(noisy, Tensor)
    senders = graph.topology.senders
    same = senders[:, None] == senders[None, :]
    assert bool(((noisy[:, None] != noisy[None, :]).any(-1) & same).any())


def test_in_place_raises_and_inplace_flag_rebinds() -> None:
    x = Edge(inputs()[0]).j["h"]
    with pytest.raises(HeliographError, match="in-place relu_"):
        x.relu_()
    y = nn.ReLU(inplace=True)(x)
    assert torch.equal(x.dense(), y.dense()) and bool((x.dense() >= 0).all())


def test_one_edge_and_none() -> None:
    for senders in (torch.tensor([0]), torch.zeros(0, dtype=torch.long)):
        graph = Graph.build(
            senders,
            senders + 1,
            [2],
            [len(senders)],
            nodes={"h": torch.randn(2, D, dtype=DTYPE)},
            edges={"w": torch.randn(len(senders), D, dtype=DTYPE)},
        )
        for name in ("linear of a gather", "product", "linear after a function", "matrix per edge"):
            with algebra(True):
                on = segment.sum(MESSAGES[name](Edge(graph)), graph.topology.incoming)
            with algebra(False):
                off = segment.sum(MESSAGES[name](Edge(graph)), graph.topology.incoming)
            assert torch.allclose(on, off)


COMPILED = """
import sys
import torch
from torch._dynamo import config
from heliograph import zoo
from heliograph.model import Inputs
from tests.graphs import ATOMS, BONDS, awkward, strange

config.error_on_recompile = True  # one program for batches of all sizes
for name in sys.argv[1:]:
    torch.compiler.reset()
    module = zoo.load(name)
    geometry = module.GEOMETRY == "required"
    net = zoo.build(name, Inputs(ATOMS, BONDS, geometry), 1).double()
    for part in net.modules():
        if type(part).__name__ == "Dropout":
            part.p = 0.0  # its masks are PyTorch's where it compiles
    view, net.view = net.view, None  # a view decides from data how many edges there are
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True, dynamic=True)
    for graph in (awkward(), strange()):
        graph = graph.to(dtype=torch.float64)
        graph = graph if view is None else view(graph)
        y, plain = compiled(graph)["y"], net(graph)["y"]
        assert torch.allclose(y, plain, atol=1e-12), name
        weights = list(net.parameters())
        for a, b in zip(*(torch.autograd.grad(out.sum(), weights, allow_unused=True) for out in (y, plain)), strict=True):
            assert (a is None) == (b is None) and (a is None or torch.allclose(a, b, atol=1e-10)), name
"""


# which nodes are taken out, how many sets or hyperedges there are: only data says
UNKNOWN = {"allset", "graphormer", "hgnn", "kgnn", "nerve", "san", "unigcnii"}


@pytest.mark.parametrize("names", [["gat"], pytest.param([n for n in zoo.names() if n not in UNKNOWN], marks=pytest.mark.slow)])
def test_the_compiler_passes_through(names: list[str]) -> None:
    """In a process of its own: the run-time checks of shapes are not made for a compiler."""
    command = [sys.executable, "-W", "ignore", "-c", COMPILED, *names]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], timeout=1200, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


def test_the_switches() -> None:
    with algebra(False):
        assert isinstance(Edge(inputs()[0]).j["h"], Tensor)
    assert isinstance(Edge(inputs()[0]).j["h"], EdgeTensor) and isinstance(dense(inputs()[0].edges["t"]), Tensor)


def test_the_environment_switch() -> None:
    code = """
import importlib, os
from heliograph.algebra import switch
for value in ("0", "1"):
    os.environ["HELIOGRAPH_ALGEBRA"] = value
    print(importlib.reload(switch).enabled())
"""
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]
