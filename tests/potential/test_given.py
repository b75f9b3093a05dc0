"""Potentials of given frames (`$HELIOGRAPH_DATA`): cells of silicon and molybdenum relax alike, ethanol keeps its energy for 10 ps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest

from heliograph import Calculator, kernels
from heliograph.chem import dynamics
from heliograph.chem.relaxation import relax
from heliograph.learn.progress import silent
from heliograph.potential import potential as potential_module
from heliograph.potential.config import FrameFit, FramesConfig, PotentialConfig, TrainPotential
from heliograph.potential.potential import Potential
from heliograph.potential.runner import run
from tests.potential.made import real

pytestmark = pytest.mark.slow


def frames(name: str, n: int) -> list[ase.Atoms]:
    """Every k-th frame of a file of the given sets, n of them, labelled."""
    data = real(name)
    offsets, made = np.concatenate([[0], np.cumsum(data["n_atoms"])]), []
    for g in np.linspace(0, len(data["n_atoms"]) - 1, n).astype(int):
        part = slice(offsets[g], offsets[g + 1])
        cell = data["cell"][g] if "cell" in data.files else None
        atoms = ase.Atoms(numbers=data["Z"][part], positions=data["R"][part], cell=cell, pbc=cell is not None)
        atoms.info["energy"] = float(data["E"][g])
        atoms.new_array("forces", data["F"][part])
        made.append(atoms)
    return made


def trained(here: Path, made: list[ase.Atoms], cutoff: float, epochs: int, arch: str = "painn") -> Potential:
    here.mkdir(exist_ok=True)
    ase.io.write(here / "train.extxyz", made)
    config = TrainPotential(
        frames=FramesConfig(data_path=here / "train.extxyz"),
        potential=PotentialConfig(arch=arch, arch_args={"d": 24, "depth": 2} | ({"radial": 8} if arch == "painn" else {}), r_max=cutoff),
        fit=FrameFit(epochs=epochs, max_lr=5e-3, batch_size=4),
        output_dir=here / "run",
    )
    run(config, progress=silent())
    return Potential.load(here / "run")


@pytest.mark.parametrize("element, lattice, a", [("Si", "diamond", 5.46), ("Mo", "bcc", 3.16)])
def test_a_cell_and_its_supercell_relax_to_one_energy(element: str, lattice: str, a: float, tmp_path: Path) -> None:
    from ase.build import bulk

    made = [f for f in frames(f"mlearn/{element}_training.npz", 60) if len(f) <= 64]
    net = trained(tmp_path, made, 4.5, 15)
    cell = bulk(element, lattice, a=a)
    cell.positions += 0.02 * np.random.default_rng(0).normal(size=cell.positions.shape)
    cell.set_cell(cell.cell.array * [[1.01], [0.99], [1.0]], scale_atoms=True)
    calculator, found = Calculator(net, dtype="float64"), []
    for atoms in (cell.copy(), cell * (2, 2, 2)):
        atoms.calc = calculator
        done = relax(atoms, fmax=1e-4, steps=300, cell=True)
        assert done.converged
        found.append(done.energy / len(atoms))
    assert found[0] == pytest.approx(found[1], abs=1e-6)


@pytest.fixture(scope="module")
def ethanol(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Potential]:
    """A potential of 300 frames of ethanol by its architecture, trained once."""
    here = tmp_path_factory.mktemp("ethanol")
    made = frames("ethanol/train.npz", 300)
    return cache(lambda arch: trained(here / arch, made, 4.5, 30, arch))


@pytest.mark.parametrize(("arch", "dtype", "most"), [("painn", "float64", 0.02), ("painn", "float32", 0.1), ("schnet", "float32", 0.1)])
def test_ethanol_keeps_its_energy_for_ten_picoseconds(
    arch: str, dtype: Any, most: float, ethanol: Callable[[str], Potential], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filters of `schnet` run on knots here: no structure counts as small."""
    calls: list[int] = []
    interpolate = kernels.interpolate
    monkeypatch.setattr(kernels, "interpolate", lambda table, r, step: calls.append(1) or interpolate(table, r, step))
    if arch == "schnet":
        monkeypatch.setattr(potential_module, "FEW_EDGES", 0)
    atoms = frames("ethanol/train.npz", 1)[0]
    atoms.calc = Calculator(ethanol(arch), dtype=dtype)
    relax(atoms, fmax=0.02)
    summary = dynamics.simulate(atoms, dynamics.Settings("nve", 300.0, 0.5, 20_000, every=20), tmp_path / "md")
    assert bool(calls) == (arch == "schnet")
    assert abs(summary.drift) <= most
