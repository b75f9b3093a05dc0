"""Potentials compared: the same divisions for all, a verdict that follows from the scores, runs that are gone on with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest

from heliograph.cli import main
from heliograph.compare.potentials import SAVED, PotentialComparison
from heliograph.errors import DataError
from tests.potential.test_run import frames


def made(values: np.ndarray, seconds: tuple[float, ...] = (10.0, 10.0, 10.0)) -> PotentialComparison:
    names = ("schnet", "painn", "mace")
    return PotentialComparison(names, "forces_mae", values, np.tile(seconds, (len(values), 1)), (100, 200, 300), 50, 5, 0.5)


def test_the_verdict_names_the_best_where_it_is_clear() -> None:
    noise = np.random.default_rng(0).normal(size=(5, 3))
    said = made(np.array([30.0, 20.0, 10.0]) + 0.1 * noise).verdict()
    assert said[0].startswith("mace has the best force component, MAE, 9.98 meV") and "differs from every other" in said[0]
    assert said[1] == "Train mace." and "with probability 1.00" in said[-1]


def test_where_two_are_alike_the_cheap_one_is_named() -> None:
    noise = np.random.default_rng(0).normal(size=(5, 3))
    result = made(np.array([40.0, 20.1, 20.0]) + noise * [0.1, 1, 1], (5.0, 10.0, 40.0))
    said = result.verdict()
    assert "can't be told apart" in said[0] and "painn" in said[0] and "mace" in said[0]
    best = result.scores.best_first()[0]
    assert said[1].startswith("Train painn") and ("4 times faster" in said[1]) == (best == "mace")
    assert [row[0] for row in result.rows()][-1] == "schnet"


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(args))
    return int(done.value.code or 0)


def test_frames_end_with_a_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ase.io.write(tmp_path / "frames.extxyz", frames(12))
    archs = ["schnet:d=4:depth=1", "painn:d=4:depth=1"]
    args = ["compare", f"{tmp_path}/frames.extxyz", "--archs", *archs, "--cv", "1x3", "--r-max", "4", "--epochs", "1"]
    args += ["-o", f"{tmp_path}/out"]
    assert run(*args) == 0
    shown = capsys.readouterr().out
    assert "has the best force component, MAE" in shown and "Train " in shown and "± divisions" in shown
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+/report.html)"', page)
    assert len(links) == 6 and all((tmp_path / "out" / link).is_file() for link in links)
    assert run("report", f"{tmp_path}/out", "-o", f"{tmp_path}/again.html") == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
    saved = json.loads((tmp_path / "out" / "potentials.json").read_text(encoding="utf-8"))
    assert len({tuple(row) for row in saved["values"]}) == 3  # each division is another
    assert np.array(saved["values"]).shape == (3, 2) and saved["metric"] == "forces_mae" and len(saved["verdict"]) >= 2
    models = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*/model.safetensors")}
    assert len(models) == 6
    assert run(*args) == 2  # a comparison is there
    assert run(*args, "--resume", "-q") == 0
    assert {p: p.stat().st_mtime_ns for p in models} == models  # nothing is trained again
    assert run(*args, "--resume", "--rope", "1.0", "--cv", "1x2") == 2
    assert run("compare", f"{tmp_path}/frames.extxyz", "--archs", "painn", "--tune", "3", "-o", f"{tmp_path}/no") == 2
    assert "is for tables of molecules" in capsys.readouterr().err


def test_what_is_saved_is_read_again_or_called_damaged(tmp_path: Path) -> None:
    result = made(np.random.default_rng(0).uniform(20, 40, (5, 3)), (5.0, 10.0, 40.0))
    result.save(tmp_path)
    again = PotentialComparison.load(tmp_path)
    assert again.verdict() == result.verdict() and again.rows() == result.rows()
    saved = json.loads((tmp_path / SAVED).read_text(encoding="utf-8"))
    for name, value in (("values", [[1.0, 2.0]]), ("metric", "beauty"), ("archs", ["painn"]), ("folds", 1), ("seconds", None)):
        (tmp_path / SAVED).write_text(json.dumps(saved | {name: value}), encoding="utf-8")
        with pytest.raises(DataError, match=r"potentials\.json"):
            PotentialComparison.load(tmp_path)
