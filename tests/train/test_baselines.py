"""Simple models on the same parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from heliograph.learn.progress import silent
from heliograph.predictor import Task
from heliograph.train import baselines
from heliograph.train.baselines import Inputs
from heliograph.train.config import TrainConfig
from heliograph.train.runner import run
from tests.train.conftest import MOLECULES

Config = Callable[..., TrainConfig]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "TREES", 20)


def inputs(y: np.ndarray, kind: str = "regression", geometry: bool = False, **changes: object) -> Inputs:
    n, T = y.shape
    classes = {"regression": (), "binary": (("0", "1"),) * T, "multiclass": (("a", "b", "c"),) * T}[kind]
    task = Task(kind, tuple(f"t{t}" for t in range(T)), classes=classes)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    composition = np.zeros((n, 119), np.int64)
    composition[:, 6] = rng.integers(1, 9, n)
    composition[:, 1] = 2
    shapes = [(np.array([6] * c + [1, 1], np.uint8), rng.normal(size=(c + 2, 3)) * 2) for c in composition[:, 6]] if geometry else None
    rows = np.arange(n)
    parts = {"train": rows[: n // 2], "val": rows[n // 2 : 3 * n // 4], "test": rows[3 * n // 4 :]}
    names = {"regression": ("rmse", "mae"), "binary": ("roc_auc",), "multiclass": ("accuracy",)}[kind]
    given = {
        "task": task,
        "y": y,
        "parts": parts,
        "smiles": [MOLECULES[k % 60] for k in rows],
        "geometry": shapes,
        "composition": composition,
        "names": names,
    } | changes
    return Inputs(**given)  # type: ignore[arg-type]


def test_mean() -> None:
    y = np.array([[1.0], [3.0], [np.nan], [5.0], [7.0], [9.0]])
    found = baselines.mean(inputs(y, parts={"train": np.arange(3), "val": np.array([3]), "test": np.array([4, 5])}), [])
    assert found["test"][0].tolist() == [[2.0], [2.0]]
    classes = baselines.mean(inputs(np.array([[0.0], [1.0], [1.0], [np.nan], [2.0], [0.0], [0.0], [0.0]]), "multiclass"), [])
    assert classes["test"][1] is not None
    np.testing.assert_allclose(classes["test"][1][0, 0], [1 / 3, 2 / 3, 0.0])
    assert classes["test"][0][0, 0] == 1.0


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_forest_learns(kind: str) -> None:
    o = np.array([float("O" in MOLECULES[k % 60]) for k in range(120)])
    ring = np.array([float("1" in MOLECULES[k % 60]) for k in range(120)])
    y = np.column_stack([o + 2 * ring * (kind == "regression") if kind != "multiclass" else np.where(ring > 0, 2.0, o), o])
    y[3, 1] = np.nan
    found = baselines.forest(inputs(y, kind), [])
    answers, probabilities = found["test"]
    close = answers if kind != "binary" else np.round(answers)
    assert np.mean(np.abs(close - y[90:]) < 0.3) > 0.9
    assert (probabilities is not None) == (kind == "multiclass")


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_boosting_is_that_on_all_columns(kind: str) -> None:
    """Columns that don't vary in training are left out, and nothing changes by it."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    from heliograph.chem import ecfp

    smiles = [MOLECULES[k % 60] for k in range(240)]  # a leaf has twenty molecules or more
    data = inputs(np.array([[float(len(s) > 5 if kind == "binary" else len(s))] for s in smiles]), kind)
    bits, train, test = ecfp(smiles), data.parts["train"], data.parts["test"]
    if kind == "binary":
        expected = HistGradientBoostingClassifier(random_state=0).fit(bits[train], data.y[train, 0]).predict_proba(bits[test])[:, 1]
    else:
        expected = HistGradientBoostingRegressor(random_state=0).fit(bits[train], data.y[train, 0]).predict(bits[test])
    assert len(set(expected)) > 1
    np.testing.assert_allclose(baselines.boosting(data, [])["test"][0][:, 0], expected, rtol=1e-5)  # labels are free of their unit here
    alike = baselines.boosting(inputs(np.arange(60.0)[:, None], smiles=["CC"] * 60), [])["test"][0]
    np.testing.assert_allclose(alike, 14.5)  # the mean of the first thirty


def test_a_class_that_training_has_not() -> None:
    y = np.array([[0.0], [1.0]] * 10 + [[2.0]] * 20)
    found = baselines.forest(inputs(y, "multiclass"), [])
    assert found["test"][1] is not None
    assert (found["test"][1][:, 0, 2] == 0.0).all()
    assert np.isfinite(baselines.forest(inputs(np.zeros((8, 1)), "binary"), [])["test"][0]).all()


def test_kernel_ridge_learns_and_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    data = inputs(np.zeros((200, 2)), geometry=True)
    size = np.array([len(z) for z, _ in data.geometry or []], dtype=float)
    data.y[:, 0], data.y[:, 1] = -1000.0 * size, np.sin(size)
    data.y[5, 1] = np.nan
    answers = baselines.kernel_ridge(data, [])["test"][0]
    assert np.abs(answers[:, 0] - data.y[150:, 0]).max() < 1e-3
    assert np.corrcoef(answers[:, 1], data.y[150:, 1])[0, 1] > 0.5
    for name in ("MOST_KERNEL", "MOST_ANSWERS", "MOST_CHOOSING"):
        monkeypatch.setattr(baselines, name, 20)
    notes: list[str] = []
    few = baselines.kernel_ridge(data, notes)["test"][0]
    assert np.isfinite(few[:20]).all()
    assert np.isnan(few[20:]).all()
    assert notes[0].startswith("The baseline kernel ridge on Coulomb matrices learned from 20 of the 100 training molecules")


def test_beside_a_network(config: Config) -> None:
    found = run(config(baselines=True, epochs=1), progress=silent())
    assert list(found.baselines) == ["mean", "random forest on ECFP4"]
    for baseline in found.baselines.values():
        assert set(baseline.metrics) == {"val", "test"}
        assert np.isfinite(baseline.metrics["test"]["mean"]["rmse"])
        assert baseline.seconds >= 0


def test_length_and_ridge_are_those_of_the_least_validation_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against every pair tried by hand, with as many molecules as may choose; the labels of test are not looked at."""
    random = np.random.default_rng(1)
    x = {part: random.normal(size=(n, 3)) for part, n in (("train", 40), ("val", 12), ("test", 9))}
    y = {part: np.sin(2 * rows[:, 0]) + 0.5 * random.normal(size=len(rows)) for part, rows in x.items()}
    y["train"][3] = y["val"][2] = np.nan

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(a[:, None] - b[None]).sum(-1))

    for most in (100, 10):
        monkeypatch.setattr(baselines, "MOST_CHOOSING", most)
        good = np.flatnonzero(np.isfinite(y["train"]))
        few, judge = x["train"][good][:most], np.flatnonzero(np.isfinite(y["val"]))[:most]
        scale, errors = np.median(distance(few, few)), {}

        def answers(rows: np.ndarray, known: np.ndarray, labels: np.ndarray, length: float, ridge: float) -> np.ndarray:
            kernel = np.exp(-distance(known, known) / length) + ridge * np.eye(len(known))
            return np.asarray(np.exp(-distance(rows, known) / length) @ np.linalg.solve(kernel, labels))

        for factor in baselines.LENGTHS:
            for ridge in baselines.RIDGES:
                found = answers(x["val"][judge], few, y["train"][good][:most], factor * scale, ridge)
                errors[factor * scale, ridge] = np.abs(found - y["val"][judge]).mean()
        chosen = min(errors, key=lambda pair: errors[pair])
        assert chosen[0] != baselines.LENGTHS[len(baselines.LENGTHS) // 2] * scale or chosen[1] != baselines.RIDGES[1]
        given = baselines._kernel_answers(x, y | {"test": np.full(9, np.nan)})
        assert set(given) == {"val", "test"}
        for part, answer in given.items():
            np.testing.assert_allclose(answer, answers(x[part], x["train"][good], y["train"][good], *chosen), rtol=1e-8)
    default = baselines._kernel_answers(x, y | {"val": np.full(12, np.nan)})  # nothing to choose by
    middle = baselines.LENGTHS[len(baselines.LENGTHS) // 2] * np.median(distance(few, few))
    expected = answers(x["test"], x["train"][good], y["train"][good], middle, baselines.RIDGES[1])
    np.testing.assert_allclose(default["test"], expected, rtol=1e-8)


def test_a_kernel_says_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = inputs(np.random.default_rng(0).normal(size=(40, 1)), geometry=True)
    for most, said in ((10, 0), (9, 1)):  # val and test have ten each; training may have more than are answered for
        monkeypatch.setattr(baselines, "MOST_ANSWERS", most)
        notes: list[str] = []
        found = baselines.bonds_ridge(data, notes)
        assert notes == [f"The baseline kernel ridge on bags of bonds answered for the first {most} molecules of each part."] * said
        assert [int(np.isfinite(found[part][0]).sum()) for part in ("val", "test")] == [most, most]
        assert np.isnan(found["train"][0]).all()


def test_what_composition_explains_is_fitted_on_training_rows() -> None:
    composition = np.array([[1, 0, 2], [2, 0, 1], [3, 1, 0], [1, 0, 0], [2, 5, 2]])
    y = composition @ np.array([10.0, 1000.0, 3.0]) + 7.0
    y[4] = np.nan
    found = baselines._by_composition(y, composition, np.array([0, 1, 3, 4]))
    np.testing.assert_allclose(found[[0, 1, 3]], y[[0, 1, 3]])
    np.testing.assert_allclose(found[[2, 4]], [37.0, 33.0])  # an element that training does not have counts for nothing
