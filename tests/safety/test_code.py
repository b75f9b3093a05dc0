"""A folder, a configuration and a model file run no code: a file is run only where the command line names it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.safety.conftest import COMPARE, TRAIN, snapshot

OWN = '''
from pathlib import Path
from heliograph.zoo import sgc
Path("ran").write_text("")
FEATURIZER, GEOMETRY = sgc.FEATURIZER, sgc.GEOMETRY


def build(inputs, out):
    """Build what sgc builds."""
    return sgc.build(inputs, out)
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An architecture that leaves the file `ran` where it is run."""
    (tmp_path / "mine.py").write_text(OWN)
    return tmp_path / "ran"


def test_a_run_that_goes_on_runs_no_file_that_its_folder_names(run: Run, table: Path, tmp_path: Path, own: Path) -> None:
    quick = ("--arch", "mine.py", *TRAIN[2:])
    assert run("train", table, "-o", "run", *quick).returncode == 0 and own.exists()
    (tmp_path / "run" / "results.json").unlink()  # as if it had been killed
    own.unlink()
    before = snapshot(tmp_path)
    found = run("train", "--resume", "-o", "run")
    assert found.returncode == 2 and "--arch mine.py" in found.stderr and "no code is run" in found.stderr
    assert snapshot(tmp_path) == before
    assert run("train", "--resume", "-o", "run", "--arch", "mine.py", "-q").returncode == 0 and own.exists()


def test_a_run_that_goes_on_runs_the_file_that_it_began_with(run: Run, table: Path, tmp_path: Path, own: Path) -> None:
    assert run("train", table, "-o", "run", "--arch", "mine.py", *TRAIN[2:]).returncode == 0
    (tmp_path / "run" / "results.json").unlink()
    own.unlink()
    (tmp_path / "moved").mkdir()
    (tmp_path / "mine.py").rename(tmp_path / "moved" / "mine.py")
    (tmp_path / "mine.py").write_text(OWN + "# changed\n")
    before = snapshot(tmp_path)
    for more in ((), ("--overwrite",)):
        found = run("train", "--resume", "-o", "run", "--arch", "mine.py", *more)
        assert found.returncode == 2 and snapshot(tmp_path) == before
    assert "SHA-256 differs" in run("train", "--resume", "-o", "run", "--arch", "mine.py").stderr
    assert run("train", "--resume", "-o", "run", "--arch", "gone.py").returncode == 2
    assert run("train", "--resume", "-o", "run", "--arch", "gcn").returncode == 2 and not own.exists()
    assert run("train", "--resume", "-o", "run", "--arch", "moved/mine.py", "-q").returncode == 0


def test_a_strangers_folder_cant_vouch_for_its_file(run: Run, table: Path, tmp_path: Path, own: Path) -> None:
    """Whatever digest the folder's configuration gives: its file is not run unless it is named."""
    assert run("train", table, "-o", "run", "--arch", "mine.py", *TRAIN[2:]).returncode == 0
    saved = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert len(saved["model"]["arch_sha256"]) == 64
    own.unlink()
    for result in ("results.json", "none"):
        (tmp_path / "run" / result).unlink(missing_ok=True)
        assert run("train", "--resume", "-o", "run").returncode == 2 and not own.exists()
    for verb in (("report", "run"), ("predict", "run", "table.csv", "-o", "out.csv"), ("train", "--from", "run", "-o", "new")):
        assert run(*verb).returncode in (1, 2) and not own.exists()


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_a_configuration_runs_no_file(run: Run, table: Path, tmp_path: Path, own: Path, verb: str) -> None:
    line = 'arch = "mine.py"' if verb == "train" else 'archs = ["sgc", "mine.py"]'
    (tmp_path / "given.toml").write_text(f'data_path = "table.csv"\n{line}\n')
    found = run(verb, "--config", "given.toml", "-o", "run", *(TRAIN if verb == "train" else COMPARE)[2:])
    assert found.returncode == 2 and "mine.py" in found.stderr and "no code is run" in found.stderr
    assert not own.exists() and not (tmp_path / "run").exists()
    named = ("--arch", "mine.py") if verb == "train" else ("--archs", "sgc", "mine.py")
    found = run(verb, "--config", "given.toml", "-o", "run", *(TRAIN if verb == "train" else COMPARE)[2:], *named)
    assert found.returncode == 0 and own.exists()


@pytest.mark.parametrize("kind", ["molecules", "structures", "graph"])
def test_a_model_file_that_names_a_file_runs_none(tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Of each kind of model, with the file beside it: by its name, by its path, and with a sum that is right."""
    import hashlib

    import torch

    from heliograph.errors import HeliographError
    from heliograph.onegraph.predictor import GraphPredictor
    from heliograph.potential import Potential
    from heliograph.predictor import Document, Predictor, modelfile

    monkeypatch.chdir(tmp_path)
    readers = {"molecules": Predictor.load, "structures": Potential.load, "graph": GraphPredictor.load}
    digest = hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    for arch in ("mine.py", str(tmp_path / "mine.py"), "mine"):
        for source in (None, {"file": "mine.py", "sha256": digest}):
            outputs = {"y": {"level": "node", "task": {"kind": "regression", "targets": ["a"], "units": [""], "classes": []},
                             "scaling": {"mean": [0.0], "std": [1.0], "references": {}}}}  # fmt: skip
            parts = {"featurizer": {}, "network": {"out": 1, "level": "node"}, "references": {}, "encoders": {}}
            made = Document(kind, arch, {}, {"nodes": 3, "edges": 0}, outputs, parts, arch_source=source)
            modelfile.write("m.safetensors", made, [{"w": torch.zeros(2)}])
            with pytest.raises(HeliographError):
                readers[kind]("m.safetensors")
            assert not own.exists()


def test_one_graph_takes_no_file_of_ones_own(run: Run, tmp_path: Path, own: Path) -> None:
    """Nor a run folder or a configuration that names one."""
    (tmp_path / "nodes.csv").write_text("id,x,y\n" + "".join(f"{k},{k % 3},{k % 2}\n" for k in range(30)))
    (tmp_path / "edges.csv").write_text("source,target\n" + "".join(f"{k},{(k + 1) % 30}\n" for k in range(30)))
    (tmp_path / "given.toml").write_text('arch = "mine.py"\ntarget_columns = ["y"]\n')
    for words in (("--arch", "mine.py", "--target-columns", "y"), ("--config", "given.toml")):
        found = run("train", "nodes.csv", "--edges", "edges.csv", "-o", "run", "--epochs", "1", *words)
        assert found.returncode == 2 and "mine.py" in found.stderr and not own.exists() and not (tmp_path / "run").exists()
