"""Graphs pass through Lightning Fabric: precisions, and two processes of distributed data parallel."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lightning_fabric import Fabric

from heliograph import zoo
from heliograph.batching import batch
from heliograph.learn import FitConfig, ensemble
from heliograph.model import Inputs
from tests.graphs import ATOMS, BONDS, awkward


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("name", zoo.names())
def test_precisions(name: str, precision: str) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    torch.manual_seed(0)
    net = zoo.build(name, Inputs(ATOMS, BONDS, zoo.load(name).GEOMETRY != "none"), 1)
    model, optimizer = fabric.setup(net, torch.optim.Adam(net.parameters()))
    loss = model(fabric.to_device(awkward().to(dtype=torch.float32)))["y"].float().square().mean()
    fabric.backward(loss)
    optimizer.step()
    assert loss.isfinite() and all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


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
