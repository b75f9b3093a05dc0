"""A command line run as a user runs it, in this process or in one of its own, and model files with weights drawn at random."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import heliograph
from heliograph import cli

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SOURCE = str(Path(heliograph.__file__).parents[1])


def environment() -> dict[str, str]:
    """That of a user who has set nothing: wide terminal, one thread."""
    paths = [SOURCE, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "160", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "heliograph", *map(str, args)]


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.train.baselines.TREES", 20)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`run("train", "x.csv")` in an empty folder; gives returncode, stdout, stderr. In this process: loading PyTorch takes seconds."""

    def call(*args: str | Path) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with monkeypatch.context() as m, pytest.raises(SystemExit) as stopped:
            m.chdir(tmp_path)
            m.setenv("COLUMNS", "160")
            m.setenv("NO_COLOR", "1")
            cli.main([str(arg) for arg in args])
        code = stopped.value.code
        assert code is None or isinstance(code, int)
        return subprocess.CompletedProcess(command(*args), code or 0, *capfd.readouterr())

    return call


@pytest.fixture
def run_alone(tmp_path: Path) -> Run:
    """As `run`, in a process of its own."""

    def call(*args: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(*args), check=False, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)

    return call


@pytest.fixture
def model_run(tmp_path: Path) -> Path:
    """A run folder with an ensemble of two `gcn` that were never trained, for the targets `a` and `b`."""
    return make_run(tmp_path / "run", members=2)


def make_run(folder: Path, *, members: int = 1, kind: str = "regression", arch: str = "gcn", geometry: str = "none") -> Path:
    """Model files as a training would leave them, weights random but seeded."""
    import torch

    from heliograph import zoo
    from heliograph.chem.featurizer import preset
    from heliograph.model import Inputs
    from heliograph.predictor import Document, Predictor, Scaling, Task

    featurizer = replace(preset(zoo.load(arch).FEATURIZER), geometry=geometry)
    classes = {"regression": (), "binary": (("0", "1"),) * 2, "multiclass": (("low", "mid", "high"), ("no", "yes"))}[kind]
    task = Task(kind, ("a", "b"), ("eV", ""), classes)  # type: ignore[arg-type]
    scaling = Scaling((1.0, 2.0), (0.5, 3.0)) if kind == "regression" else Scaling.none(2)
    inputs = {"nodes": featurizer.atom_width, "edges": featurizer.bond_width, "geometry": geometry != "none"}
    folder.mkdir(exist_ok=True)
    args, models = {"d": 16} if arch != "schnet" else {}, []
    for member in range(members):
        torch.manual_seed(member)
        models.append(zoo.build(arch, Inputs(**inputs), task.out, args))
    document = Document.of_molecules(arch, args, inputs, featurizer.to_dict(), task.to_dict(), scaling.to_dict())
    Predictor(models, document).save(folder / "model.safetensors")
    return folder
