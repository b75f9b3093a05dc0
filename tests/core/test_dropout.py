"""Dropout with a mask that is a hash of places: fair, reproducible, differentiable, and in every network of the zoo."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from heliograph import kernels, zoo
from heliograph.blocks import Dropout
from heliograph.kernels import noise
from heliograph.model import Inputs


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_is_a_fair_coin_for_each_element(p: float) -> None:
    torch.manual_seed(0)
    kept = torch.stack([kernels.dropout(torch.ones(500, 200), p) for _ in range(40)])
    assert set(kept.unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}
    coin = ((kept > 0).double() - (1 - p)) / math.sqrt(p * (1 - p))  # mean 0, variance 1 where it is fair
    assert abs(float(coin.mean())) * math.sqrt(coin.numel()) < 4
    for axis in range(3):  # of masks, rows, columns: the means vary as those of independent coins do
        means = coin.transpose(0, axis).flatten(1).mean(1) * math.sqrt(coin[0].numel() * len(coin) / coin.shape[axis])
        assert float(means.square().sum()) == pytest.approx(len(means), abs=5 * math.sqrt(2 * len(means)))
    flat = coin.flatten(1)
    for lag in (1, 2, 16, 200, 65536):  # no element knows of another, nor a mask of the mask before
        assert abs(float((flat[:, :-lag] * flat[:, lag:]).mean())) * math.sqrt(flat[:, lag:].numel()) < 4.5
    assert abs(float((flat[1:] * flat[:-1]).mean())) * math.sqrt(flat[1:].numel()) < 4.5


def test_elements_of_one_mask_know_nothing_of_each_other() -> None:
    """The next column and the next row are powers of two away, where a weak hash of places shows itself (two rounds: 4 for 1)."""
    size, squares = 1 << 20, dict.fromkeys((1, 128, 1024), 0.0)
    for seed in range(20):
        torch.manual_seed(seed)
        coin = (kernels.dropout(torch.ones(size), 0.5) > 0).float() * 2 - 1
        for lag in squares:
            squares[lag] += float((coin[lag:] * coin[:-lag]).mean()) ** 2 * (size - lag) / 20
    assert all(0.3 < square < 2.2 for square in squares.values())  # chi-squared of 20 over 20: one in a thousand is beyond 2.27


def test_dropout_follows_from_the_generator_and_not_from_threads() -> None:
    x, before, masks = torch.randn(1000, 33), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(3)
            masks.append(kernels.dropout(x, 0.4))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*masks) and not torch.equal(masks[0], kernels.dropout(x, 0.4))
    assert torch.equal(masks[0], torch.where(masks[0] == 0, 0, x * torch.tensor(1 / 0.6)))
    seed = torch.randint(1 << 62, ()).item()
    leaf = torch.randn(11, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: noise.dropout(t, seed, 0.4), leaf)
    assert torch.autograd.gradgradcheck(lambda t: noise.dropout(t, seed, 0.4), leaf)
    turned = []
    for view in (x.t(), x.t().contiguous()):
        torch.manual_seed(1)
        turned.append(kernels.dropout(view, 0.4))
    assert torch.equal(*turned)


def test_dropout_elsewhere() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        half = kernels.dropout(torch.ones(400, 5, dtype=torch.bfloat16, requires_grad=True), 0.5)
    assert half.dtype == torch.bfloat16 and set(half.unique().tolist()) == {0.0, 2.0} and half.requires_grad
    assert torch.equal(kernels.dropout(torch.ones(9), 1.0), torch.zeros(9)) and torch.equal(
        kernels.dropout(torch.ones(9), 0.0), torch.ones(9)
    )
    assert kernels.dropout(torch.ones(0, 3), 0.5).shape == (0, 3)
    with kernels.use("reference"):
        torch.manual_seed(0)
        plain = kernels.dropout(torch.ones(400, 5), 0.5)
    torch.manual_seed(0)
    assert torch.equal(plain, torch.nn.functional.dropout(torch.ones(400, 5), 0.5))


def test_networks_of_the_zoo_have_the_quick_one_and_those_of_others_what_they_wrote(tmp_path: Path) -> None:
    for name in zoo.names():
        if "dropout" in inspect.signature(zoo.load(name).build).parameters:
            network = zoo.build(name, Inputs(5, 3, zoo.load(name).GEOMETRY == "required"), 1, {"dropout": 0.2})
            found = [m for m in network.modules() if isinstance(m, nn.Dropout)]
            assert found and all(type(m) is Dropout for m in found), name
    mine = tmp_path / "mine.py"
    mine.write_text(inspect.getsource(zoo.load("gcn")).replace(" Dropout(", " nn.Dropout("))
    network = zoo.build(str(mine), Inputs(5, 3), 1, {"dropout": 0.2})
    assert nn.Dropout in {type(m) for m in network.modules()}


def test_the_module_drops_in_training_alone() -> None:
    x = torch.ones(50, 4)
    drop = Dropout(0.5)
    assert set(drop(x).unique().tolist()) == {0.0, 2.0}
    assert drop.eval()(x) is x and Dropout(0.0)(x) is x
