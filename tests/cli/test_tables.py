"""Tables as people have them, through the commands: train, predict and compare say what they took for what."""

from __future__ import annotations

import bz2
import csv
import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run, command, environment

CASES = Path(__file__).parents[1] / "data" / "cases"
FAST = ("--arch", "gcn", "--arch-args", "d=8", "depth=1", "--epochs", "1", "--no-baselines", "--num-workers", "0")


def notes(folder: Path) -> str:
    return " ".join(json.loads((folder / "results.json").read_text())["notes"])


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("de_excel.csv", (), ("'pIC50' are read with a decimal comma", "--target-columns: 'pIC50', 'Solubility (mg/L)'")),
        ("active.csv", (), ("'inactive' is 0, 'active' is 1",)),
        ("censored10.csv", ("--censored", "loss"), ("are bounds", "a prediction beyond the bound costs nothing")),
        ("missing_sent.csv", ("--missing", "-999"), ()),
        ("dups_random.csv", (), ("18 structures are there more than once (54 rows)",)),
        ("cp1252.csv", ("--target-columns", "IC50 (µM)"), ()),
    ],
)
def test_train(run: Run, tmp_path: Path, name: str, more: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = run("train", CASES / name, "-o", "out", *FAST, *more)
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in notes(tmp_path / "out") and word in " ".join((done.stdout + done.stderr).split()), word


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two.csv", "several columns of structures: 'solute', 'solvent'"),
        ("censored10.csv", "--censored drop"),
        ("missing_sent.csv", "--missing -999"),
        ("huge300.csv", "are too large to be squared"),
        ("rxn.csv", "not SMILES: 56 a reaction"[:10]),
        ("zeros.xyz", "no geometry"),
    ],
)
def test_train_refuses_in_words(run: Run, name: str, message: str) -> None:
    done = run("train", CASES / name, "-o", "out", *FAST)
    assert done.returncode == 1 and message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr, done.stderr


def test_predict_reads_what_training_read(run: Run, tmp_path: Path) -> None:
    assert run("train", CASES / "first_name.csv", "-o", "out", *FAST).returncode == 0
    data = tmp_path / "new.csv"
    data.write_text("smiles,Canonical_SMILES\nnot one,CCO\nnor this,CCN\n")
    done = run("predict", "out", data, "-o", "p.csv", "--num-workers", "0")
    assert done.returncode == 0 and "2 of 2 rows predicted" in done.stdout
    assert "Structures are read from the column 'Canonical_SMILES', as in training" in " ".join((done.stdout + done.stderr).split())
    with open(tmp_path / "p.csv") as file:
        assert all(row["y_pred"] for row in csv.DictReader(file))
    data.write_text("Name;Drug\nSN;CCCCO\nCO;CCCN\nxx;CCC(C)C\nyy;CCF\n")
    done = run("predict", "out", data, "-o", "q.csv", "--num-workers", "0")
    assert done.returncode == 0 and "'Drug'" in done.stdout + done.stderr


def test_compare_says_the_same(run: Run, tmp_path: Path) -> None:
    more = ("--archs", "gcn", "--cv", "1x2", "--epochs", "1", "--num-workers", "0")
    done = run("compare", CASES / "dups_random.csv", "-o", "cmp", *more)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "cmp" / "results.json").read_text()
    assert "18 structures are there more than once (54 rows)" in text


def test_packed_tables_are_tables(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress((CASES / "active.csv").read_bytes()))
    assert run("train", tmp_path / "a.csv.bz2", "-o", "out", *FAST).returncode == 0
    done = run("predict", "out", tmp_path / "a.csv.bz2", "-o", "p.csv", "--num-workers", "0")
    assert done.returncode == 0 and "rows predicted" in done.stdout


def test_a_table_from_standard_input(tmp_path: Path) -> None:
    with open(CASES / "de_excel.csv", "rb") as table:
        done = subprocess.run(command("train", "-", "-o", "out", *FAST), stdin=table, cwd=tmp_path, env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "out" / "model.safetensors").is_file()
