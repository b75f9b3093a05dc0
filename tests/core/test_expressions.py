"""Random expressions out of what the algebra knows, on random graphs: with the algebra and without, the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import segment
from heliograph.algebra import colour, held, summable
from heliograph.algebra import use as algebra
from heliograph.algebra.activation import shifted_softplus
from heliograph.edge import Edge
from heliograph.graph import Graph, Indexed, dense
from heliograph.layer import Layer
from tests.graphs import DTYPE

D = 4
torch.manual_seed(1)
linear, half, wide = nn.Linear(D, D).to(DTYPE), nn.Linear(D, D // 2, bias=False).to(DTYPE), nn.Linear(2 * D, D).to(DTYPE)
norm, matrix, row = nn.LayerNorm(D).to(DTYPE), nn.Linear(D, D * D).to(DTYPE), torch.randn(D, dtype=DTYPE)
PARAMETERS = [*linear.parameters(), *half.parameters(), *wide.parameters(), *norm.parameters(), *matrix.parameters()]

Message = Callable[[Edge], Any]
LEAVES: dict[str, Message] = {
    "h[j]": lambda e: e.j["h"],
    "h[i]": lambda e: e.i["h"],
    "x[j]": lambda e: e.j["x"],
    "w": lambda e: e.e["w"],
    "type": lambda e: e.e["t"],
    "reverse w": lambda e: e.reverse["w"],
    "pair": lambda e: e.e["p"],
    "near": lambda e: torch.tanh(e.j["h"] + e.e["w"]) * e.e["near"],
}
DISCRETE: dict[str, Message] = {
    "x[j]": lambda e: e.j["x"],
    "x[i]": lambda e: e.i["x"],
    "type": lambda e: e.e["t"],
    "reverse type": lambda e: e.reverse["t"],
}
AFTER: dict[str, Message] = {**DISCRETE, "m[j]": lambda e: e.j["m"], "m[i]": lambda e: e.i["m"], "state": lambda e: e.e["s"],
                             "reverse state": lambda e: e.reverse["s"]}  # fmt: skip
NODES: dict[str, Message] = {"own m": lambda u: u["m"], "own x": lambda u: dense(u["x"]), "own kind": lambda u: u["kind"] * row,
                             "own h": lambda u: u["h"]}  # fmt: skip
LEAVES |= DISCRETE | AFTER | NODES
UNARY: dict[str, Callable[[Any], Any]] = {
    "linear": linear,
    "relu": torch.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "softplus": shifted_softplus,
    "layer norm": norm,
    "scale": lambda x: 0.5 * x - row,
    "swap halves": lambda x: torch.cat(x.chunk(2, -1)[::-1], -1),
    "double half": lambda x: torch.cat([half(x)] * 2, -1),
    "column": lambda x: x[..., :1] * row,
    "share": lambda x: x.unflatten(-1, (2, -1)).sum(-1, keepdim=True),  # a weight per head, [E, 2, 1]
    "unit": lambda x: x / (1 + x.square().sum(-1, keepdim=True)),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "cat": lambda a, b: wide(torch.cat([a, b], -1)),
    "matrix": lambda a, b: (matrix(a).unflatten(-1, (D, D)) @ b.unsqueeze(-1)).squeeze(-1),
    "scores": lambda a, b: torch.cat([(a.unflatten(-1, (2, -1)) * b.unflatten(-1, (2, -1))).sum(-1)] * 2, -1),
    "heads": lambda a, b: (UNARY["share"](a) * b.unflatten(-1, (2, -1))).flatten(1),
}
AGGREGATES = {"sum": segment.sum, "mean": segment.mean, "max": segment.max, "std": segment.std}


def trees(leaves: list[str]) -> st.SearchStrategy[Any]:
    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        one = st.tuples(st.sampled_from([k for k in UNARY if k != "share"]), inner)
        return one | st.tuples(st.sampled_from(list(BINARY)), inner, inner)

    return st.recursive(st.sampled_from(leaves), grow, max_leaves=6)


ALL = [name for name in LEAVES if name not in (*AFTER, *NODES) or name in DISCRETE]


def message(tree: Any, e: Edge) -> Any:
    if isinstance(tree, str):
        return LEAVES[tree](e)
    if len(tree) == 2:
        return UNARY[tree[0]](message(tree[1], e))
    return BINARY[tree[0]](message(tree[1], e), message(tree[2], e))


def graph_of(N: int, E: int, seed: int) -> tuple[Graph, list[Tensor]]:
    """Any edges between N nodes: self-loops, repeated edges, edges without a reverse, isolated nodes; an empty graph behind it."""
    rng = torch.Generator().manual_seed(seed)
    E = E if N else 0
    ends = torch.randint(max(N, 1), (2, E), generator=rng)
    base = Graph.build(ends[0], ends[1], [N, 0], [E, 0])
    rows = lambda n: torch.randn(n, D, generator=rng, dtype=DTYPE, requires_grad=True)  # noqa: E731
    h, x, w, t, p = rows(N), rows(2), rows(E), rows(3), rows(base.topology.pairs.P)
    graph = base.with_nodes(h=h, x=Indexed(x, torch.randint(2, (N,), generator=rng)))
    graph = graph.with_edges(w=w, t=Indexed(t, torch.randint(3, (E,), generator=rng)), p=Indexed(p, base.topology.pairs.index))
    graph = graph.with_nodes(kind=torch.randint(3, (N, 1), generator=rng).to(DTYPE))
    graph = graph.with_edges(near=(torch.rand(E, 1, generator=rng) < 0.4).to(DTYPE))
    return graph, [h, x, w, t, p]


def evaluate(tree: Any, aggregate: Any, graph: Graph, leaves: list[Tensor], on: bool, before: Any = None) -> list[Tensor]:
    """Value, gradients, gradients of the gradients' squares; `before`: a state of edges, summed into nodes, that `tree` may use."""
    with algebra(on):
        if before is not None:
            graph = graph.with_edges(**held({"s": message(before, Edge(graph))}))
            graph = graph.with_nodes(m=segment.sum(Edge(graph).e["s"], graph.topology.incoming))
        value = aggregate(message(tree, Edge(graph)), graph.topology.incoming)
    return [value, *derivatives(value, leaves)]


def derivatives(value: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    inputs = [*leaves, *PARAMETERS]
    weight = torch.linspace(-1, 1, value.numel(), dtype=DTYPE).view(value.shape)
    first = torch.autograd.grad((value.sin() * weight).sum(), inputs, create_graph=True, materialize_grads=True)
    squares = torch.stack([g.square().sum() for g in first]).sum()
    second = torch.autograd.grad(squares, inputs, materialize_grads=True) if squares.requires_grad else ()
    return [*first, *second]


def agree(*results: list[Tensor]) -> None:
    for fast, slow in zip(*results, strict=True):
        scale = 1 + float(slow.detach().abs().max()) if slow.numel() else 1.0
        assert fast.shape == slow.shape and torch.allclose(fast, slow, rtol=0, atol=1e-10 * scale)


@given(trees(ALL), st.sampled_from(list(AGGREGATES)), st.integers(0, 7), st.integers(0, 20), st.integers(0, 2**16))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_on_equals_off(tree: Any, aggregate: str, N: int, E: int, seed: int) -> None:
    graph, leaves = graph_of(N, E, seed)
    agree(*(evaluate(tree, AGGREGATES[aggregate], graph, leaves, on) for on in (True, False)))


@given(
    trees(list(DISCRETE)),
    trees(list(AFTER)),
    st.sampled_from(list(AGGREGATES)),
    st.integers(0, 7),
    st.integers(0, 20),
    st.integers(0, 2**16),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_rows_of_one_colour_are_computed_once(before: Any, tree: Any, aggregate: str, N: int, E: int, seed: int) -> None:
    graph, leaves = graph_of(N, E, seed)
    with mock.patch.multiple(colour, LEAST_ROWS=1, LEAST_WIDTH=1, LEAST_NUMBERS=1, MOST_TYPES=10.0, MOST_DISTINCT=1.0):
        fast = evaluate(tree, AGGREGATES[aggregate], graph, leaves, True, before)
    agree(fast, evaluate(tree, AGGREGATES[aggregate], graph, leaves, False, before))


class Written(nn.Module):
    """A tree as a message of edges or an update of nodes."""

    lazy = True

    def __init__(self, tree: Any, name: str):
        super().__init__()
        self.tree, self.name = tree, name

    def forward(self, e: Any, messages: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        return {self.name: message(self.tree, e if messages is None else {**e, **messages})}


def two_layers(first: Any, update: Any, second: Any, aggregate: Any, graph: Graph, leaves: list[Tensor], on: bool) -> list[Tensor]:
    """`update` of nodes between two messages: the states "m" that it makes are what the second message and update begin with."""
    with algebra(on):
        for tree in (first, second):
            graph = Layer(Written(tree, "m"), Written(update, "m"), aggregate)(graph)
        value = aggregate(summable(graph.nodes, "m", aggregate), graph.topology.nodes_by_graph)
        value = value + leaves[0].sum()  # there is always a gradient
    return [value, dense(graph.nodes["m"]), *derivatives(value, leaves)]


@given(
    trees(list(DISCRETE)),
    trees(["own m", "own m", "own x", "own kind", "own h"]),
    trees(["x[j]", "x[i]", "type", "m[j]", "m[j]", "m[i]"]),
    st.sampled_from(list(AGGREGATES)),
    st.integers(1, 9),
    st.integers(0, 20),
    st.integers(0, 2**16),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_nodes_of_one_colour_are_updated_once(first: Any, update: Any, second: Any, aggregate: str, N: int, E: int, seed: int) -> None:
    graph, leaves = graph_of(N, E, seed)
    with mock.patch.multiple(colour, LEAST_ROWS=1, LEAST_WIDTH=1, LEAST_NUMBERS=1, MOST_TYPES=10.0, MOST_DISTINCT=1.0):
        fast = two_layers(first, update, second, AGGREGATES[aggregate], graph, leaves, True)
    agree(fast, two_layers(first, update, second, AGGREGATES[aggregate], graph, leaves, False))
