"""Functions on knots: the operators against plain PyTorch, derivatives of every order, smoothness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from heliograph import kernels
from heliograph.kernels import knots

STEP, N = 0.25, 12  # knots from -0.75 to 3.75


def case(dtype: torch.dtype = torch.float64, P: int = 40) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(N + knots.TAPS - 1, 3, dtype=dtype, requires_grad=True)
    r = (torch.rand(P, dtype=dtype) * N * STEP).requires_grad_()
    return x, r


def ways(x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    with kernels.use("reference"):
        plain = kernels.interpolate(x, r, STEP)
    return kernels.interpolate(x, r, STEP), plain


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_operators_are_the_plain_sum_with_first_and_second_derivatives(dtype: torch.dtype) -> None:
    x, r = case(dtype)
    weight = torch.randn(len(r), 3, dtype=dtype)
    found = []
    for y in ways(x, r):
        first = torch.autograd.grad((weight * y.tanh()).sum(), (x, r), create_graph=True)
        loss = sum(g.square().sum() for g in first)
        found.append([y, *first, *torch.autograd.grad(loss, (x, r))])
    tolerance = 1e-11 if dtype == torch.float64 else 2e-5
    for a, b in zip(*found, strict=True):
        assert a.dtype == dtype and (a - b).abs().max() <= tolerance * b.abs().max()


def test_gradcheck_and_gradgradcheck() -> None:
    x, r = case(P=5)

    def f(x: Tensor, r: Tensor) -> Tensor:
        return kernels.interpolate(x, r, STEP)

    assert torch.autograd.gradcheck(f, (x, r)) and torch.autograd.gradgradcheck(f, (x, r))


def test_third_derivatives_are_differences_of_second_ones() -> None:
    x, r = case(P=3)

    def second(r: Tensor) -> Tensor:
        (first,) = torch.autograd.grad(kernels.interpolate(x, r, STEP).sin().sum(), r, create_graph=True)
        return torch.autograd.grad(first.sum(), r, create_graph=True)[0]

    (third,) = torch.autograd.grad(second(r).sum(), r)
    h = 1e-6
    assert torch.allclose(third, (second(r + h) - second(r - h)).detach() / (2 * h), rtol=1e-5)


def test_it_is_smooth_at_the_knots_and_exact_for_a_polynomial() -> None:
    x, _ = case()
    h = 1e-9
    for order, tolerance in ((0, 1e-7), (1, 1e-6), (2, 1e-5)):
        y = []
        for side in (-1, 1):
            r = (torch.arange(1, N, dtype=torch.float64) * STEP + side * h).requires_grad_()
            value = kernels.interpolate(x.detach(), r, STEP)[:, 0]
            for _ in range(order):
                (value,) = torch.autograd.grad(value.sum(), r, create_graph=True)
            y.append(value.detach())
        assert (y[0] - y[1]).abs().max() < tolerance * max(1.0, float(y[0].abs().max()))
    at = (torch.arange(N + knots.TAPS - 1, dtype=torch.float64) - knots.MARGIN) * STEP
    r = torch.linspace(0, N * STEP, 50, dtype=torch.float64)
    assert torch.allclose(kernels.interpolate((at**5 - 2 * at**3)[:, None], r, STEP)[:, 0], r**5 - 2 * r**3, atol=1e-10)


def test_the_number_of_threads_does_not_matter() -> None:
    x, r = case(torch.float32, P=4000)
    found = []
    before = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            y = kernels.interpolate(x, r, STEP)
            found.append([y, *torch.autograd.grad(y.square().sum(), (x, r))])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_no_pairs() -> None:
    x, _ = case()
    empty = torch.zeros(0, dtype=torch.float64, requires_grad=True)
    y = kernels.interpolate(x, empty, STEP)
    assert y.shape == (0, 3)
    assert not torch.autograd.grad(y.sum(), x)[0].any()
