"""Every architecture trains in each precision on one device; two processes of Lightning Fabric average their gradients."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from heliograph import zoo
from heliograph.batching import batch
from heliograph.learn import FitConfig, ensemble
from heliograph.learn.device import OneDevice
from heliograph.model import Inputs
from tests.graphs import ATOMS, BONDS, awkward

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@pytest.mark.parametrize("precision", ["32", "64", "bf16"])
@pytest.mark.parametrize("name", zoo.names())
def test_precisions(name: str, precision: str) -> None:
    device = ensemble.fabric_for(FitConfig(accelerator="cpu", precision=precision))
    assert isinstance(device, OneDevice)
    torch.manual_seed(0)
    net = zoo.build(name, Inputs(ATOMS, BONDS, zoo.load(name).GEOMETRY != "none"), 1)
    model = device.setup(net)
    with device.autocast():
        loss = model(awkward().to(dtype=torch.float32))["y"].float().square().mean()
    device.backward(loss)
    assert loss.isfinite() and torch.get_default_dtype() == torch.float32
    weights = torch.float64 if precision == "64" else torch.float32
    assert all(p.dtype == weights and p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def _worker(fabric: Fabric, folder: str) -> None:
    torch.manual_seed(0)
    net = zoo.build("gcn", Inputs(ATOMS, BONDS), 1, {"d": 8, "depth": 2}).double()
    model = fabric.setup(net)
    mine = awkward().unbatch()[2 * fabric.global_rank : 2 * fabric.global_rank + 2]
    model(batch(mine))["y"].sum().backward()
    from safetensors.torch import save_file

    save_file({k: p.grad for k, p in net.named_parameters() if p.grad is not None}, f"{folder}/{fabric.global_rank}.safetensors")


def test_two_processes_average_their_gradients(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning_fabric import Fabric
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    fabric.launch(_worker, str(tmp_path))
    one, two = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    torch.manual_seed(0)
    net = zoo.build("gcn", Inputs(ATOMS, BONDS), 1, {"d": 8, "depth": 2}).double()
    (net(batch(awkward().unbatch()[:4]))["y"].sum() / 2).backward()
    for key, p in net.named_parameters():
        assert p.grad is not None and torch.allclose(one[key], two[key]) and torch.allclose(one[key], p.grad), key


def test_no_advice_on_every_run() -> None:
    """On a GPU, Lightning would advise each time against products in full float32."""
    ensemble.fabric_for(FitConfig(devices=2, accelerator="cpu"))
    assert not logging.getLogger("lightning_fabric.utilities.rank_zero").isEnabledFor(logging.INFO)
