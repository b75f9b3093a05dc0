"""Other labels of frames: charges, dipoles, polarizabilities, numbers; read, learned, predicted, symmetric."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError

from heliograph import Calculator, Potential
from heliograph.cli import main
from heliograph.data.frames import Frame, read
from heliograph.data.properties import Property, find
from heliograph.data.sources.structures import Keys, Structures
from heliograph.errors import DataError, UsageError
from heliograph.learn.progress import silent
from heliograph.potential.config import FrameFit, FramesConfig, PotentialConfig, TrainPotential
from heliograph.potential.properties import Scaled, fitted
from heliograph.potential.result import PotentialResult
from heliograph.potential.runner import run
from heliograph.report import rewrite

Q = {"O": -0.8, "H": 0.4, "C": 0.3}
ALL = ("q=charges", "mu", "alpha", "gap", "mass=sum", "r2=extent", "spin")


def frames(n: int = 24, labels: bool = True) -> list[ase.Atoms]:
    """Bent molecules with properties that follow from places and elements; every third lacks some."""
    rng, made = np.random.default_rng(0), []
    for k in range(n):
        atoms = ase.Atoms("OHH" if k % 2 else "COHH", np.array([[0, 0, 0], [1, 0, 0], [-0.3, 0.9, 0], [0, 0, 1.3]])[: 3 + (k % 2 == 0)])
        atoms.positions += 0.1 * rng.normal(size=atoms.positions.shape)
        charge = k % 3 - 1
        q = np.array([Q[s] for s in atoms.symbols])
        q += (charge - q.sum()) / len(q)
        r = atoms.positions - atoms.positions.mean(0)
        d = np.linalg.norm(r[0] - r[1])
        atoms.info |= {"charge": charge, "energy": -10.0 * len(atoms) + d, "config_type": f"k{k % 2}"}
        if labels and k % 3 != 2:
            atoms.info |= {"mu": q @ r, "gap": 5 + d, "mass": float(len(atoms) + d), "r2": float(np.square(r).sum())}
            atoms.info["alpha"] = 2.0 * len(atoms) * np.eye(3) + np.outer(r[0], r[0])
        if labels:
            atoms.new_array("q", q + 0.1 * (np.square(r).sum(1) - np.square(r).sum(1).mean()))
            atoms.new_array("spin", np.linalg.norm(r, axis=1))
        made.append(atoms)
    return made


def config(here: Path, properties: tuple[str, ...] = ALL, arch: str = "painn", **more: Any) -> TrainPotential:
    args = {"d": 16, "depth": 1, "cutoff": 4.0} | ({"radial": 6} if arch == "painn" else {"gaussians": 8})
    return TrainPotential(
        frames=FramesConfig(data_path=here / "data.extxyz", properties=properties, split_sizes=(0.5, 0.25, 0.25)),
        potential=PotentialConfig(arch=arch, arch_args=args),
        fit=FrameFit(epochs=more.pop("epochs", 2), batch_size=4, precision="64", **more),
        output_dir=here / "run",
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("properties")
    ase.io.write(folder / "data.extxyz", frames())
    run(config(folder, epochs=40, max_lr=5e-3), progress=silent())
    return folder


def test_every_property_is_learned_beside_the_energy(here: Path) -> None:
    result = PotentialResult.load(here / "run")
    test, zero = result.metrics["test"], result.zero["test"]
    assert result.labels["q"] == 24 and result.labels["mu"] == 16 and result.labels["gap"] == 16
    for name in ("q", "mu", "alpha", "gap", "mass", "r2", "spin"):
        assert test[f"{name}_mae"] < 0.9 * zero[f"{name}_mae"], (name, test, zero)
    assert "energy_mae" in test and "forces_mae" not in test
    page = rewrite(here / "run", here / "again.html").read_text(encoding="utf-8")
    assert "alpha, MAE" in page


def test_a_file_answers_with_them_and_they_turn_with_the_structure(here: Path) -> None:
    potential = Potential.load(here / "run").to(torch.float64)
    frame = next(read(here / "data.extxyz"))
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    a, b = potential([frame, replace(frame, pos=frame.pos @ turn + 3.0)])
    assert a.of_atoms == ("q", "spin") and a.properties["q"].shape == (4,)
    assert a.properties["q"].sum() == pytest.approx(float(frame.info["charge"]), abs=1e-12)
    for name in ("q", "spin", "gap", "mass", "r2"):
        assert np.allclose(a.properties[name], b.properties[name], atol=1e-9)
    assert np.allclose(a.properties["mu"] @ turn, b.properties["mu"], atol=1e-9) and np.abs(a.properties["mu"]).max() > 1e-3
    alpha = a.properties["alpha"]
    assert np.allclose(alpha, alpha.T) and np.allclose(turn.T @ alpha @ turn, b.properties["alpha"], atol=1e-9)
    # two molecules far apart: numbers of a sum add up, those of a mean do not change
    two = Frame(np.tile(frame.z, 2), np.concatenate([frame.pos, frame.pos + 50]), info={"charge": "0"})
    c = potential([two])[0]
    assert c.properties["mass"] == pytest.approx(2 * a.properties["mass"]) and c.properties["gap"] == pytest.approx(a.properties["gap"])


def test_predict_writes_them_and_the_calculator_gives_them(here: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(f"predict {here}/run {here}/data.extxyz -o {here}/out.extxyz -q --overwrite".split())
    assert ended.value.code in (0, None)
    written = next(read(here / "out.extxyz"))
    assert {"q", "REF_q", "spin", "forces"} <= set(written.arrays) and {"mu", "REF_mu", "alpha", "gap", "REF_energy"} <= set(written.info)
    atoms = frames(1)[0]
    atoms.calc = Calculator(here / "run")
    atoms.get_potential_energy()
    assert atoms.calc.results["mu"].shape == (3,) and atoms.calc.results["q"].shape == (4,)
    with pytest.raises(PropertyNotImplementedError, match="not trained on dipole"):
        atoms.get_dipole_moment()


def test_properties_alone_make_a_model_without_energies(tmp_path: Path) -> None:
    made = frames()
    for atoms in made:
        del atoms.info["energy"]
    ase.io.write(tmp_path / "data.extxyz", made)
    result = run(config(tmp_path, ("gap", "mu=dipole"), "schnet", metrics=("gap_mae",)), progress=silent())
    assert set(result.metrics["test"]) == {"gap_mae", "gap_rmse", "mu_mae", "mu_rmse"}
    assert "gap" in rewrite(tmp_path / "run", tmp_path / "again.html").read_text(encoding="utf-8")
    potential = Potential.load(tmp_path / "run")
    answer = potential([next(read(tmp_path / "data.extxyz"))])[0]
    assert answer.forces is None and np.isnan(answer.energy) and set(answer.properties) == {"gap", "mu"}
    atoms = frames(1)[0]
    atoms.calc = Calculator(potential)
    with pytest.raises(PropertyNotImplementedError, match="gap, mu, and no energies"):
        atoms.get_forces()
    with pytest.raises(UsageError, match="needs vectors of atoms"):
        ase.io.write(tmp_path / "data.extxyz", frames())
        run(config(tmp_path, ("alpha",), "schnet").model_copy(update={"output_dir": tmp_path / "b"}), progress=silent())


def test_names_and_kinds_that_do_not_fit_are_errors_before_training(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "data.extxyz", frames())
    for asked, error, words in (
        ("gapp", DataError, "did you mean 'gap'|gap"),
        ("gap=vector", UsageError, "gap=vector"),
        ("config_type", DataError, "config_type=mean"),
    ):
        with pytest.raises(error, match=words):
            run(config(tmp_path, (asked,)), progress=silent())
    assert not (tmp_path / "run").exists()


def test_labels_of_the_wrong_size_are_reasons_and_periodic_dipoles_are_none() -> None:
    z, pos = np.array([1, 8], np.uint8), np.array([[0.0, 0, 0], [1, 0, 0]])
    good = Frame(z, pos, info={"mu": "1 2 3", "a": "1 2 3 4 5 6"}, arrays={"q": np.ones((2, 2))})
    assert find(["mu", "a", "q"], [good], "f") == (Property("mu", "dipole"), Property("a", "polarizability"), Property("q", "atom"))
    frames_ = [good, replace(good, info={"mu": "1 2"}), replace(good, info={"mu": "nan 1 1"}, arrays={}),
               replace(good, cell=9 * np.eye(3), pbc=(True, True, True), arrays={})]  # fmt: skip
    data = Structures.collect(frames_, Keys(properties=(Property("mu", "dipole"),)))
    assert data.bad[0][0] == 1 and "mu is 2 numbers, not 3 as a dipole" in data.bad[0][1]
    assert np.isfinite(data.columns["frame:mu"]).all(1).tolist() == [True, False, False]
    assert np.allclose(Property("a", "polarizability").of(good), [[1, 6, 5], [6, 2, 4], [5, 4, 3]])
    bad = Structures.collect([replace(good, arrays={}), good], Keys(properties=(Property("q", "atom"),))).bad
    assert "q is 2 numbers an atom" in bad[0][1]


def test_offsets_and_scales() -> None:
    z, pos = np.array([1, 8, 8], np.uint8), np.eye(3)
    infos = {n: {"e": f"{3.0 * n + d}", "a": f"{n} 0 0 0 {n} 0 0 0 {n}"} for n, d in ((2, 1), (3, -1))}
    made = [Frame(z[:n], pos[:n], info=info) for n, info in infos.items()]
    data = Structures.collect(made, Keys(properties=(Property("e", "sum"), Property("a", "polarizability"))))
    e, a = fitted((Property("e", "sum"), Property("a", "polarizability")), data, np.arange(2))
    assert a == Scaled("a", "polarizability", 1.0, 1.0)
    n = data.n_atoms
    assert np.allclose(e.given(e.learned(np.array([[7.0], [8.0]]), n), n), [[7.0], [8.0]])
