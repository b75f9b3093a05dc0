"""Processes against closed forms: the exact field of a Gaussian and of a mixture, the variance at every time, masks."""

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
from heliograph.generate.process import VP, Flow, Process, process, times

MEANS, SIGMAS, SHARES = torch.tensor([-1.5, 2.0]), torch.tensor([0.3, 0.6]), torch.tensor([0.4, 0.6])


def coefficients(p: Process, t: float) -> tuple[float, float]:
    """x_t = a x_1 + b noise."""
    if isinstance(p, Flow):
        return t, 1 - t
    a = float(p.alpha(torch.tensor(1 - t, dtype=torch.float64)))
    return a, math.sqrt(1 - a * a)


def exact(p: Process, x: Tensor, t: float) -> Tensor:
    """E[x_1 | x_t = x] where x_1 is the mixture of two Gaussians."""
    a, b = coefficients(p, t)
    variance = a * a * SIGMAS**2 + b * b  # [2]
    log = SHARES.log() - 0.5 * variance.log() - 0.5 * (x[:, None] - a * MEANS) ** 2 / variance
    each = MEANS + a * SIGMAS**2 / variance * (x[:, None] - a * MEANS)
    return (log.softmax(-1) * each).sum(-1)


def draw(p: Process, n: int, grid: Tensor, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, generator=rng, dtype=torch.float64)
    for t, after in zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True):
        x = p.step(x, exact(p, x, t), t, after - t, torch.randn(n, generator=rng, dtype=torch.float64))
    return x


@pytest.mark.parametrize("p", [Flow(), Flow(churn=1.0), VP(), VP(method="sde"), VP(method="ode")], ids=str)
def test_the_exact_field_gives_a_mixture_back(p: Process) -> None:
    grid = torch.linspace(0, 1, 401, dtype=torch.float64) if isinstance(p, VP) else times(200, 1e-3)
    x = draw(p, 4000, grid, 0)

    def cdf(y: np.ndarray) -> np.ndarray:
        each = stats.norm.cdf((np.asarray(y)[:, None] - MEANS.numpy()) / SIGMAS.numpy())
        return np.asarray(each @ SHARES.numpy())

    assert stats.kstest(x.numpy(), cdf).pvalue > 0.005
    assert float(x.mean()) == pytest.approx(float((SHARES * MEANS).sum()), abs=0.1)


@pytest.mark.parametrize("p", [Flow(), VP()], ids=str)
def test_noise_has_the_variance_of_its_time(p: Process) -> None:
    rng = torch.Generator().manual_seed(0)
    data, start = torch.full((200_000, 1), 3.0, dtype=torch.float64), torch.randn(200_000, 1, generator=rng, dtype=torch.float64)
    for t in (0.0, 0.2, 0.7, 0.999):
        state, move = p.noise(data, start, torch.full((200_000, 1), t, dtype=torch.float64))
        a, b = coefficients(p, t)
        assert float(state.mean()) == pytest.approx(3 * a, abs=0.01)
        assert float(state.std()) == pytest.approx(b, abs=0.01)
        torch.testing.assert_close(state + (1 - t) * move, data, rtol=1e-9, atol=1e-9)


def test_alpha_is_the_integral_of_beta() -> None:
    from scipy.integrate import quad

    p = VP()
    for s in (0.1, 0.5, 1.0):
        expected = math.exp(-0.5 * quad(p.beta, 0, s)[0])
        assert float(p.alpha(torch.tensor(s, dtype=torch.float64))) == pytest.approx(expected, rel=1e-12)


def test_steps_converge_at_first_order() -> None:
    """Euler's error falls with the step: against a run of 4,096 steps, from the same start, without noise."""

    def end(p: Process, steps: int) -> Tensor:
        x, nothing = torch.linspace(-2, 2, 9, dtype=torch.float64), torch.zeros(9, dtype=torch.float64)
        grid = torch.linspace(0, 0.9, steps + 1, dtype=torch.float64)
        for t, after in zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True):
            x = p.step(x, exact(p, x, t), t, after - t, nothing)
        return x

    for p in (Flow(), VP(method="ode")):
        whole = end(p, 4096)
        errors = [float((end(p, n) - whole).abs().max()) for n in (64, 128, 256)]
        assert errors[0] / errors[1] == pytest.approx(2, abs=0.35)
        assert errors[1] / errors[2] == pytest.approx(2, abs=0.35)


def test_one_step_lands_on_the_prediction() -> None:
    x, data, fresh = torch.randn(5, 3), torch.randn(5, 3), torch.randn(5, 3)
    torch.testing.assert_close(Flow().step(x, data, 0.0, 1.0, fresh), data)
    torch.testing.assert_close(VP().step(x, data, 0.4, 0.6, fresh), data, rtol=1e-5, atol=1e-5)


def test_times_are_denser_near_the_data() -> None:
    grid = times(50)
    assert grid[0] == 0 and grid[-1] == 1 and len(grid) == 51
    assert (grid.diff() > 0).all() and grid.diff()[0] > 5 * grid.diff()[-2]
    assert times(1).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("churn", [0.0, 4.0])
def test_masks_keep_their_marginals(churn: float) -> None:
    """With the exact prediction of independent types, a share t of them is shown at time t, distributed as the types are."""
    rng, share, n, masked = torch.Generator().manual_seed(0), torch.tensor([0.5, 0.3, 0.2]), 40_000, 3
    state, grid = torch.full((n,), masked), torch.linspace(0, 1, 101).tolist()
    for t, after in itertools.pairwise(grid):
        state = discrete.step(state, share.log().expand(n, 3), t, after - t, masked, churn, rng)
        if after in (grid[25], grid[60], grid[100]):
            assert float((state != masked).float().mean()) == pytest.approx(after, abs=0.03 if churn else 0.01)
    found = torch.bincount(state, minlength=4) / n
    torch.testing.assert_close(found[:3], share, rtol=0, atol=0.015)
    assert found[3] == 0
    torch.manual_seed(0)
    hidden = discrete.mask(torch.zeros(n, dtype=torch.long), torch.full((n,), 0.3), masked) == masked
    assert float(hidden.float().mean()) == pytest.approx(0.7, abs=0.01)


def test_names() -> None:
    assert process("flow") == Flow() and process("sde") == VP(method="sde")
    with pytest.raises(UsageError, match="--process flwo: did you mean 'flow'"):
        process("flwo")
