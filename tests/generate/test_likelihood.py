"""Processes against closed forms: likelihoods of a Gaussian and of mixtures, covariances, KS over many seeds, orders, marginals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from heliograph.errors import UsageError
from heliograph.generate import discrete
from heliograph.generate.likelihood import log_likelihood, log_volume
from heliograph.generate.process import VP, Flow, Process
from tests.generate.test_process import MEANS, SHARES, SIGMAS, coefficients, draw, exact

MEAN = torch.tensor([0.7, -1.2], dtype=torch.float64)
SPREAD = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)


def gaussian(p: Process) -> object:
    """E[x_1 | x_t] of N(MEAN, SPREAD)."""

    def predict(x: Tensor, t: float) -> Tensor:
        a, b = coefficients(p, t)
        gain = a * SPREAD @ torch.linalg.inv(a * a * SPREAD + b * b * torch.eye(2, dtype=torch.float64))
        return MEAN + (x - a * MEAN) @ gain.T

    return predict


@pytest.mark.parametrize(("p", "nearest"), [(Flow(), 1e-5), (VP(high=60.0, method="ode"), 1e-5)], ids=str)
def test_likelihood_of_a_gaussian_to_a_ten_thousandth(p: Process, nearest: float) -> None:
    x = MEAN + torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ torch.linalg.cholesky(SPREAD).T
    found = log_likelihood(p, gaussian(p), x, steps=400, nearest=nearest)  # type: ignore[arg-type]
    expected = stats.multivariate_normal(MEAN.numpy(), SPREAD.numpy()).logpdf(x.numpy())
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_likelihood_of_a_mixture() -> None:
    x = torch.linspace(-3, 4, 15, dtype=torch.float64)[:, None]
    found = log_likelihood(Flow(), lambda s, t: exact(Flow(), s[:, 0], t)[:, None], x, steps=300, nearest=1e-5)
    density = sum(float(w) * stats.norm.pdf(x[:, 0].numpy(), float(m), float(s)) for w, m, s in zip(SHARES, MEANS, SIGMAS, strict=True))
    np.testing.assert_allclose(found.numpy(), np.log(density), atol=2e-3)
    with pytest.raises(UsageError, match="without noise"):
        log_likelihood(VP(), gaussian(VP()), x)  # type: ignore[arg-type]


@pytest.mark.parametrize("dim", [1, 3])
def test_annealed_importance_sampling_knows_a_volume(dim: int) -> None:
    """Of 7 times a mixture of two normal densities: log 7, within its own interval for most seeds."""

    def log_f(x: Tensor) -> Tensor:
        each = [
            math.log(w) - 0.5 * ((x - m) / s).square().sum(1) - dim * math.log(s * math.sqrt(2 * math.pi))
            for w, m, s in zip(SHARES.tolist(), MEANS.tolist(), SIGMAS.tolist(), strict=True)
        ]
        return torch.stack(each).logsumexp(0) + math.log(7)

    found = [log_volume(log_f, dim, seed=k) for k in range(12)]
    scores = np.array([(f.value - math.log(7)) / f.error for f in found])
    assert (np.abs(scores) < 2.2).mean() >= 0.8
    assert all(f.error < 0.25 for f in found)


@pytest.mark.parametrize("p", [Flow(), Flow(churn=1.0), VP(), VP(method="sde"), VP(method="ode")], ids=str)
def test_mean_and_covariance_of_a_gaussian(p: Process) -> None:
    rng, n = torch.Generator().manual_seed(1), 6000
    x, predict = torch.randn(n, 2, generator=rng, dtype=torch.float64), gaussian(p)
    grid = torch.linspace(0, 1, 301, dtype=torch.float64).tolist()
    for t, after in itertools.pairwise(grid):
        x = p.step(x, predict(x, t), t, after - t, torch.randn(n, 2, generator=rng, dtype=torch.float64))  # type: ignore[operator]
    torch.testing.assert_close(x.mean(0), MEAN, rtol=0, atol=0.05)
    torch.testing.assert_close(torch.cov(x.T), SPREAD, rtol=0, atol=0.06)


def test_the_equations_variance_at_every_time() -> None:
    """Forward Euler-Maruyama of the variance-preserving equation from a point: N(alpha x, 1 - alpha^2) at each s."""
    p, rng, n, steps = VP(), torch.Generator().manual_seed(0), 20_000, 1000
    x = torch.full((n,), 2.0, dtype=torch.float64)
    for k in range(steps):
        beta = p.beta((k + 0.5) / steps)
        x = x - beta * x / 2 / steps + math.sqrt(beta / steps) * torch.randn(n, generator=rng, dtype=torch.float64)
        if k + 1 in (50, 200, 500, 1000):
            alpha = float(p.alpha(torch.tensor((k + 1) / steps, dtype=torch.float64)))
            assert float(x.mean()) == pytest.approx(2 * alpha, abs=0.03)
            assert float(x.var()) == pytest.approx(1 - alpha**2, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("p", [Flow(), VP(), VP(method="ode")], ids=str)
def test_p_values_over_a_hundred_seeds_are_as_chance_has_them(p: Process) -> None:
    grid = torch.linspace(0, 1, 401, dtype=torch.float64)

    def cdf(y: np.ndarray) -> np.ndarray:
        return np.asarray(stats.norm.cdf((np.asarray(y)[:, None] - MEANS.numpy()) / SIGMAS.numpy()) @ SHARES.numpy())

    values = [stats.kstest(draw(p, 400, grid, seed).numpy(), cdf).pvalue for seed in range(100)]
    assert stats.kstest(values, "uniform", alternative="greater").pvalue > 0.01  # not smaller than uniform ones


def test_masks_reach_a_known_table_of_two_dependent_types() -> None:
    """Two positions with a joint table and its exact conditional predictions: pairs come out as often as the table says."""
    table = torch.tensor([[0.4, 0.1, 0.0], [0.05, 0.25, 0.2]], dtype=torch.float64)
    n, masked, steps = 10_000, 3, 100
    rng = torch.Generator().manual_seed(0)
    state = torch.full((n, 2), masked)
    grid = np.linspace(0, 1, steps + 1).tolist()
    for t, after in itertools.pairwise(grid):
        padded = torch.cat([table, torch.zeros(1, 3, dtype=torch.float64)])
        rows = padded / padded.sum(1, keepdim=True).clamp(min=1e-12)  # second given the first
        columns = (table / table.sum(0)).T  # first given the second
        first = torch.where(state[:, 1:] == masked, table.sum(1), columns[state[:, 1].clamp(max=2)])
        second = torch.where(state[:, :1] == masked, table.sum(0), rows[state[:, 0].clamp(max=1)])
        a = discrete.step(state[:, 0], torch.cat([first, torch.zeros(n, 1)], 1).log(), t, after - t, masked, 2.0, rng)
        b = discrete.step(state[:, 1], second.log(), t, after - t, masked, 2.0, rng)
        state = torch.stack([a, b], 1)
    found = torch.bincount(state[:, 0] * 3 + state[:, 1], minlength=6).reshape(2, 3).double() / n
    torch.testing.assert_close(found, table, rtol=0, atol=0.025)


def test_the_likelihoods_step_converges_at_fourth_order() -> None:
    x = torch.tensor([[0.3, 2.0]], dtype=torch.float64)

    def found(steps: int) -> float:
        return float(log_likelihood(Flow(), gaussian(Flow()), x, steps=steps, nearest=1e-3)[0])  # type: ignore[arg-type]

    whole = found(400)
    errors = [abs(found(n) - whole) for n in (8, 16, 32)]
    assert 10 < errors[0] / errors[1] < 26 and 10 < errors[1] / errors[2] < 26
