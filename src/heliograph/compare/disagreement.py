"""Molecules on which the learners of a comparison answer most differently, although all were trained on the same others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.compare.evaluations import Material, answers_path

MOST = 12


@dataclass(frozen=True)
class Disagreement:
    """One labelled molecule and one target, with each learner's answer when the molecule was in a test fold, averaged over repeats.

    `label`: the value, 0 or 1, or the index of the class. `answers`: values, probabilities of 1, or of the molecule's own class.
    `spread`: their standard deviation between `among`, in the units of `answers`.
    """

    structure: str
    row: int
    target: str
    label: float
    answers: dict[str, float]
    among: tuple[str, ...]
    spread: float


def disagreements(m: Material, most: int = MOST) -> tuple[Disagreement, ...]:
    """The molecules of largest spread between architectures (between all learners where there is one), each with its worst target.

    Spreads of values are measured against the spread of the target's labels. None where answers are no longer in the folder.
    """
    learners = [name for name in (*m.data, *m.baselines) if name != "mean"]
    among = tuple(m.data) if len(m.data) > 1 else tuple(learners)
    if not all(answers_path(m.config.output_dir, name, fold).is_file() for name in learners for fold in m.folds):
        return ()
    answers = {name: _answers(m, name) for name in learners}
    labelled = np.isfinite(m.y)
    spread = np.where(labelled, np.stack([answers[name] for name in among]).std(0), -1.0)  # [n, T]
    size = spread / _scale(m.y) if m.task.kind == "regression" else spread
    target = size.argmax(1)
    largest = size[np.arange(len(size)), target]
    found = [int(k) for k in np.argsort(-largest, kind="stable")[:most] if largest[k] > 0]
    return tuple(_one(m, k, int(target[k]), answers, among, float(spread[k, target[k]])) for k in found)


def _one(m: Material, k: int, t: int, answers: dict[str, np.ndarray], among: Sequence[str], spread: float) -> Disagreement:
    of_each = {name: float(values[k, t]) for name, values in answers.items()}
    return Disagreement(m.smiles[k], int(m.rows[k]), m.task.targets[t], float(m.y[k, t]), of_each, tuple(among), spread)


def _scale(y: np.ndarray) -> np.ndarray:
    """The standard deviation of each target [T]; 1 where its labels are all the same."""
    scale = np.nanstd(y, axis=0)
    return np.asarray(np.where(scale > 0, scale, 1.0))


def _answers(m: Material, learner: str) -> np.ndarray:
    """[n, T], the mean over repeats."""
    total = np.zeros(m.y.shape)
    for fold in m.folds:
        with np.load(answers_path(m.config.output_dir, learner, fold)) as held:
            y = held["y"] if m.task.kind != "multiclass" else _of_truth(held["probabilities"], m.y[fold.test])
        total[fold.test] += y
    return total / m.config.compare.repeats


def _of_truth(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The probability [n, T, C] given to the class that is true [n, T]; 0 without a label."""
    true = np.where(np.isfinite(y), y, 0).astype(np.int64)[..., None]
    return np.where(np.isfinite(y), np.take_along_axis(probabilities, true, -1)[..., 0], 0.0)
