"""The algebra on vectors [E, 3, F]: random messages of them, on = off; and what does not become a row for each edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from heliograph import algebra, kernels, segment
from heliograph.algebra.expression import Gather, Plus
from heliograph.algebra.product import Product
from heliograph.edge import Edge
from heliograph.graph import Graph, Indexed
from tests.core.test_expressions import agree
from tests.graphs import DTYPE

F = 4
torch.manual_seed(0)
mix, three = nn.Linear(F, F, bias=False).to(DTYPE), nn.Linear(F, 3 * F).to(DTYPE)
shift = nn.Linear(F, F).to(DTYPE)
PARAMETERS = [*mix.parameters(), *three.parameters(), *shift.parameters()]

SCALARS: dict[str, Callable[[Edge], Any]] = {  # [E, F]
    "s[j]": lambda e: e.j["s"],
    "s[i]": lambda e: e.i["s"],
    "filter": lambda e: shift(e.e["w"]),
    "pair": lambda e: e.e["p"],
    "product": lambda e: e.j["s"] * e.e["p"],
    "third": lambda e: (three(e.j["s"]) * three(e.e["p"])).chunk(3, -1)[1],
    "slice": lambda e: (three(e.j["s"]) * three(e.e["w"]) * e.e["cut"])[:, F : 2 * F],
    "quotient": lambda e: e.j["s"] / (1 + e.e["p"].square()),
    "other quotient": lambda e: e.e["w"] / (2 + e.i["s"].tanh()),
}
VECTORS: dict[str, Callable[[Edge], Any]] = {  # [E, 3, F]
    "v[j]": lambda e: e.j["v"],
    "v[i]": lambda e: e.i["v"],
    "direction": lambda e: e.e["u"][:, :, None] * e.e["w"][:, None, :],
    "mixed": lambda e: mix(e.j["v"]),
    "mixed by @": lambda e: e.i["v"] @ mix.weight.T,
}
TIMES: dict[str, Callable[[Any, Any], Any]] = {  # a scalar and a vector
    "by channel": lambda s, v: s[:, None, :] * v,
    "unsqueezed": lambda s, v: v * s.unsqueeze(1),
    "divided": lambda s, v: v / (2 + s.sigmoid())[:, None, :],
    "mixed": lambda s, v: mix(s.unsqueeze(-2) * v),
    "by axis": lambda s, v: v * s[:, :3, None],
}


def vectors(leaves: int = 5) -> st.SearchStrategy[Any]:
    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        scaled = st.tuples(st.sampled_from(list(TIMES)), st.sampled_from(list(SCALARS)), inner)
        return scaled | st.tuples(st.sampled_from(["+", "-"]), inner, inner)

    return st.recursive(st.sampled_from(list(VECTORS)), grow, max_leaves=leaves)


def message(tree: Any, e: Edge) -> Any:
    if isinstance(tree, str):
        return VECTORS[tree](e)
    if tree[0] in TIMES:
        return TIMES[tree[0]](SCALARS[tree[1]](e), message(tree[2], e))
    a, b = message(tree[1], e), message(tree[2], e)
    return a + b if tree[0] == "+" else a - b


def graph_of(N: int, E: int, seed: int) -> tuple[Graph, list[Tensor]]:
    """Any edges between N nodes, with scalars, vectors and directions; an empty graph behind it."""
    rng = torch.Generator().manual_seed(seed)
    E = E if N else 0
    ends = torch.randint(max(N, 1), (2, E), generator=rng)
    base = Graph.build(ends[0], ends[1], [N, 0], [E, 0])
    P = base.topology.pairs.P
    s, v, w, u, p = (
        torch.randn(*shape, generator=rng, dtype=DTYPE, requires_grad=True) for shape in ((N, F), (N, 3, F), (E, F), (E, 3), (P, F))
    )
    cut = (torch.rand(E, 1, generator=rng) < 0.6).to(DTYPE)
    graph = base.with_nodes(s=s, v=v).with_edges(w=w, u=u, p=Indexed(p, base.topology.pairs.index), cut=cut)
    return graph, [s, v, w, u, p]


def evaluate(tree: Any, aggregate: segment.Aggregate, graph: Graph, leaves: list[Tensor], on: bool) -> list[Tensor]:
    """Value, gradients, gradients of the gradients' squares."""
    with algebra.use(on), kernels.use("fused" if on else "reference"):
        value = aggregate(message(tree, Edge(graph)), graph.topology.incoming)
        inputs = [*leaves, *PARAMETERS]
        weight = torch.linspace(-1, 1, value.numel(), dtype=DTYPE).view(value.shape)
        first = torch.autograd.grad((value.sin() * weight).sum(), inputs, create_graph=True, materialize_grads=True)
        squares = torch.stack([g.square().sum() for g in first]).sum()
        second = torch.autograd.grad(squares, inputs, materialize_grads=True) if squares.requires_grad else ()
    return [value, *first, *second]


@given(vectors(), st.sampled_from([segment.sum, segment.mean, segment.max]), st.integers(0, 6), st.integers(0, 20), st.integers(0, 2**16))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_on_equals_off(tree: Any, aggregate: segment.Aggregate, N: int, E: int, seed: int) -> None:
    graph, leaves = graph_of(N, E, seed)
    agree(*(evaluate(tree, aggregate, graph, leaves, on) for on in (True, False)))


@pytest.mark.parametrize("name", [*SCALARS, *VECTORS])
@pytest.mark.parametrize(("N", "E"), [(5, 14), (1, 3), (4, 0), (0, 0)])
def test_each_leaf_by_itself(name: str, N: int, E: int) -> None:
    graph, leaves = graph_of(N, E, 3)
    tree = name if name in VECTORS else ("by channel", name, "v[j]")
    agree(*(evaluate(tree, segment.sum, graph, leaves, on) for on in (True, False)))


def test_what_stays_open() -> None:
    graph, _ = graph_of(6, 40, 0)
    e = Edge(graph)
    thirds = (three(e.j["s"]) * three(e.e["p"])).chunk(3, -1)
    assert all(isinstance(t.expression, Product) and t.shape == (40, F) for t in thirds)
    assert isinstance((e.j["s"] / e.e["p"]).expression, Product)
    assert isinstance((1 / e.j["s"]).expression, Gather)
    mixed = mix(e.j["v"]).expression
    assert isinstance(mixed, Gather) and len(mixed.table) == 6  # on nodes
    assert isinstance((thirds[0][:, None, :] * e.j["v"]).expression, Product)
    assert isinstance((thirds[0][:, None, :] * e.j["v"] + thirds[1].unsqueeze(1) * e.e["u"][:, :, None]).expression, Plus)


def test_no_vector_for_each_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """PaiNN's message (arXiv:2102.03150, eq. 8): of 3 F numbers an edge none is formed, of F at most."""
    graph, _ = graph_of(6, 60, 0)
    seen: list[tuple[int, ...]] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                seen.append(tuple(result.shape))
            return result

    def painn() -> Tensor:
        e = Edge(graph)
        a, b, _ = (three(e.j["s"]) * (three(e.e["p"]))).chunk(3, -1)
        return segment.sum(a[:, None, :] * e.j["v"] + b[:, None, :] * e.e["u"][:, :, None], graph.topology.incoming)

    for on in (True, False):
        seen.clear()
        with Watch(), torch.no_grad(), algebra.use(on):
            painn()
        assert ((60, 3, F) in seen) is not on
