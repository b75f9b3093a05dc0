"""How likely the truths of each fold are under a learner's answers with calibrated error bars: what a learner knows of its own errors.

The answers to the other folds of a repeat, each of a training that had not seen them, calibrate those of a fold. Of numbers, sigma depends
on what is known of a molecule (`predictor.trust.features`: size, rings, elements, the answer) by the log-linear scale of
`uncertainty.scales`; probabilities of two classes get Platt's map; those of several a temperature. No learner is trained again for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from heliograph.compare.evaluations import Material, answers_path
from heliograph.compare.folds import Fold
from heliograph.data.store import Store
from heliograph.predictor.trust import cooled, features
from heliograph.uncertainty import classes, regression

NAME = "calibrated_nll"
MOST = 20_000  # answers that calibrate those of a fold


def calibrated(m: Material, learners: Sequence[str]) -> np.ndarray | None:
    """Return mean negative log likelihoods [J, L, T]: fold, learner, target; NaN where too few answers calibrate.

    None where answers are no longer in the folder.
    """
    if not all(answers_path(m.config.output_dir, name, fold).is_file() for name in learners for fold in m.folds):
        return None
    arch = m.readable or m.first
    store = m.data[arch].store.take(m.at[arch])
    found = np.full((len(m.folds), len(learners), len(m.task.targets)), np.nan)
    for k, name in enumerate(learners):
        answers = [_answers(m, name, fold) for fold in m.folds]
        for j, fold in enumerate(m.folds):
            others = [i for i, other in enumerate(m.folds) if other.repeat == fold.repeat and i != j]
            rows = np.concatenate([m.folds[i].test for i in others])
            some = np.sort(np.random.default_rng(j).permutation(len(rows))[:MOST])
            known = np.concatenate([answers[i] for i in others])[some]
            for t in range(len(m.task.targets)):
                found[j, k, t] = _likelihood(m, store, t, rows[some], known[:, t], fold.test, answers[j][:, t])
    return found


def _answers(m: Material, learner: str, fold: Fold) -> np.ndarray:
    """A learner's answers to the test rows of a fold, [n, T], or probabilities [n, T, C] of several classes."""
    with np.load(answers_path(m.config.output_dir, learner, fold)) as held:
        return np.asarray(held["probabilities"] if m.task.kind == "multiclass" else held["y"])


def _likelihood(m: Material, store: Store, t: int, rows: np.ndarray, known: np.ndarray, asked: np.ndarray, answers: np.ndarray) -> float:
    """The mean negative log likelihood of the labels of rows `asked` under `answers`, calibrated by those `known` to `rows`."""
    there, here = np.isfinite(m.y[rows, t]), np.isfinite(m.y[asked, t])
    rows, known, asked, answers = rows[there], known[there], asked[here], answers[here]
    truth, y = m.y[rows, t], m.y[asked, t]
    if len(rows) < regression.LEAST or not len(asked):
        return math.nan
    if m.task.kind == "regression":
        method = "loglinear" if len(rows) >= regression.LEAST_FOR_SCALE else "conformal-regression"
        calibration = regression.fit(regression.Rows(truth - known, features(store.take(rows), known, None, None)), method)
        sigma = calibration.sigma(features(store.take(asked), answers, None, None), len(asked))
        return float((np.log(sigma) + 0.5 * np.square((y - answers) / sigma)).mean()) + 0.5 * math.log(2.0 * math.pi)
    if m.task.kind == "binary":
        if len(np.unique(truth)) < 2:
            return math.nan
        p = np.clip(classes.fit(known, truth, "platt")(answers), 1e-12, 1.0 - 1e-12)
        return float(-np.log(np.where(y > 0.5, p, 1.0 - p)).mean())
    C = len(m.task.classes[t])
    with np.errstate(divide="ignore"):
        warmth = classes.temperature(np.log(known[:, :C]), truth)
    p = cooled(answers[:, :C], warmth)[np.arange(len(y)), y.astype(np.int64)]
    return float(-np.log(np.maximum(p, 1e-12)).mean())
