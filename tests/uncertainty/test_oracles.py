"""The same numbers as crepes, MAPIE, venn-abers, uncertainty-toolbox and chemprop.

Those of the first four are kept in oracles.json (scripts/uncertainty_oracles.py makes it).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from heliograph.uncertainty import classes, conformal, metrics, scales
from heliograph.uncertainty.shape import Shape

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "oracles.json").read_text())["cases"]


def columns(case: dict[str, Any]) -> list[np.ndarray]:
    """y, pred, sigma and group of the rows that have a label."""
    arrays = [np.array(case["table"][k], dtype=np.float64) for k in ("y", "pred", "sigma", "group")]
    return [a[np.isfinite(arrays[0])] for a in arrays]


@pytest.mark.parametrize("case", CASES)
def test_conformal_quantiles_are_those_of_crepes_and_mapie(case: dict[str, Any]) -> None:
    y, pred, sigma, group = columns(case)
    r = np.abs(y - pred)
    ours = {
        "crepes": lambda c: conformal.quantile(r, c),
        "mapie": lambda c: conformal.quantile(r, c),
        "crepes_normalised": lambda c: Shape.fit("conformal", (y - pred) / sigma).ends(c)[1],
        "mapie_cqr": lambda c: conformal.quantile_regression(y, pred - sigma, pred + sigma, c),
    }
    checked = 0
    for name, found in ours.items():
        for coverage, wanted in case["regression"][name].items():
            assert found(float(coverage)) == pytest.approx(wanted, abs=1e-9), (name, coverage)
            checked += math.isfinite(wanted)
    for coverage, wanted in case["regression"]["crepes_mondrian"].items():
        names = np.array(list(wanted), dtype=np.float64)
        assert conformal.by_group(r, group, names, float(coverage)) == pytest.approx(list(wanted.values()), abs=1e-9)
    assert checked >= 8


@pytest.mark.parametrize("case", CASES)
def test_figures_are_those_of_uncertainty_toolbox(case: dict[str, Any]) -> None:
    y, pred, sigma, _ = columns(case)
    low, high = Shape("normal").ends(0.9)
    found = metrics.figures(y, pred, sigma)
    found["interval"] = float(metrics.interval_scores(y, pred + low * sigma, pred + high * sigma, 0.9).mean())
    for name, wanted in case["scores"].items():
        assert found[name] == pytest.approx(wanted, abs=1e-9), name


@pytest.mark.parametrize("case", CASES)
def test_venn_abers_and_sets_of_classes(case: dict[str, Any]) -> None:
    about = case["classes"]
    p, y, asked = (np.array(about[k]) for k in ("p", "y", "asked"))
    zero, one = classes.venn_abers(p, y)
    p0, p1 = classes.Map("venn-abers", steps=one, zero=zero).bounds(asked)
    assert p0 == pytest.approx(about["p0"], abs=1e-9) and p1 == pytest.approx(about["p1"], abs=1e-9)
    sets = classes.Sets.fit(np.column_stack([1 - p, p]), y)
    for coverage, wanted in about["sets"].items():
        found = sets(np.column_stack([1 - asked, asked]), float(coverage))
        assert (found.astype(int) == np.array(wanted)).all(), coverage


def one_further(scores: np.ndarray, coverage: float) -> float:
    """The rank after ours: chemprop's torch.quantile(scores, k / n, "higher") gives the (k + 1)-th
    smallest of n > k scores.
    """
    return float(np.sort(scores)[min(conformal.rank(len(scores), coverage), len(scores) - 1)])


def chemprop_table(seed: int, n: int, ties: bool) -> tuple[Any, ...]:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(seed)
    y, pred, var = (
        random.normal(size=(n, 2)),
        random.normal(size=(n, 2)),
        0.05 + random.random((n, 2)),
    )
    if ties:
        y, pred, var = np.round(y, 1), np.round(pred, 1), np.round(var, 1) + 0.1
    mask = random.random((n, 2)) < 0.8
    return tuple(torch.from_numpy(a) for a in (pred, var, y, mask))


@pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef`:UserWarning")
@pytest.mark.parametrize(("seed", "n", "ties"), [(0, 60, False), (1, 60, True), (2, 400, False)])
def test_chemprop_on_numbers(seed: int, n: int, ties: bool) -> None:
    calibrator = pytest.importorskip("chemprop.uncertainty.calibrator")
    evaluator = pytest.importorskip("chemprop.uncertainty.evaluator")
    pred, var, y, mask = chemprop_table(seed, n, ties)
    theirs = {
        "nll": evaluator.NLLRegressionEvaluator().evaluate(pred, var, y, mask),
        "miscalibration_area": evaluator.CalibrationAreaEvaluator().evaluate(pred, var, y, mask),
        "spearman": evaluator.SpearmanEvaluator().evaluate(pred, var, y, mask),
    }
    zscaling = calibrator.ZScalingCalibrator().fit(pred, var, y, mask).scalings
    halves = calibrator.RegressionConformalCalibrator(0.1).fit(pred, var, y, mask).qhats
    for t in range(2):
        there = mask[:, t].numpy()
        p, s, truth = (a[:, t].numpy()[there] for a in (pred, var.sqrt(), y))
        found = metrics.figures(truth, p, s)
        if ties:  # theirs finds ties among errors in float32, where rounding makes more of them
            theirs.pop("spearman", None)
        for (
            name,
            values,
        ) in theirs.items():  # theirs are in float64 for the likelihood, in float32 for the bins and the correlation
            assert found[name] == pytest.approx(float(values[t]), abs={"nll": 1e-9, "miscalibration_area": 1e-7}.get(name, 1e-5)), name
        ours = scales.zscaling(truth - p, s).weights["spread"]
        assert ours == pytest.approx(float(zscaling[t]), abs=1e-3)  # theirs is found by a simplex search with a tolerance of 1e-4

        def cost(scale: float, z: np.ndarray = (truth - p) / s) -> float:
            return float((math.log(scale) + 0.5 * np.square(z / scale)).mean())

        assert cost(ours) <= cost(float(zscaling[t])) + 1e-12
        half = var[:, t].numpy()[there]
        scores = np.maximum(p - half - truth, truth - p - half)
        assert one_further(scores, 0.9) == pytest.approx(float(halves[t]), abs=1e-9)
        assert conformal.quantile_regression(truth, p - half, p + half, 0.9) <= float(halves[t]) + 1e-12
    whole = evaluator.ExpectedNormalizedErrorEvaluator().evaluate(pred, var, y, mask | True, num_bins=10)
    for t in range(2):
        p, s, truth = (a[:, t].numpy() for a in (pred, var.sqrt(), y))
        chunks = np.split(np.argsort(s, kind="stable"), range(-(-n // 10), n, -(-n // 10)))
        if not ties:  # rows of equal sigma may stand in another order there
            assert metrics.ence(truth, p, s, chunks) == pytest.approx(float(whole[t]), abs=1e-9)


@pytest.mark.parametrize(("seed", "ties"), [(0, False), (1, True)])
def test_chemprop_on_classes(seed: int, ties: bool) -> None:
    calibrator = pytest.importorskip("chemprop.uncertainty.calibrator")
    import torch

    random = np.random.default_rng(seed)
    p = random.uniform(0.02, 0.98, (300, 2))
    p = np.round(p, 1).clip(0.1, 0.9) if ties else p
    y, mask = (random.random((300, 2)) < p**2).astype(np.int64), random.random((300, 2)) < 0.8
    tensors = [torch.from_numpy(a) for a in (p, y, mask)]
    isotonic = calibrator.IsotonicCalibrator().fit(*tensors).apply(tensors[0]).numpy()
    platt = calibrator.PlattCalibrator().fit(*tensors)
    both = np.stack([1 - p, p], -1)
    sets = calibrator.MulticlassConformalCalibrator(0.1).fit(torch.from_numpy(both), tensors[1], tensors[2])
    for t in range(2):
        there = mask[:, t]
        found = np.interp(p[:, t], *classes.isotonic(p[there, t], y[there, t].astype(np.float64)))
        assert found == pytest.approx(isotonic[:, t], abs=1e-9)
        x, truth = classes.logit(p[there, t]), y[there, t]

        def cost(w: np.ndarray, x: np.ndarray = x, truth: np.ndarray = truth) -> float:
            return float((np.logaddexp(0.0, w[0] * x + w[1]) - truth * (w[0] * x + w[1])).sum())

        ours = np.array(classes.platt(p[there, t], truth))
        start = np.array([float(platt.a[t]), float(platt.b[t])])  # of a simplex search that may end early: it goes on from there
        assert cost(ours) <= cost(start) + 1e-9
        assert ours == pytest.approx(optimize.minimize(cost, start, tol=1e-12).x, abs=1e-5)
        score = both[there, t][np.arange(there.sum()), y[there, t]]
        assert one_further(-score, 0.9) == pytest.approx(float(sets.qhats[t]), abs=1e-9)
