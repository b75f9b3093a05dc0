"""The path from labelled frames to a model file, an ASE calculator, predictions, relaxation and dynamics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator

from heliograph import Calculator, Potential, Predictor
from heliograph.cli import main
from heliograph.data.frames import Frame, read
from heliograph.errors import DataError, ModelFileError, StructureError, UsageError
from heliograph.geometry import with_leaf
from heliograph.learn.objectives import Forces
from heliograph.learn.progress import silent
from heliograph.potential.config import FrameFit, FramesConfig, PotentialConfig, TrainPotential
from heliograph.potential.data import Frames
from heliograph.potential.result import PotentialResult
from heliograph.potential.runner import run
from heliograph.potential.use import steps_of
from heliograph.report import rewrite
from tests.potential.made import crystal, listed, molecule, potential

TINY = {"d": 8, "depth": 1, "radial": 6, "cutoff": 4.0}


def frames(n: int, seed: int = 0, periodic: bool = True) -> list[ase.Atoms]:
    """Perturbed argon-like crystals of two atoms, or clusters of four, with the energies of a pair potential."""
    rng, made = np.random.default_rng(seed), []
    for k in range(n):
        if periodic:
            atoms = ase.Atoms("SiSi", cell=np.diag([2.2, 2.3, 2.4]) + 0.05 * rng.normal(size=(3, 3)), pbc=True)
            atoms.set_scaled_positions(np.array([[0, 0, 0], [0.5, 0.5, 0.5]]) + 0.03 * rng.normal(size=(2, 3)))
        else:
            atoms = ase.Atoms(
                "CO2H",
                1.2 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]) + 0.05 * rng.normal(size=(4, 3)),
            )
        atoms.calc = LennardJones(sigma=1.75 if periodic else 1.2, epsilon=0.3, rc=3.5, smooth=True)
        labels = {name: atoms.calc.get_property(name, atoms) for name in ("energy", "forces", *(["stress"] if periodic else []))}
        labels["energy"] -= 100.0 * len(atoms)
        atoms.calc = SinglePointCalculator(atoms, **labels)
        atoms.info["config_type"] = f"kind{k % 3}"
        made.append(atoms)
    return made


def config(tmp_path: Path, data: Path, **fit: Any) -> TrainPotential:
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 4, "precision": "64"} | fit
    return TrainPotential(
        frames=FramesConfig(data_path=data),
        potential=PotentialConfig(arch_args=TINY),
        fit=FrameFit(**settings),
        output_dir=tmp_path / "run",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on 30 crystals, by the command line."""
    here = tmp_path_factory.mktemp("potential")
    ase.io.write(here / "train.extxyz", frames(30))
    command = f"train {here}/train.extxyz --arch painn --arch-args d=16 depth=1 radial=6 --r-max 4"
    command += f" --epochs 30 --max-lr 0.01 -o {here}/run -q"
    with pytest.raises(SystemExit) as done:
        main(command.split())
    assert done.value.code in (0, None)
    return here


def test_errors_are_below_those_of_no_model_and_are_those_of_the_file(folder: Path) -> None:
    result = PotentialResult.load(folder / "run")
    assert result.sizes == {"train": 24, "val": 3, "test": 3} and result.labels == {
        "energy": 30,
        "forces": 30,
        "stress": 30,
    }
    test, zero = result.metrics["test"], result.zero["test"]
    assert test["forces_mae"] < 0.25 * zero["forces_mae"] and test["energy_mae_per_atom"] < 0.5 * zero["energy_mae_per_atom"]
    assert test["stress_mae"] < 0.6 * zero["stress_mae"]
    net = Potential.load(folder / "run")
    chosen = [frame for k, frame in enumerate(read(folder / "train.extxyz")) if k in result.arrays["test_rows"]]
    forces = np.concatenate([a.forces for a in net(chosen)])
    assert np.allclose(forces, result.arrays["test_forces"], atol=1e-5)
    assert 1e3 * np.abs(forces - result.arrays["test_forces_true"]).mean() == pytest.approx(test["forces_mae"], rel=1e-3)
    page = rewrite(folder / "run", folder / "again.html").read_text(encoding="utf-8")
    assert "The force component is off by" in page and "kind1" in page and "<svg" in page


def test_the_file_is_all_that_is_needed_and_other_readers_say_what_it_is(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "run" / "model.safetensors", tmp_path / "mine.safetensors")
    atoms = frames(1, seed=9)[0]
    a, b = Calculator(folder / "run"), Calculator(tmp_path / "mine.safetensors")
    assert a.get_potential_energy(atoms) == b.get_potential_energy(atoms)
    Potential.load(tmp_path / "mine.safetensors").save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "mine.safetensors").read_bytes()
    with pytest.raises(ModelFileError, match="is a potential, not a model of molecules"):
        Predictor.load(tmp_path / "mine.safetensors")
    molecules = Path(__file__).parents[1] / "predictor" / "files" / "v2.safetensors"
    with pytest.raises(ModelFileError, match="not a potential"):
        Potential.load(molecules)


def test_the_calculator_answers_as_ase_asks(folder: Path) -> None:
    atoms = frames(1, seed=5)[0]
    wanted, volume = atoms.calc.results, atoms.get_volume()
    atoms.calc = Calculator(folder / "run", dtype="float64")
    assert atoms.get_potential_energy() == pytest.approx(wanted["energy"], abs=0.3)
    assert np.abs(atoms.get_forces() - wanted["forces"]).max() < 0.6 * np.abs(wanted["forces"]).max()
    assert atoms.get_stress().shape == (6,) and np.abs(atoms.get_stress() - wanted["stress"]).max() < 0.5 * np.abs(wanted["stress"]).max()
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy())
    pressed, h = atoms.copy(), 1e-5
    pressed.set_cell(atoms.cell * (1 + h), scale_atoms=True)
    pressed.calc = atoms.calc
    expected = (pressed.get_potential_energy() - atoms.get_potential_energy()) / (3 * h * volume)
    assert atoms.get_stress()[:3].mean() == pytest.approx(expected, rel=1e-3)  # positive under tension, as ASE's
    with pytest.raises(StructureError, match="element not in the training frames: Au"):
        Calculator(folder / "run").get_potential_energy(ase.Atoms("Au"))


def test_a_committee_has_a_spread() -> None:
    frame = molecule()
    atoms = ase.Atoms(numbers=frame.z, positions=frame.pos)
    calculator = Calculator(potential(members=3))
    calculator.calculate(atoms)
    r = calculator.results
    assert r["forces_committee"].shape == (3, len(atoms), 3)
    assert np.allclose(r["forces_std"], r["forces_committee"].std(0)) and np.allclose(r["forces"], r["forces_committee"].mean(0))
    assert r["energy_std"] > 0 and r["forces_std"].max() > 0


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.learn import loop

    ase.io.write(tmp_path / "data.extxyz", frames(12))
    whole, killed = (
        config(tmp_path / "a", tmp_path / "data.extxyz"),
        config(tmp_path / "b", tmp_path / "data.extxyz"),
    )
    run(whole, progress=silent())
    original, steps = loop.Member.step, []

    def step(self: Any, rows: np.ndarray, number: int, *graph: Any) -> Any:
        steps.append(number)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return original(self, rows, number, *graph)

    monkeypatch.setattr(loop.Member, "step", step)
    with pytest.raises(KeyboardInterrupt):
        run(killed, progress=silent())
    with pytest.raises(UsageError, match="--resume goes on with it"):
        run(killed, progress=silent())
    with pytest.raises(UsageError, match="--batch-size was 4, is 2"):
        run(
            config(tmp_path / "b", tmp_path / "data.extxyz", batch_size=2),
            resume=True,
            progress=silent(),
        )
    run(killed, resume=True, progress=silent())
    a, b = (tmp_path / k / "run" / "model.safetensors" for k in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_gradients_of_the_loss_are_finite_differences() -> None:
    """Of energies, forces and stresses together, by every parameter."""
    net, data = potential(), listed(crystal(), molecule(3))
    rng = np.random.default_rng(0)
    data.columns["energy"][:] = [-300.0, -200.0]
    data.columns["forces"][:] = rng.normal(size=data.columns["forces"].shape)
    data.columns["stress"][0] = 0.1 * rng.normal(size=(3, 3))
    source, rows = Frames(data, net.references), np.arange(2)
    objective = Forces(net.atoms, {"energy": 1.0, "forces": 0.7, "stress": 50.0})
    model, targets = net.models[0].requires_grad_(True).train(), source.targets(rows)

    def loss() -> torch.Tensor:
        terms = objective.losses(objective.outputs(model, source.batch(rows, None), targets), targets)
        counts = objective.counts(targets)
        assert counts == {"energy": 2.0, "forces": 18.0, "stress": 6.0}
        return sum((objective.weight(k) * v / counts[k] for k, v in terms.items()), torch.zeros(()))

    loss().backward()
    h = 1e-5
    for name, p in model.named_parameters():
        if p.grad is None:  # the last bias cancels against the isolated atom's
            assert name == "readout.mlp.2.bias"
            continue
        direction = torch.randn(p.shape, generator=torch.Generator().manual_seed(0), dtype=p.dtype)
        values = []
        for s in (1, -1):
            p.data += s * h * direction
            values.append(float(loss().detach()))
            p.data -= s * h * direction
        assert float((p.grad * direction).sum()) == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5, abs=1e-7), name


def test_energies_alone_need_no_forces(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "data.extxyz", frames(12))
    asked = config(tmp_path, tmp_path / "data.extxyz", epochs=1)
    asked = asked.model_copy(update={"frames": asked.frames.model_copy(update={"forces": False})})
    result = run(asked, progress=silent())
    assert result.labels == {"energy": 12, "forces": 0, "stress": 0} and "forces_mae" not in result.metrics["test"]


@pytest.mark.parametrize("split", ["group", "time"])
def test_splits_by_group_and_time(tmp_path: Path, split: str) -> None:
    ase.io.write(tmp_path / "data.extxyz", frames(12))
    asked = config(tmp_path, tmp_path / "data.extxyz", epochs=1)
    asked = asked.model_copy(update={"frames": asked.frames.model_copy(update={"split": split, "split_sizes": (1 / 3, 1 / 3, 1 / 3)})})
    result = run(asked, progress=silent())
    if split == "time":
        assert result.arrays["val_rows"].tolist() == [4, 5, 6, 7] and result.arrays["test_rows"].tolist() == [8, 9, 10, 11]
    else:
        assert len(set(result.arrays["test_config_type"])) == 1


def test_isolated_atoms_give_E0s_and_wrong_settings_are_said(tmp_path: Path) -> None:
    single = []
    for symbol, energy in (("C", -1029.0), ("O", -2043.0), ("H", -13.6)):
        atoms = ase.Atoms(symbol)
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        single.append(atoms)
    ase.io.write(tmp_path / "data.extxyz", [*single, *frames(12, periodic=False)])
    asked = config(tmp_path, tmp_path / "data.extxyz", epochs=1)
    result = run(asked, progress=silent())
    net = Potential.load(tmp_path / "run")
    assert net([Frame(np.array([6], np.uint8), np.zeros((1, 3)))])[0].energy == pytest.approx(-1029.0, abs=1e-9)
    assert result.sizes["train"] == 9 and any("isolated atoms in the frames" in note for note in result.notes)

    def with_(**changes: Any) -> TrainPotential:
        return asked.model_copy(update={"potential": asked.potential.model_copy(update=changes)})

    with pytest.raises(UsageError, match="gives no value for C, O"):
        run(with_(E0s="{1: -13.6}"), overwrite=True, progress=silent())
    with pytest.raises(UsageError, match="can't be read"):
        run(with_(E0s="isolate"), overwrite=True, progress=silent())
    with pytest.raises(UsageError, match="must be a sum over atoms"):
        run(with_(arch_args=TINY | {"aggregate": "mean"}), overwrite=True, progress=silent())
    with pytest.raises(UsageError, match="must be a sum over atoms"):
        run(with_(arch="gin", arch_args={}), overwrite=True, progress=silent())
    ase.io.write(tmp_path / "few.extxyz", frames(12, periodic=False))
    with pytest.raises(DataError, match="no frame of a single atom with an energy for H, C, O"):
        isolated = with_(E0s="isolated")
        run(
            isolated.model_copy(update={"frames": FramesConfig(data_path=tmp_path / "few.extxyz")}),
            overwrite=True,
            progress=silent(),
        )


def test_the_command_line_knows_the_names_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ase.io.write(tmp_path / "data.extxyz", frames(12))
    base = f"train {tmp_path}/data.extxyz --arch-args d=4 depth=1 radial=4 --epochs 1 -o {tmp_path}/run --overwrite"
    for more, code in (
        ("--energy_key energy --forces_key=forces --r_max 3.5 --E0s {14:-99.0}", 0),
        ("--energy-key dft", 1),
        ("--r-max -1", 2),
        ("--energy-key energy --target-columns energy", 2),
    ):
        with pytest.raises(SystemExit) as done:
            main([*base.split(), *more.split()])
        assert (done.value.code or 0) == code, capsys.readouterr()
    assert "no frame of data.extxyz has 'dft' for its energy" in capsys.readouterr().err


def test_predictions_keep_every_frame_in_its_place(folder: Path, tmp_path: Path) -> None:
    good = frames(2, seed=3)
    text = (folder / "train.extxyz").read_text().split("\n")
    ase.io.write(tmp_path / "good.extxyz", good)
    (tmp_path / "in.extxyz").write_text(
        "\n".join(text[:4]) + "\n2\nbroken\nSi 0 0\n" + "1\nenergy=-1\nAu 0 0 0\n" + (tmp_path / "good.extxyz").read_text()
    )
    with pytest.raises(SystemExit) as done:
        main(f"predict {folder}/run {tmp_path}/in.extxyz -o {tmp_path}/out.extxyz".split())
    assert done.value.code in (0, None)
    back = list(read(tmp_path / "out.extxyz"))
    assert len(back) == 5 and "REF_energy" in back[0].info and back[1].reason
    assert "element not in the training frames" in back[2].info["reason"] and "energy" not in back[2].info
    atoms = good[1]
    atoms.calc = Calculator(folder / "run")
    assert float(back[4].info["energy"]) == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    assert np.allclose(back[4].arrays["forces"], atoms.get_forces(), atol=1e-5)


def test_evaluate_gives_the_errors_of_the_training_and_those_of_each_kind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = PotentialResult.load(folder / "run")
    source = ase.io.read(folder / "train.extxyz", index=":")
    chosen = [source[k] for k in result.arrays["test_rows"]]
    ase.io.write(tmp_path / "test.extxyz", [*chosen, ase.Atoms("Au", [[0, 0, 0]])])
    with pytest.raises(SystemExit) as done:
        main(f"evaluate {folder}/run {tmp_path}/test.extxyz -o {tmp_path}/found.json".split())
    assert done.value.code in (0, None)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["metrics"] == pytest.approx(result.metrics["test"], rel=1e-4)
    assert (found["frames"], found["usable"], found["reasons"]) == (4, 3, {"element not in the training frames": 1})
    kinds = [atoms.info["config_type"] for atoms in chosen]
    mean = np.mean([found["kinds"][kind]["forces_mae"] for kind in kinds])  # all frames have two atoms
    assert mean == pytest.approx(found["metrics"]["forces_mae"], rel=1e-4)
    assert "force component, MAE" in capsys.readouterr().out
    for wrong, why in (("--forces-key dft", "no frame of test.extxyz has 'dft'"), ("--num-workers 1", "is for tables of molecules")):
        with pytest.raises(SystemExit) as failed:
            main(f"evaluate {folder}/run {tmp_path}/test.extxyz {wrong}".split())
        assert failed.value.code and why in capsys.readouterr().err


def test_relaxation_of_a_cell_ends_at_one_energy_in_cell_and_supercell(folder: Path, tmp_path: Path) -> None:
    atoms = frames(1, seed=4)[0]
    ase.io.write(tmp_path / "in.extxyz", [atoms, atoms * (2, 1, 1)])
    with pytest.raises(SystemExit) as done:
        main(f"relax {folder}/run {tmp_path}/in.extxyz --cell --fmax 0.0003 --max-steps 100 -o {tmp_path}/out.extxyz".split())
    assert done.value.code in (0, None)
    one, two = list(read(tmp_path / "out.extxyz"))
    assert one.info["converged"] == two.info["converged"] == "T"
    assert float(two.info["energy"]) / 4 == pytest.approx(float(one.info["energy"]) / 2, abs=1e-8)
    assert np.allclose(two.cell, one.cell * [[2], [1], [1]], atol=1e-6)
    assert np.abs(one.arrays["forces"]).max() < 0.001 and not np.allclose(one.cell, atoms.cell.array)


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_a_killed_dynamics_goes_on_bit_for_bit(folder: Path, tmp_path: Path, ensemble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.chem import dynamics

    ase.io.write(tmp_path / "start.extxyz", frames(1, seed=6)[0] * (2, 1, 1))
    command = f"md {folder}/run {tmp_path}/start.extxyz --ensemble {ensemble} --every 5 --dtype float64 --temperature 200 -q"

    def call(text: str) -> int:
        with pytest.raises(SystemExit) as done:
            main(text.split())
        return int(done.value.code or 0)

    assert call(f"{command} --time 20fs -o {tmp_path}/a") == 0
    monkeypatch.setattr(dynamics, "SAVE_EVERY", 0.0)
    original, written = dynamics._write, []

    def write(atoms: Any, step: int, *rest: Any) -> None:
        original(atoms, step, *rest)
        written.append(step)
        if step == 25 and written.count(25) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(dynamics, "_write", write)
    assert call(f"{command} --time 20fs -o {tmp_path}/b") == 130
    assert call(f"{command} --time 20fs -o {tmp_path}/b") == 2
    assert call(f"{command} --time 20fs --seed 4 -o {tmp_path}/b --resume") == 2
    assert call(f"{command} --time 20fs -o {tmp_path}/b --resume") == 0
    for name in ("trajectory.extxyz", "log.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert call(f"{command} --time 25fs -o {tmp_path}/b --resume") == 0  # and longer
    assert len(list(read(tmp_path / "b" / "trajectory.extxyz"))) == 11


def test_energy_is_conserved(folder: Path, tmp_path: Path) -> None:
    from heliograph.chem import dynamics

    atoms = frames(1, seed=6)[0] * (2, 1, 1)
    atoms.calc = Calculator(folder / "run", dtype="float64")
    dynamics.simulate(
        atoms,
        dynamics.Settings(temperature=100, timestep=0.25, steps=200, every=5),
        tmp_path / "md",
    )
    log = np.loadtxt(tmp_path / "md" / "log.csv", delimiter=",", skiprows=1)
    assert np.ptp(log[:, 4]) < 0.02 * np.ptp(log[:, 3]) and np.ptp(log[:, 3]) > 1e-3


def test_times_have_units() -> None:
    assert steps_of("10ps", 0.5) == 20000 and steps_of("1 ns", 1.0) == 1000000
    for text in ("10", "-1ps", "ten ps"):
        with pytest.raises(UsageError, match="expected a time with its unit"):
            steps_of(text, 0.5)


def test_the_leaf_is_the_only_way_to_positions() -> None:
    """A potential's energy does not change where `pos` does and the vectors do not."""
    net, data = potential(), listed(crystal())
    graph, _ = with_leaf(data.batch(np.array([0])))
    moved = graph.with_nodes(pos=graph.nodes["pos"] + torch.randn(graph.N, 3, dtype=torch.float64))
    assert torch.equal(net.models[0](graph)["y"], net.models[0](moved)["y"])


def test_mace_is_trained_and_used_as_any_other(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "train.extxyz", frames(30))
    sizes = {"d": 8, "L": 1, "cutoff": 4.0}
    config_ = TrainPotential(
        frames=FramesConfig(data_path=tmp_path / "train.extxyz"),
        potential=PotentialConfig(arch="mace", arch_args=sizes),
        fit=FrameFit(epochs=6, batch_size=8, max_lr=0.02, ema=0.0, metrics=("forces_mae",)),
        output_dir=tmp_path / "run",
    )
    result = run(config_, progress=silent())
    assert result.metrics["val"]["forces_mae"] < 0.7 * result.zero["val"]["forces_mae"]
    net = Potential.load(tmp_path / "run")
    lists = listed(*(Frame(a.numbers, a.positions, a.cell.array, (True,) * 3) for a in frames(30))).lists
    assert net.document.arch_args["neighbours"] == pytest.approx(len(lists["senders"]) / 60, abs=2)
    atoms = frames(1, seed=5)[0]
    atoms.calc = Calculator(tmp_path / "run", dtype="float64")
    assert atoms.get_forces().shape == (2, 3) and atoms.get_stress().shape == (6,)


def test_the_second_stage_has_its_own_energy_weight(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.extxyz", frames(10))
    both = config(tmp_path, tmp_path / "a.extxyz", epochs=4, schedule="plateau")
    second = both.potential.model_copy(update={"start_stage_two": 0.5, "stage_two_energy_weight": 1000.0})
    results = []
    for name, potential_ in (("one", both.potential), ("two", second)):
        results.append(run(both.model_copy(update={"potential": potential_, "output_dir": tmp_path / name}), progress=silent()))
    weights = [Potential.load(tmp_path / name).models[0].embed.elements.element.weight for name in ("one", "two")]
    assert not torch.equal(*weights)  # the second half was another
    one, two = (row.history for row in results)
    assert two[0].val_loss > 2 * one[0].val_loss  # epochs are compared by the weights of the end
    forces = [h[1].val_metrics["forces_mae"] for h in (one, two)]
    assert forces[0] == forces[1] and one[3].val_metrics["forces_mae"] != two[3].val_metrics["forces_mae"]
