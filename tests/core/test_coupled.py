"""Sums over a list of terms: features coupled on edges, and polynomials of a node's features, against plain PyTorch with derivatives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from heliograph import kernels
from heliograph.topology import Segments

D = 3


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_() for shape in shapes]


def agree(f: Callable[..., Tensor], inputs: list[Tensor]) -> Tensor:
    results = []
    for which in ("fused", "reference"):
        with kernels.use(which):
            results.append(f(*inputs))
    assert torch.allclose(*results, atol=1e-13)
    assert torch.autograd.gradcheck(f, inputs) and torch.autograd.gradgradcheck(f, inputs)
    return results[0]


@pytest.mark.parametrize("shared", [True, False])
def test_coupled_features(shared: bool) -> None:
    segments, terms = Segments(torch.tensor([0, 0, 1, 3, 3]), 5), torch.tensor([[0, 1, 1, 3, 0, 2], [0, 0, 1, 1, 1, 0], [2, 0, 2, 1, 3, 3]])
    of_a, of_b, of_y = torch.tensor([3, 0, 1, 1, 2]), torch.tensor([1, 1, 0, 2, 0]), torch.tensor([0, 1, 1, 0, 2]) if shared else None
    inputs = drawn((3 if shared else 5, 6), (4, 4, D), (3, 2, D))
    out = agree(lambda y, a, b: kernels.coupled_sum(y, of_y, a, of_a, b, of_b, terms, 4, segments), inputs)
    assert out.shape == (5, 4, D) and not out[2].any() and not out[4].any()


def test_a_list_of_equal_rows_is_the_form() -> None:
    y, a, b = drawn((5, 3), (4, 3, D), (2, 3, D))
    segments, of_a, of_b = Segments(torch.tensor([0, 0, 1, 3, 3]), 5), torch.tensor([3, 0, 1, 1, 2]), torch.tensor([1, 1, 0, 1, 0])
    terms = torch.arange(3).expand(3, 3)
    assert torch.allclose(
        kernels.coupled_sum(y, None, a, of_a, b, of_b, terms, 3, segments), kernels.form_sum(y, None, a, of_a, b, of_b, segments)
    )


def test_polynomials_of_nodes() -> None:
    terms = torch.tensor([[0, 0, 1, 2], [0, 1, 1, 2], [0, 3, 3, 2], [0, 1, 0, 1]])
    index = torch.tensor([1, 0, 1, 1])
    w, x = drawn((2, 4, D), (4, 4, D))
    out = agree(lambda w, x: kernels.polynomial(w, index, x, terms, 2), [w, x])
    expected = w[index, 1] * x[:, 0] * x[:, 1] * x[:, 3] + w[index, 3] * x[:, 2] ** 3
    assert torch.allclose(out[:, 1], expected)
