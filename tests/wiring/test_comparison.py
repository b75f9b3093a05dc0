"""From the folds to the statistics of a comparison: overlap, letters, intervals and seeds, each against a formula written here."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from heliograph.compare import evaluations, runner
from heliograph.compare.config import CompareConfig
from heliograph.learn.progress import silent
from tests.compare.test_run import result

Config = Callable[..., CompareConfig]


def two(shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = 1 + 0.05 * rng.standard_normal(25)
    return a, a + shift + 0.05 * rng.standard_normal(25)


def p_value(a: np.ndarray, b: np.ndarray, overlap: float) -> float:
    """Nadeau and Bengio's corrected t test."""
    d = a - b
    t = d.mean() / (d.std(ddof=1) * math.sqrt(1 / len(d) + overlap))
    return float(2 * stats.t.sf(abs(t), len(d) - 1))


def test_intervals_are_corrected_by_test_over_train() -> None:
    """5 x 5: a fold tests a fifth and trains four fifths, so the overlap is 1/4."""
    a, b = two(0.02)
    found = result({"a": a, "b": b, "mean": a + 1}, {"a": 1.0, "b": 1.0})
    assert found.table.overlap == 0.25 and found.table.folds == 5
    (pair,) = found.pairs
    d = found.table.of(pair.a) - found.table.of(pair.b)
    half = stats.t.ppf(0.975, 24) * d.std(ddof=1) * math.sqrt(1 / 25 + 1 / 4)
    assert (pair.low, pair.high) == pytest.approx((d.mean() - half, d.mean() + half))
    assert pair.p == pytest.approx(p_value(a, b, 0.25))


@pytest.mark.parametrize(("cv", "overlap"), [("5x5", 1 / 4), ("1x25", 1 / 24), ("12x2", 1.0)])
def test_the_overlap_is_that_of_the_folds(cv: str, overlap: float) -> None:
    a, b = two(0.02)
    n = 24 if cv == "12x2" else 25
    made = result({"a": a, "b": b}, {"a": 1.0, "b": 1.0})
    from dataclasses import replace

    found = replace(made, config={"compare": {"cv": cv, "rope": None}}, scores={"rmse": made.scores["rmse"][:n]})
    assert found.table.overlap == pytest.approx(overlap)
    assert found.pairs[0].p == pytest.approx(p_value(a[:n], b[:n], overlap))


def test_letters_differ_at_p_below_a_twentieth_and_not_above() -> None:
    """Shifts on both sides of the border, and one at p of about .3, which a border of .5 would tell apart."""
    seen = set()
    for shift in (0.0, 0.01, 0.02, 0.03, 0.05, 0.06, 0.08, 0.12):
        a, b = two(shift)
        found = result({"a": a, "b": b}, {"a": 1.0, "b": 1.0})
        p = p_value(a, b, 0.25)
        seen.add("apart" if p < 0.05 else "between" if p < 0.5 else "equal")
        assert (found.letters["a"] != found.letters["b"]) == (p < 0.05), (shift, p)
    assert seen == {"apart", "between", "equal"}


def test_a_learning_curve_has_the_overlap_of_its_folds(compare_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.compare.curve.LEAST", 4)
    found = runner.run(compare_config(archs=("sgc",), cv="1x3", epochs=1, learning_curve=True), progress=silent())
    assert {c.learner for c in found.curves} >= {"sgc", "random forest"}
    for curve in found.curves:
        x = np.log(curve.sizes) - np.log(curve.sizes).mean()
        slopes = x @ np.log(np.array(curve.errors)) / (x @ x)
        half = stats.t.ppf(0.975, 2) * slopes.std(ddof=1) * math.sqrt(1 / 3 + 1 / 2)  # three folds: test over train is a half
        assert (curve.low, curve.slope, curve.high) == pytest.approx((slopes.mean() - half, slopes.mean(), slopes.mean() + half))


def test_every_learner_has_a_seed_of_its_own_on_every_fold(compare_config: Config) -> None:
    m = evaluations.prepare(compare_config(cv="2x2", archs=("gcn", "sgc")), silent())
    names = (*m.data, *m.baselines)
    seeds = {(name, fold.name): evaluations.seed(m, name, fold) for name in names for fold in m.folds}
    assert len(set(seeds.values())) == len(seeds) == 4 * len(names)
    for name in m.data:
        for fold in m.folds:
            assert evaluations.training_of(m, name, fold, evaluations._fit(m, name, fold, 1)).fit.seed == seeds[name, fold.name]
    other = evaluations.prepare(compare_config(cv="2x2", archs=("gcn", "sgc"), seed=1), silent())
    assert not {evaluations.seed(other, name, fold) for name in names for fold in other.folds} & set(seeds.values())


def test_a_baseline_draws_by_its_own_seed(compare_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    m = evaluations.prepare(compare_config(cv="2x2", archs=("sgc",)), silent())
    drawn = {}
    original = evaluations.baselines.forest

    def forest(given: object, notes: list[str]) -> object:
        drawn[len(drawn)] = given.seed  # type: ignore[attr-defined]
        return original(given, notes)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluations.baselines, "forest", forest)
    for k in range(4):
        assert "failed" not in evaluations.evaluate(m, evaluations.Evaluation("random forest", k, 1))
    assert list(drawn.values()) == [evaluations.seed(m, "random forest", fold) for fold in m.folds] and len(set(drawn.values())) == 4
