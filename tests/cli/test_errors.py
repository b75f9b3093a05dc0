"""Every error text that a user is likely to meet, provoked: what was wanted, what came, where, what to do; and the exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import SOURCE, Run, environment

GOOD = "smiles,y\n" + "".join(f"{'C' * (k % 9 + 1)}{'O' if k % 2 else 'N'},{k % 7}.5\n" for k in range(40))
QUICK = ("--epochs", "1", "--num-workers", "0", "--arch", "gcn", "--arch-args", "d=8")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.csv"
    path.write_text(GOOD)
    return path


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_file(run: Run) -> None:
    refused(run("train", "nothing.csv"), 1, "no such file: nothing.csv", "heliograph data")


def test_wrong_column(run: Run, good: Path) -> None:
    refused(run("train", good, "-s", "smile"), 1, "no column 'smile'", "did you mean 'smiles'?")


def test_no_such_target(run: Run, good: Path) -> None:
    refused(run("train", good, "--target-columns", "yy"), 1, "no column 'yy'", "did you mean 'y'?")


def test_unknown_option_in_toml(run: Run, good: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[fit]\n\nepoch = 3\n")
    refused(run("train", good, "--config", "c.toml"), 2, "c.toml, line 3", "unknown key 'epoch' in [fit]", "did you mean 'epochs'?")


def test_unknown_option(run_alone: Run, good: Path) -> None:
    refused(run_alone("train", good, "--epoch", "3"), 2, "--epochs")


def test_all_rows_bad(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("smiles,y\n" + "xx(,1\n" * 5)
    refused(run("train", "bad.csv"), 1, "none of the 5 rows", "--smiles-columns")


def test_one_row(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("smiles,y\nCCO,1\n")
    refused(run("train", "one.csv"), 1, "1 usable row", "more rows")


def test_constant_target(run: Run, tmp_path: Path) -> None:
    (tmp_path / "same.csv").write_text("smiles,y\n" + "".join(f"{'C' * k}O,3\n" for k in range(1, 21)))
    refused(run("train", "same.csv"), 1, "same label (3)", "--target-columns")


def test_one_epoch_is_fine(run: Run, good: Path, tmp_path: Path) -> None:
    done = run("train", good, *QUICK, "-o", "run")
    assert done.returncode == 0, done.stderr
    assert "RMSE" in done.stdout and "random forest" in done.stdout and "run/report.html" in done.stdout
    assert (tmp_path / "run" / "report.html").is_file()
    refused(run("train", good, *QUICK, "-o", "run"), 2, "--resume", "--overwrite")
    again = run("train", "--resume", "-o", "run")
    assert again.returncode == 0 and "report.html" in again.stdout
    quiet = run("predict", "run", good, "-o", "out.csv", "--num-workers", "0", "-q")
    assert quiet.returncode == 0 and quiet.stdout == "" and (tmp_path / "out.csv").is_file()


def test_impossible_values(run: Run, good: Path) -> None:
    done = run("train", good, "--epochs", "0", "--loss", "maee", "--split-sizes", "1", "2")
    refused(done, 2, "--epochs: must be greater than 0; got '0'", "did you mean 'mae'?", "--split-sizes: needs more values")


def test_no_data(run: Run) -> None:
    refused(run("train"), 2, "no data", "heliograph train molecules.csv")


def test_nothing_to_resume(run: Run) -> None:
    refused(run("train", "--resume", "-o", "nowhere"), 1, "nothing to resume", "nowhere")


def test_unknown_verb(run: Run) -> None:
    refused(run("trian"), 2, "train")


def test_no_such_model(run: Run, good: Path) -> None:
    refused(run("predict", "nowhere.safetensors", good, "-o", "out.csv"), 1, "nowhere.safetensors", "no such file")


def test_a_foreign_model_file(run: Run, good: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"PK\x03\x04 a pickle in a zip archive")
    refused(run("predict", "model.safetensors", good, "-o", "out.csv"), 1, "not a model file of heliograph")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare to mount a small disk")
def test_disk_full(run: Run, good: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=8k none {small}"
    inside = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c"]
    if subprocess.run([*inside, mount], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    command = " ".join([f"{mount} &&", sys.executable, "-m", "heliograph", "train", str(good), *QUICK, "-o", str(small / "run")])
    done = subprocess.run([*inside, command], check=False, capture_output=True, text=True, env=environment(), cwd=tmp_path)
    refused(done, 1, "pace", "choose another folder")


def test_interrupt(good: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "heliograph", "train", str(good), *QUICK, "--epochs", "100000", "-o", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "metrics.csv"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not (log.is_file() and log.read_text().count("\n") > 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "heliograph train --resume -o run" in error and "Traceback" not in error


def test_interrupt_of_a_comparison_in_two_processes(good: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "heliograph", "compare", str(good), "--archs", "sgc", "--cv", "5x5", "--epochs", "100000",
               "--num-workers", "0", "--jobs", "2", "-o", "run"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    journal = tmp_path / "run" / "journal.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not (journal.is_file() and "evaluation" in journal.read_text()):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "heliograph compare --resume -o run" in error and "Traceback" not in error


def test_compare(run: Run, good: Path, tmp_path: Path) -> None:
    refused(run("compare", "--resume", "-o", "nothing"), 1, "nothing to resume: there is no comparison in nothing")
    refused(run("compare", good, "--cv", "5"), 2, "--cv: must be repeats x folds, at least 1x2, like 5x5; got '5'")
    refused(run("compare", good, "--archs", "gcn", "ginn"), 2, "there is no such architecture; did you mean 'gin'?")
    refused(run("train", "--from", "nothing"), 1, "there is no comparison in this folder. Make one with heliograph compare DATA -o nothing")
    refused(run("compare"), 2, "no data: give a table of molecules")


def test_parts_that_do_not_fit_are_told_before_the_data_is_read(run: Run, tmp_path: Path) -> None:
    text = "embed = 'Embed(nodes, 8)'\nreadout = 'Pool(Head(8, out))'\n[[layers]]\nmessage = 'gin.Message(edges, 8)'\nupdate = '{}'\n"
    (tmp_path / "mine.toml").write_text(text.format("GRU(9)"))
    done = run("train", "absent.csv", "--arch", "mine.toml")
    refused(done, 2, "mine.toml: its parts don't fit together", "Do all widths agree?")
    (tmp_path / "mine.toml").write_text(text.format("Gru(8)"))
    refused(run("train", "absent.csv", "--arch", "mine.toml"), 2, "[[layers]] 1 update = 'Gru(8)'", "did you mean 'GRU'?")


def test_an_unexpected_error_is_one_clear_line(run: Run, good: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("FEATURIZER, GEOMETRY = 'table10_1', 'none'\n\n\ndef build(inputs, out):\n    return 1 / 0\n")
    done = run("train", good, "--arch", "mine.py", "--num-workers", "0")
    refused(done, 1, "Unexpected ZeroDivisionError: division by zero", "--verbose")
    assert "Traceback" in run("train", good, "--arch", "mine.py", "--num-workers", "0", "-v", "-o", "other").stderr


def test_help_and_import_stay_light() -> None:
    """Neither PyTorch nor RDKit nor anything heavy; the seconds are printed, not judged."""
    heavy = ["torch", "numba", "rdkit", "pandas", "sklearn", "pyarrow", "scipy", "ase", "pydantic", "numpy"]
    for what in ("import heliograph", "from heliograph.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"):
        code = f"import sys, time\nt = time.time()\n{what}\nt = time.time() - t\nprint([m for m in {heavy} if m in sys.modules], t)"
        done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
        last = done.stdout.splitlines()[-1]
        assert last.startswith("[] "), last
        print(f"{what.splitlines()[0]}: {float(last.split()[-1]):.3f} s")


def test_version(run_alone: Run) -> None:
    assert run_alone("--version").stdout.startswith("heliograph 0.")
    assert os.path.isdir(SOURCE)
