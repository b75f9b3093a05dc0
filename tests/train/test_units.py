"""The unit of a target is the user's affair: y and c y give the same model up to c."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from heliograph import MoleculeRegressor
from heliograph.errors import DataError
from heliograph.learn.task import Task
from heliograph.train import baselines, scale
from tests.train.conftest import MOLECULES

FACTORS = [1e-30, 1e-15, 1e15, 1e30]
TASK = Task("regression", ("y",))
Y = np.array([len(s) + 0.3 * s.count("C") for s in MOLECULES], dtype=np.float64)
CASES = Path(__file__).parents[1] / "data" / "cases"


@pytest.mark.parametrize("target", ["size", "energy"])
def test_networks(target: str) -> None:
    y = Y if target == "size" else np.array([-38.0 * s.count("C") - 75.0 * s.count("O") - 100.0 for s in MOLECULES])

    def predicted(labels: np.ndarray) -> np.ndarray:
        model = MoleculeRegressor("gcn", {"d": 16, "depth": 2}, epochs=3).fit(MOLECULES, labels)
        found, std = model.predict(MOLECULES[:8], return_std=True)
        return np.array([*found, *std])

    plain = predicted(y)
    assert np.ptp(plain[:8]) > 0
    for c in (2.0**-90, 2.0**90):  # a power of two changes no digit
        np.testing.assert_allclose(predicted(c * y) / c, plain, rtol=1e-12)
    for c in (1e-30, 1e30):
        np.testing.assert_allclose(predicted(c * y) / c, plain, rtol=1e-3)


def inputs(y: np.ndarray, settings: dict[str, float]) -> baselines.Inputs:
    parts = {"train": np.arange(0, 30), "val": np.arange(30, 35), "test": np.arange(35, 40)}
    rng = np.random.default_rng(0)
    texts = (MOLECULES * 3)[:40]
    geometry = [(np.array([6] * (3 + k % 4) + [1] * 3, np.uint8), rng.normal(size=(6 + k % 4, 3)) * 2) for k in range(40)]
    counts = np.zeros((40, 119), np.int64)
    for k, (z, _) in enumerate(geometry):
        np.add.at(counts[k], z, 1)
    return baselines.Inputs(TASK, y[:, None], parts, texts, geometry, counts, ("rmse",), settings=settings)


@pytest.mark.parametrize("name", ["forest", "boosting", "kernel_ridge", "bonds_ridge"])
def test_baselines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "TREES", 10)
    rng = np.random.default_rng(1)
    y = np.tile(Y, 3)[:40] + rng.normal(size=40)
    function, settings = getattr(baselines, name), {"min_samples_leaf": 2} if name in ("forest", "boosting") else {}
    plain = function(inputs(y, settings), [])["test"][0]
    assert np.ptp(plain) > 0
    for c in FACTORS:
        np.testing.assert_allclose(function(inputs(c * y, settings), [])["test"][0] / c, plain, rtol=1e-6)


def test_the_scaling_follows_the_unit() -> None:
    counts = np.zeros((len(Y), 119), np.int64)
    counts[:, 6] = [s.count("C") for s in MOLECULES]
    counts[:, 1] = 2 * counts[:, 6] + 2
    plain = scale.fit(TASK, Y[:, None], counts, "none").scaling
    for c in FACTORS:
        found = scale.fit(TASK, c * Y[:, None], counts, "none").scaling
        np.testing.assert_allclose([found.mean[0] / c, found.std[0] / c], [plain.mean[0], plain.std[0]], rtol=1e-12)


@pytest.mark.parametrize("c", [1e300, 1e-300])
def test_what_has_no_squares_is_an_error(c: float) -> None:
    with pytest.raises(DataError, match=r"are too large to be squared\. Give them in another unit"):
        MoleculeRegressor("gcn", epochs=1).fit(MOLECULES, c * Y)


def test_intervals() -> None:
    smiles = ["C" * (k + 1) + end for k in range(40) for end in ("O", "N", "F")]
    y = np.array([len(s) + 0.3 * s.count("O") + 0.1 * np.sin(k) for k, s in enumerate(smiles)])

    def intervals(labels: np.ndarray) -> np.ndarray:
        model = MoleculeRegressor("gcn", {"d": 8, "depth": 1}, epochs=2, ensemble_size=2, members="folds").fit(smiles, labels)
        return model.predict_interval(smiles[:8], coverage=0.8)

    plain = intervals(y)
    assert np.isfinite(plain).all() and (plain[:, 0] < plain[:, 1]).all()
    for c in (2.0**-90, 2.0**90):
        np.testing.assert_allclose(intervals(c * y) / c, plain, rtol=1e-9)
