"""What is printed at the end of a training and of a comparison, whole, from results that are made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph import manifest, zoo
from heliograph.cli import comparison, frames, models, tables
from heliograph.compare.result import CompareResult, Learner
from heliograph.potential.result import PotentialResult
from heliograph.train.result import BadRow, Baseline, DataSummary, Replicate, TrainResult
from tests.train.test_result import predictions, result

FOLDER = Path("runs") / ("[a]-folder-of-a-name-that-is-longer-than-" * 3)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lines that a call prints on a terminal of 100 columns, without what rich draws around them."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(function: Any, *args: Any) -> list[str]:
        capsys.readouterr()
        function(*args)
        lines = capsys.readouterr().out.splitlines()
        drawn = [" | ".join(cell.strip() for cell in line.strip("│┃┡┩┏┓└┘├┤").replace("┃", "│").split("│")) for line in lines]
        return [line for line in drawn if line.strip("─━┳╇┴┼│ ")]

    return call


def trained(targets: int, **changes: Any) -> TrainResult:
    part = predictions(7, targets)
    names = tuple(f"[t{k}]" for k in range(targets))
    of = {name: {"rmse": 1.5 + k, "mae": 0.25, "r2": 0.5, "r2_of_pearson": 0.75, "more": 9.0} for k, name in enumerate(names)}
    metrics = {"test": {name: {k: v for k, v in row.items() if k in ("rmse", "mae", "r2")} for name, row in of.items()}}
    worse = {"test": {name: {k: 2 * v for k, v in row.items()} for name, row in metrics["test"].items()}}
    given = {"targets": names, "metrics": metrics, "baselines": {"mean": Baseline(worse)}, "units": ("eV",) * targets, "replicates": ()}
    return result(part, **given | changes)


def test_one_target(said: Any) -> None:
    assert said(tables.show_result, trained(1), FOLDER, FOLDER / "report.html") == [
        "Test: 7 molecules, [t0]",
        " | RMSE [eV] ↓ | MAE [eV] ↓ | R² ↑",
        "dmpnn | 1.50 | 0.250 | 0.500",
        "mean | 3.00 | 0.500 | 1.000",
        "1 of 5 rows can't be used: 1 no atoms",
        f"model   {FOLDER / 'model.safetensors'}",
        f"report  {FOLDER / 'report.html'}",
    ]


def test_an_ensemble_in_replicates_without_a_test_part(said: Any) -> None:
    one = trained(1)
    metrics = {"val": one.metrics["test"]}
    other = {"val": {"[t0]": {"rmse": 2.5, "mae": 0.35, "r2": 0.4}}}
    found = replace(one, predictions={"val": one.predictions["test"]}, metrics=metrics, baselines={}, model_files=("a", "b"),
                    config={"model": {"arch": "gin", "ensemble_size": 3}}, data=DataSummary("a.csv", (), 4, 4),
                    replicates=(Replicate("0", metrics), Replicate("1", other)))  # fmt: skip
    assert said(tables.show_result, found, Path("run"), Path("r.html")) == [
        "Validation (there is no test part): 7 molecules, mean ± spread of 2 replicates, [t0]",
        " | RMSE [eV] ↓ | MAE [eV] ↓ | R² ↑",
        "gin, ensemble of 3 | 2.00 ± 0.71 | 0.300 ± 0.071 | 0.450 ± 0.071",
        "model   run/a, run/b",
        "report  r.html",
    ]
    once = said(tables.show_result, replace(found, replicates=found.replicates[:1]), Path("run"), Path("r.html"))
    assert once[0] == "Validation (there is no test part): 7 molecules, [t0]"
    nothing = replace(found, predictions={}, metrics={}, replicates=(), model_files=())
    assert said(tables.show_result, nothing, Path("run"), Path("r.html")) == ["model   run", "report  r.html"]


@pytest.mark.parametrize("targets", [2, 12, 14])
def test_several_targets(said: Any, targets: int) -> None:
    lines = said(tables.show_result, trained(targets), Path("run"), Path("r.html"))
    shown = min(targets, 12)
    mean = 1.5 + (targets - 1) / 2
    expected = [f"[t{k}] [eV] | {1.5 + k:#.3g} | {2 * (1.5 + k):#.3g}" for k in range(shown)]
    assert lines[:2] == ["Test: 7 molecules, RMSE", "RMSE ↓ | dmpnn | mean"]
    assert lines[2 : 3 + shown] == [*expected, f"mean [eV] | {mean:#.3g} | {2 * mean:#.3g}"]
    rest = " ".join(line.strip() for line in lines[3 + shown : -3])
    assert rest == ("and 2 more targets: see the report" if targets == 14 else "")


def test_units_that_differ_and_what_is_bold() -> None:
    two = replace(trained(2), units=("eV", ""))
    table: Any = tables._many_targets(two)
    assert list(table.columns[0].cells) == ["[t0] [eV]".replace("[", "\\["), "\\[t1]", "mean"]
    assert [row.style for row in table.rows] == [None, None, "bold"]
    assert [column.justify for column in table.columns] == ["left", "right", "right"]
    single: Any = tables._one_target(trained(1))
    assert [row.style for row in single.rows] == ["bold", None]
    assert [column.justify for column in single.columns] == ["left", "right", "right", "right"]


def compared() -> CompareResult:
    noise = np.random.default_rng(0).standard_normal((25, 3))
    scores = np.array([1.0, 1.3, 2.0]) + 0.01 * noise
    learners = (Learner("gcn", True, 12345, 50, 100.0, 9.0, 1234.5, 300.25), Learner("gin", True, 999, 40, 10.0, None, None),
                Learner("forest", False, None, None, 1.0, None, None))  # fmt: skip
    folds = tuple(f"{r}.{f}" for r in range(1, 6) for f in range(1, 6))
    return CompareResult({"compare": {"cv": "5x5", "rope": None}}, "regression", ("y",), ("eV",), 1000, folds, learners,
                         {"rmse": scores[..., None]})  # fmt: skip


def test_a_comparison(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compared()
    monkeypatch.setattr(comparison, "verdict", lambda result: ["It is [so]."])
    lines = said(comparison.show_comparison, found, FOLDER, FOLDER / "report.html")
    std = [f"{found.table.of(name).std(ddof=1):.2g}" for name in ("gcn", "gin", "forest")]
    assert [line.split() for line in lines[2:6]] == [
        ["RMSE", "↓", "±", "folds", "parameters", "epochs", "train", "s", "predict/s", "MB"],
        ["gcn", "1", std[0], "a", "12,345", "50", "100", "1,234", "300"],
        ["gin", "1.3", std[1], "b", "999", "40", "10"],
        ["forest", "2", std[2], "c", "1"],
    ]
    words = "25 folds, 1,000 molecules; learners that share a letter can't be told apart; bold: to train."
    assert lines[:2] == ["It is [so].", words]
    assert lines[-2:] == [f"scores  {FOLDER / 'scores.csv'}", f"report  {FOLDER / 'report.html'}"]


def test_columns_that_do_not_fit_are_left_out_from_the_right() -> None:
    rows = [("abc", "12", "1", "a", "1,000", "5"), ("", "RMSE", "± folds", "", "parameters", "epochs")]
    widths = (6, 7, 10, 4, 13, 9)
    assert [comparison._fitting(rows, width) for width in (200, 49, 48, 40, 39, 1)] == [6, 6, 5, 5, 4, 4]
    assert sum(widths) == 49


def potential(**changes: Any) -> PotentialResult:
    metrics = {"energy_mae": 12.3456, "dipole_rmse": 0.5}
    given = {"config": {"potential": {"arch": "painn"}}, "metrics": {"test": metrics, "val": {"energy_mae": 1.0}},
             "zero": {"test": {k: 10 * v for k, v in metrics.items()}, "val": {"energy_mae": 20.0}}, "sizes": {"test": 1234, "val": 3},
             "labels": {}, "bad": ((4, "no [cell]"), (5, "x")), "frames": 2000, "history": (), "best_epochs": (), "seconds": 1.0,
             "parameters": 1, "notes": (), "versions": {}, "command": ""}  # fmt: skip
    return PotentialResult(**given | changes)


def test_a_potential(said: Any) -> None:
    assert said(frames.show, potential(), FOLDER, FOLDER / "report.html") == [
        "Test: 1,234 frames",
        " | unit | painn | no forces, mean energy",
        "energy, MAE | meV | 12.35 | 123.5",
        "dipole, RMSE |  | 0.5 | 5",
        "2 of 2,000 frames can't be used; the first is frame 5: no [cell]",
        f"model   {FOLDER / 'model.safetensors'}",
        f"report  {FOLDER / 'report.html'}",
    ]
    without = potential(metrics={"val": {"energy_mae": 1.0}}, bad=())
    assert said(frames.show, without, Path("run"), Path("r.html")) == [
        "Validation (there is no test part): 3 frames",
        " | unit | painn | no forces, mean energy",
        "energy, MAE | meV | 1 | 20",
        "model   run/model.safetensors",
        "report  r.html",
    ]


def test_a_report_of_a_potential_is_the_runs_until_it_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph import report
    from heliograph.potential import runner
    from heliograph.potential.folder import POTENTIAL

    monkeypatch.setattr(runner, "run", lambda asked, **_: manifest.claim(asked.output_dir, POTENTIAL, [report.NAME], replace=False))
    monkeypatch.setattr(report, "write_potential", lambda result, path: path.write_text("page") and path)
    frames.train(SimpleNamespace(output_dir=tmp_path / "run"), False, False, True)  # type: ignore[arg-type]
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["files"][report.NAME]  # its hash


def test_the_list_of_architectures(said: Any) -> None:
    lines = said(models._list)
    assert [line.split()[0] for line in lines[:-2]] == zoo.names()
    marks = {name: {"none": "", "optional": "[3D too]", "required": "[3D]"}[zoo.load(name).GEOMETRY] for name in zoo.names()}
    for line, (name, mark) in zip(lines, marks.items(), strict=False):
        assert line.endswith(mark or ")") and (len(name) > 12 or line[len(name) : 13].strip() == "")
    assert lines[-2:] == [
        "heliograph models show NAME gives the equations, what it sees and costs; heliograph models plan NAME what runs where.",
        "heliograph train DATA --arch NAME trains it.",
    ]


def test_bad_rows_are_counted_by_reason(said: Any) -> None:
    data = DataSummary("a.csv", (), 3000, 1000, {"not valid SMILES": 1500, "no [atoms]": 500}, (BadRow(0, "x", "no [atoms]"),))
    lines = said(tables.show_result, replace(trained(1), data=data), Path("run"), Path("r.html"))
    assert lines[-3] == "2,000 of 3,000 rows can't be used: 1,500 not valid SMILES, 500 no [atoms]"
