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
