"""Aggregations against a loop, with derivatives of first and second order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from heliograph import segment
from heliograph.kernels import outer_sum
from heliograph.topology import Segments

LOOP: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(0) if len(x) else x.sum(0),
    "max": lambda x: x.amax(0) if len(x) else x.sum(0),
    "min": lambda x: x.amin(0) if len(x) else x.sum(0),
    "prod": lambda x: x.prod(0),
    "std": lambda x: (x.var(0, unbiased=False) + 1e-5).sqrt() if len(x) else x.sum(0),
}


def cut(counts: list[int]) -> Segments:
    return Segments(torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.long)), len(counts))


@pytest.mark.parametrize("name", LOOP)
@given(
    counts=st.lists(st.integers(0, 6), min_size=0, max_size=8), trailing=st.sampled_from([(), (1,), (3,), (2, 3)]), seed=st.integers(0, 999)
)
@settings(max_examples=40, deadline=None)
def test_against_a_loop(name: str, counts: list[int], trailing: tuple[int, ...], seed: int) -> None:
    segments = cut(counts)
    x = torch.randn(sum(counts), *trailing, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    want = [LOOP[name](part) for part in x.split(counts)] if counts else []
    got = getattr(segment, name)(x, segments)
    assert got.shape == (len(counts), *trailing)
    assert torch.allclose(got, torch.stack(want) if want else x.new_zeros(0, *trailing), atol=1e-12)


@pytest.mark.parametrize("name", [*LOOP, "softmax"])
def test_first_and_second_derivatives(name: str) -> None:
    segments = cut([3, 0, 1, 4, 0])
    x = torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    f = lambda t: getattr(segment, name)(t, segments)  # noqa: E731
    assert gradcheck(f, x) and gradgradcheck(f, x)


def test_softmax_adds_up_to_one_and_survives_large_values() -> None:
    segments = cut([2, 0, 3])
    x = torch.tensor([1e4, 1e4 + 1, -1e4, 0.0, 5.0], dtype=torch.float64)
    weight = segment.softmax(x, segments)
    assert torch.allclose(segment.sum(weight, segments), torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))
    assert torch.allclose(weight[:2], torch.softmax(x[:2], 0)) and torch.allclose(weight[2:], torch.softmax(x[2:], 0))


def test_zeros_in_a_product_keep_their_gradient() -> None:
    x = torch.tensor([2.0, 0.0, 5.0], dtype=torch.float64, requires_grad=True)
    segment.prod(x, cut([3])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 10.0, 0.0]


def test_nan_survives() -> None:
    x = torch.tensor([1.0, float("nan"), 2.0])
    assert segment.sum(x, cut([2, 1])).isnan().tolist() == [True, False]


def test_outer_sum_against_einsum() -> None:
    segments, rng = cut([3, 0, 1, 4, 0]), torch.Generator().manual_seed(0)
    phi, x = (torch.randn(8, k, dtype=torch.float64, generator=rng, requires_grad=True) for k in (3, 2))
    want = torch.stack([torch.einsum("ek,ed->kd", p, q) for p, q in zip(phi.split([3, 0, 1, 4, 0]), x.split([3, 0, 1, 4, 0]), strict=True)])
    assert torch.allclose(outer_sum(phi, None, x, None, segments), want)
    assert gradcheck(lambda a, b: outer_sum(a, None, b, None, segments), (phi, x)) and gradgradcheck(
        lambda a, b: outer_sum(a, None, b, None, segments), (phi, x)
    )
