"""Likelihoods of a comparison: each fold's answers with error bars that the other folds' answers gave."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from heliograph.compare import CompareConfig, evaluations
from heliograph.compare.calibrated import calibrated
from heliograph.compare.evaluations import Material, answers_path
from heliograph.compare.verdict import verdict
from heliograph.learn.progress import silent
from heliograph.predictor.trust import features
from heliograph.uncertainty import regression
from tests.compare.conftest import Config
from tests.compare.test_run import result


def answered(config: CompareConfig, noise: dict[str, float]) -> Material:
    """A comparison whose networks have answered with the truth and that much noise; of classes, with its sigmoid."""
    m = evaluations.prepare(config, silent())
    for learner, size in noise.items():
        random = np.random.default_rng(len(learner))
        for fold in m.folds:
            y = np.nan_to_num(m.y[fold.test]) + size * random.normal(size=m.y[fold.test].shape)
            if m.task.kind == "binary":
                y = 1 / (1 + np.exp(-3 * (y - 0.5)))
            path = answers_path(m.config.output_dir, learner, fold)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, y=y)
    return m


def test_numbers_are_calibrated_on_the_other_folds_of_the_repeat(config: Config) -> None:
    m = answered(config(target_columns=("y", "few"), cv="2x3"), {"gcn": 0.3, "sgc": 3.0})
    found = calibrated(m, ("gcn", "sgc"))
    assert found is not None and found.shape == (6, 2, 2)
    assert (found[:, 0, 0] < found[:, 1, 0]).all()  # nearer answers are likelier
    store = m.data["gcn"].store.take(m.at["gcn"])
    one, others = m.folds[4], (m.folds[3], m.folds[5])
    answers = {fold.name: np.load(answers_path(m.config.output_dir, "sgc", fold))["y"][:, 1] for fold in m.folds}
    rows, known = np.concatenate([f.test for f in others]), np.concatenate([answers[f.name] for f in others])
    there, here = np.isfinite(m.y[rows, 1]), np.isfinite(m.y[one.test, 1])
    rows, known, test = rows[there], known[there], one.test[here]
    scale = regression.fit(regression.Rows(m.y[rows, 1] - known, features(store.take(rows), known, None, None)), "conformal-regression")
    z = (m.y[test, 1] - answers[one.name][here]) / (sigma := scale.sigma({}, len(test)))
    assert math.isclose(found[4, 1, 1], float((np.log(sigma * math.sqrt(2 * math.pi)) + z**2 / 2).mean()), rel_tol=1e-9)
    answers_path(m.config.output_dir, "sgc", one).unlink()
    assert calibrated(m, ("gcn", "sgc")) is None  # answers are gone: nothing is said


def test_probabilities_get_platts_map(config: Config) -> None:
    m = answered(config(target_columns=("o",), cv="2x2"), {"gcn": 0.5, "sgc": 4.0})
    found = calibrated(m, ("gcn", "sgc"))
    assert found is not None and found[:, 0].mean() < found[:, 1].mean() and (found > 0).all() and found[:, 1].mean() < 0.8


def test_the_verdict_says_who_is_surest() -> None:
    random = np.random.default_rng(0)
    errors = {name: 1.0 + more + 0.01 * random.normal(size=25) for name, more in (("a", 0.0), ("b", 0.3), ("forest", 0.6))}
    found = result(errors, {"a": 2.0, "b": 1.0})
    assert "calibrated" not in " ".join(verdict(found))
    for surest, said in (("a", "a makes the truths most likely, too (calibrated NLL 0.5"), ("b", "a is worse by that.")):
        values = [(0.5 if name == surest else 1.5) + 0.01 * random.normal(size=(25, 1)) for name in errors]
        assert said in " ".join(verdict(replace(found, scores={**found.scores, "calibrated_nll": np.stack(values, 1)})))
