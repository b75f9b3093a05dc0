"""A potential in a file of one's own: forces, crystals, a model file, a calculator, without a line elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from heliograph import Calculator, Potential
from heliograph.errors import ModelFileError, UsageError
from heliograph.learn.progress import silent
from heliograph.potential.config import FrameFit, FramesConfig, PotentialConfig, TrainPotential
from heliograph.potential.runner import run
from tests.potential.made import crystal, molecule
from tests.potential.test_run import frames

MINE = '''"""Two-body messages of smooth bumps, three-body by squares: the least that has forces."""

import torch
from torch import nn

from heliograph.blocks import MLP, AtomWise, CosineCutoff, Elements, Gaussians
from heliograph.layer import Layer
from heliograph.model import MPNN
from heliograph.views import RadiusGraph

FEATURIZER, GEOMETRY = "elements", "required"


class Message(nn.Module):
    def __init__(self, d, bumps, cutoff):
        super().__init__()
        self.bumps, self.fade, self.W = Gaussians(bumps, cutoff), CosineCutoff(cutoff), nn.Linear(bumps, d)

    def forward(self, e):
        r = e.e["distance"]
        return {"m": e.j["h"] * (self.W(self.bumps(r)) * self.fade(r))}  # [E, d]


class Update(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.mlp = MLP(2 * d, d, d, act=nn.SiLU)

    def forward(self, nodes, messages):
        m = messages["m"]
        return {"h": nodes["h"] + self.mlp(torch.cat([m, m.square()], -1))}


def build(inputs, out, d=16, depth=2, bumps=12, cutoff=4.0, sum_readout=True):
    layers = [Layer(Message(d, bumps, cutoff), Update(d)) for _ in range(depth)]
    readout = AtomWise(MLP(d, d, out, act=nn.SiLU)) if sum_readout else nn.Identity()
    return MPNN(Elements(d), layers, readout, view=RadiusGraph(cutoff))
'''


def test_a_file_of_less_than_ninety_lines_is_a_potential(tmp_path: Path) -> None:
    assert len(MINE.splitlines()) < 90
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    ase.io.write(tmp_path / "a.extxyz", frames(12) + frames(12, periodic=False))
    config = TrainPotential(
        frames=FramesConfig(data_path=tmp_path / "a.extxyz"),
        potential=PotentialConfig(arch=str(mine)),
        fit=FrameFit(epochs=4, batch_size=4, max_lr=5e-3, precision="64"),
        output_dir=tmp_path / "run",
    )
    result = run(config, progress=silent())
    assert {"energy_mae", "forces_mae", "stress_mae"} <= set(result.metrics["test"])
    net = Potential.load(tmp_path / "run", mine).to(torch.float64)
    for frame in (replace(molecule(), z=np.array([1, 6, 8, 8, 6, 1], np.uint8)), replace(crystal(2), z=np.array([14, 14], np.uint8))):
        forces, step, h = net([frame])[0].forces, np.random.default_rng(0).normal(size=frame.pos.shape), 1e-4
        assert forces is not None and np.allclose(forces.sum(0), 0, atol=1e-10)
        up, down = (net([replace(frame, pos=frame.pos + s * h * step)])[0].energy for s in (1, -1))
        assert -(up - down) / (2 * h) == pytest.approx(float((forces * step).sum()), abs=1e-6)
    cell = replace(crystal(2), z=np.array([14, 14], np.uint8))
    big = replace(cell, z=np.tile(cell.z, 2), pos=np.concatenate([cell.pos, cell.pos + cell.cell[0]]), cell=cell.cell * [[2], [1], [1]])
    assert net([big])[0].energy == pytest.approx(2 * net([cell])[0].energy, rel=1e-12)
    atoms = frames(1)[0]
    atoms.calc = Calculator(net)
    assert atoms.get_forces().shape == (2, 3) and atoms.get_stress().shape == (6,)
    with pytest.raises(ModelFileError, match=r"mine\.py"):
        Potential.load(tmp_path / "run")  # a model file holds no code
    with pytest.raises(UsageError, match="sum over atoms"):
        run(config.model_copy(update={"potential": PotentialConfig(arch=str(mine), arch_args={"sum_readout": False})}), progress=silent())
