"""A result that is saved and loaded is the same result, to the last bit, whatever was in it."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.errors import DataError
from heliograph.learn.figures import Epoch, metric
from heliograph.train.predictions import Predictions
from heliograph.train.result import BadRow, Baseline, Cost, DataSummary, Replicate, TrainResult, describe


def predictions(n: int, n_targets: int, *, std: bool = False, n_classes: int = 0, dtype: Any = np.float64) -> Predictions:
    rng = np.random.default_rng(n + n_targets)
    y = rng.normal(size=(n, n_targets)).astype(dtype)
    y[rng.random(y.shape) < 0.2] = np.nan
    return Predictions(
        rows=np.arange(n) * 3,
        ids=tuple(f'id,{i}\n"x"' for i in range(n)),
        structures=tuple("C" * (i + 1) for i in range(n)),
        n_atoms=np.arange(n) + 1,
        scaffolds=("",) * n,
        y_true=y,
        y_pred=rng.normal(size=y.shape).astype(dtype),
        y_std=rng.random(y.shape).astype(dtype) if std else None,
        probabilities=rng.random((*y.shape, n_classes)).astype(dtype) if n_classes else None,
    )


def result(part: Predictions, **changes: Any) -> TrainResult:
    n_targets = part.y_true.shape[1]
    targets = tuple(f"target {t}, \udce4" for t in range(n_targets))
    nest = {targets[0]: {"rmse": 0.1 + 0.2, "r2": math.nan, "mae": math.inf}, "mean": {"rmse": 1e-300}}
    values: dict[str, Any] = {
        "config": {"model": {"arch": "dmpnn", "arch_args": {}}, "fit": {"patience": None, "max_lr": 1e-3}},
        "kind": "regression",
        "targets": targets,
        "main_metric": "rmse",
        "units": ("eV",) * n_targets,
        "predictions": {"test": part},
        "metrics": {"test": nest, "val": nest},
        "data": DataSummary("a.csv", ("smiles", "y"), 5, 4, {"no atoms": 1}, (BadRow(3, "not \udcff a molecule", "no atoms"),)),
        "split": describe({"train": part.y_true, "test": part.y_true[:1]}, {"train": ["a"] * len(part), "test": ["b"]}, "regression"),
        "rows": {"train": np.array([4, 2]), "val": np.array([], dtype=np.int64), "test": part.rows},
        "history": (Epoch(0, 0, 1.5, math.nan, {"rmse": 1 / 3}, 1e-4, 2.0, 0.5, 0.1), Epoch(0, 1, 0.1)),
        "best_epochs": (1,),
        "baselines": {"mean": Baseline({"test": nest}, 0.25)},
        "replicates": (Replicate("random_0", {"test": nest}, {"mean": Baseline({"test": nest})}),),
        "cost": Cost(parameters=12, seconds_train=3.5, peak_memory_mb=812.5),
        "notes": ("3D model given SMILES: conformers embedded",),
        "model_files": ("model.safetensors",),
        "versions": {"heliograph": "0.1"},
        "command": "heliograph train a.csv",
        "finished": "2024-01-01T00:00:00",
    }
    return TrainResult(**values | changes)


def same(a: Any, b: Any) -> bool:
    """Equal to the bit and in type; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize(
    "part",
    [
        predictions(7, 1),
        predictions(7, 3, std=True, dtype=np.float32),
        predictions(5, 2, n_classes=4, dtype=np.float32),
        predictions(1, 1, std=True, n_classes=2),
        predictions(0, 2),
        predictions(0, 2, n_classes=3),
    ],
    ids=["plain", "float32 ensemble", "multiclass", "one molecule", "empty", "empty multiclass"],
)
def test_a_loaded_result_is_the_saved_one(part: Predictions, tmp_path: Path) -> None:
    saved = result(part)
    saved.save(tmp_path)
    loaded = TrainResult.load(tmp_path)
    for f in fields(TrainResult):
        assert same(getattr(saved, f.name), getattr(loaded, f.name)), f.name


def test_extreme_numbers_and_texts_survive(tmp_path: Path) -> None:
    y = np.array([[np.inf], [-np.inf], [5e-324], [0.1], [1 / 3], [-0.0], [np.nan]])
    texts = ("C" * 200_000, "\udcff", "\0", "=1+1", " x ", '"', "\r\n")
    part = Predictions(np.arange(7), ("",) * 7, texts, np.ones(7, dtype=np.int64), ("",) * 7, y, y)
    result(part).save(tmp_path)
    loaded = TrainResult.load(tmp_path).predictions["test"]
    assert loaded.y_true.tobytes() == y.tobytes()
    assert loaded.structures == texts


def test_results_json_is_strict_json_and_holds_the_first_thousand_bad_rows(tmp_path: Path) -> None:
    bad = tuple(BadRow(i, "?", "no SMILES") for i in range(1200))
    result(predictions(3, 1), data=DataSummary("a.csv", (), 1203, 3, {"no SMILES": 1200}, bad)).save(tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert len(document["data"]["bad_rows"]) == 1000
    assert document["data"]["reasons"] == {"no SMILES": 1200}


def test_the_truth_keeps_its_column(tmp_path: Path) -> None:
    result(predictions(2, 1, std=True), targets=("logS",)).save(tmp_path)
    assert (tmp_path / "test_predictions.csv").read_text().splitlines()[0] == "row,id,smiles,n_atoms,scaffold,logS,logS_pred,logS_std"


def test_what_is_not_a_result_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finished run"):
        TrainResult.load(tmp_path)
    saved = result(predictions(3, 1))
    saved.save(tmp_path)
    (tmp_path / "test_predictions.csv").write_text("row,id\n0,a\n")
    with pytest.raises(DataError, match="columns"):
        TrainResult.load(tmp_path)
    (tmp_path / "test_predictions.csv").unlink()
    with pytest.raises(DataError, match="missing"):
        TrainResult.load(tmp_path)
    for text in ("{", "[]", "{}", '{"format": 1}', '{"format": 99}'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(DataError):
            TrainResult.load(tmp_path)


def test_unit_of_a_target_and_the_near_name() -> None:
    ours = result(predictions(2, 1), targets=("gap",), units=("eV",))
    assert ours.unit("gap") == "eV"
    with pytest.raises(DataError, match="did you mean 'gap'"):
        ours.unit("gpa")


def test_directions_of_metrics() -> None:
    assert not metric("rmse").higher_is_better
    assert metric("roc").higher_is_better and metric("ROC-AUC").higher_is_better
    assert metric("mine") == ("mine", False, 0)


def test_describe_counts_means_and_shared_scaffolds() -> None:
    y = {"train": np.array([[0.0], [1.0], [np.nan]]), "val": np.empty((0, 1)), "test": np.array([[1.0]])}
    figures = describe(y, {"train": ["a", "b", "b"], "val": [], "test": ["b"]}, "regression")
    assert [figures.edges[0][0], figures.edges[0][-1]] == [0.0, 1.0]
    assert figures.parts["train"].labelled == [2] and figures.parts["train"].mean == [0.5] and sum(figures.parts["train"].counts[0]) == 2
    assert figures.parts["test"].shared_scaffolds == 1 and figures.parts["train"].scaffolds == 2
    assert math.isnan(figures.parts["val"].mean[0])


@pytest.mark.parametrize("column", [[3.0, 3.0], [np.nan, np.nan], [1e300, -1e300], [1.0, 1.0 + 2e-16], [1e-320, 0.0]])
def test_describe_takes_degenerate_targets(column: list[float]) -> None:
    y = np.array(column)[:, None]
    figures = describe({"train": y}, {"train": ["", ""]}, "regression")
    assert sum(figures.parts["train"].counts[0]) == np.isfinite(y).sum()


def test_describe_counts_classes() -> None:
    figures = describe({"train": np.array([[0.0], [2.0], [2.0]])}, {"train": ["", "", ""]}, "multiclass")
    assert figures.edges == [[-0.5, 0.5, 1.5, 2.5]] and figures.parts["train"].counts == [[1, 0, 2]]
