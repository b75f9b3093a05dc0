"""The multilinear form: all four operators against plain PyTorch, with derivatives; what goes through it, and what does not."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import Tensor

from heliograph import kernels
from heliograph.algebra import use as algebra
from heliograph.edge import Edge
from heliograph.graph import Graph, Indexed
from heliograph.segment import sum as total
from heliograph.topology import Segments

D, M = 5, 3


def tables(rows_a: int, rows_b: int, weighted: bool) -> tuple[list[Tensor | None], list[Tensor | None], Segments]:
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()  # noqa: E731
    index = torch.tensor([0, 0, 1, 3, 3, 3, 4])
    E = len(index)
    a, b, y = draw(4, rows_a, D), draw(6, rows_b, D), draw(E, M) if weighted else None
    of_a, of_b = torch.randint(4, (E,), generator=g), torch.randint(6, (E,), generator=g)
    return [y, a, b], [None, of_a, of_b], Segments(index, 6)


@pytest.mark.parametrize(("rows_a", "rows_b", "weighted"), [(1, 1, True), (1, M, False), (M, 1, True), (M, M, True), (M, M, False)])
def test_values_and_derivatives_are_those_of_plain_tensors(rows_a: int, rows_b: int, weighted: bool) -> None:
    (y, a, b), (of_y, of_a, of_b), segments = tables(rows_a, rows_b, weighted)
    assert a is not None and b is not None

    def value(which: str, *x: Tensor) -> Tensor:
        w, p, q = x if weighted else (None, *x)
        with kernels.use(which):
            return kernels.form_sum(w, of_y, p, of_a, q, of_b, segments)

    inputs = [x for x in (y, a, b) if x is not None]
    fast, plain = value("fused", *inputs), value("reference", *inputs)
    assert fast.shape == (6, M, D) and torch.allclose(fast, plain, atol=1e-13) and not fast[2].any()
    assert torch.autograd.gradcheck(lambda *x: value("fused", *x), inputs)
    assert torch.autograd.gradgradcheck(lambda *x: value("fused", *x), inputs)


def test_products_of_vectors_take_this_way_and_give_what_the_plain_way_gives() -> None:
    g = torch.Generator().manual_seed(1)
    senders, receivers = torch.tensor([0, 1, 2, 2, 3, 0]), torch.tensor([0, 0, 1, 2, 2, 3])
    nodes = {"v": torch.randn(4, M, D, generator=g), "s": torch.randn(4, D, generator=g)}
    pairs = Indexed(torch.randn(3, D, generator=g), torch.tensor([0, 1, 1, 2, 0, 2]))
    graph = Graph.build(senders, receivers, [4], [6], nodes=nodes, edges={"unit": torch.randn(6, M, generator=g)})
    graph = graph.with_edges(w=pairs)

    def messages() -> list[Tensor]:
        e = Edge(graph)
        both = e.j["s"][:, None] * e.e["w"][:, None] * e.e["unit"][:, :, None]
        vector = e.j["v"] * e.j["s"][:, None] * e.e["w"][:, None]
        return [total(m, graph.topology.incoming) for m in (both, vector)]

    with mock.patch.object(kernels, "form_sum", wraps=kernels.form_sum) as form:
        fast = messages()
        assert form.call_count == 2
    with algebra(False):
        plain = messages()
    for a, b in zip(fast, plain, strict=True):
        assert a.shape == (4, M, D) and torch.allclose(a, b, atol=1e-6)
