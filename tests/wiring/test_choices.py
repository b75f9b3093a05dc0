"""From an option to the training: the average of weights, the best epoch, and what is kept of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph.learn.progress import silent
from heliograph.predictor import Predictor
from heliograph.train import run
from heliograph.train.config import TrainConfig
from tests.train.conftest import MOLECULES

Config = Callable[..., TrainConfig]


def epochs(folder: Path) -> list[dict[str, float]]:
    with open(folder / "metrics.csv", newline="") as file:
        return [{k: float(v or "nan") for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize(("metric", "best"), [("r2", np.argmax), ("rmse", np.argmin), ("mae", np.argmin)])
def test_the_epoch_that_is_kept_is_the_best_by_the_metric_asked_for(
    config: Config, tmp_path: Path, metric: str, best: Callable[..., int]
) -> None:
    """A rate that is too high: scores go up and down, and neither the first nor the last epoch is the best."""
    asked = config(epochs=12, metrics=(metric, "mse" if metric != "mse" else "mae"), max_lr=0.3, final_lr=0.3, warmup_epochs=0.0, seed=2)
    result = run(asked, progress=silent())
    scores = [row[f"val_{metric}"] for row in epochs(tmp_path / "run")]
    chosen = int(best(scores))
    assert len(set(scores)) > 3 and chosen != int((np.argmin if best is np.argmax else np.argmax)(scores))
    assert result.best_epochs == (chosen,)
    assert result.metrics["val"]["mean"][metric] == pytest.approx(scores[chosen], rel=1e-4)  # the file that was kept answers so


def test_a_classifier_is_chosen_by_its_auc(config: Config, tmp_path: Path) -> None:
    asked = config(target_columns=("o",), epochs=8, metrics=("roc_auc",), max_lr=0.005, final_lr=0.005, warmup_epochs=0.0, seed=1)
    result = run(asked, progress=silent())
    scores = [row["val_roc_auc"] for row in epochs(tmp_path / "run")]
    assert max(scores) > min(scores) and result.best_epochs == (int(np.argmax(scores)),)
    assert result.metrics["val"]["mean"]["roc_auc"] == pytest.approx(max(scores), rel=1e-5)


def test_the_average_of_weights_is_what_is_validated_and_kept(config: Config, tmp_path: Path) -> None:
    found = {}
    for ema in (0.0, 0.9):
        result = run(config(ema=ema, epochs=3, max_lr=0.03, output_dir=tmp_path / f"{ema}"), progress=silent())
        found[ema] = Predictor.load(tmp_path / f"{ema}" / "model.safetensors").predict(MOLECULES)
        rows = epochs(tmp_path / f"{ema}")
        assert result.metrics["val"]["mean"]["rmse"] == pytest.approx(rows[result.best_epochs[0]]["val_rmse"], rel=1e-4)
        assert result.best_epochs == (int(np.argmin([row["val_loss"] for row in rows])),)
    assert np.abs(found[0.0] - found[0.9]).max() > 1e-3
