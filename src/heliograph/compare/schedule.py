"""What is to be done next in a comparison: a learner on a fold, once, or one trial after another until the best of them is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from heliograph.compare import evaluations, tuning
from heliograph.compare.evaluations import Evaluation, Material
from heliograph.compare.journal import Journal
from heliograph.compare.tuning import Tried


def pieces(m: Material, learner: str) -> int:
    """How many trainings a fold takes."""
    tune = m.config.compare.tune
    return tune if tune is not None and m.space(learner) else 1


def following(m: Material, journal: Journal, learner: str, k: int) -> Evaluation | None:
    """The next training of a learner on fold `k`. None where there is none: it is finished, or failed in this run, and where all trials
    are there the best of them is written down."""
    fold, trials = m.all[k], pieces(m, learner)
    if (learner, fold.name) in journal.evaluations or (learner, fold.name) in journal.failed:
        return None
    epochs = journal.epochs.get(learner, 0)
    if trials == 1:
        return Evaluation(learner, k, epochs)
    before = journal.trials.get((learner, fold.name), [])
    if len(before) < trials:
        seed = int(np.random.SeedSequence([evaluations.seed(m, learner, fold), len(before)]).generate_state(1)[0])
        return Evaluation(learner, k, epochs, len(before), tuning.suggest(m.space(learner), _tried(before), seed))
    journal.finish(_best(before))
    return None


def take(m: Material, journal: Journal, found: dict[str, Any]) -> None:
    """Write down what came of a training; of trials, only the best one's answers are kept."""
    if "trial" not in found:
        journal.finish(evaluations.keep(m.config.output_dir, found))
        return
    before = journal.trials.get((found["learner"], found["fold"]), [])
    if tuning.best(_tried([*before, found])) != len(before):
        found.pop("answers", None)
    journal.tried(evaluations.keep(m.config.output_dir, found))


def _tried(lines: list[dict[str, Any]]) -> list[Tried]:
    losses = [line.get("loss", None if "failed" in line else math.inf) for line in lines]
    return [Tried(line["settings"], loss) for line, loss in zip(lines, losses, strict=True)]


def _best(trials: list[dict[str, Any]]) -> Mapping[str, Any]:
    """The fold's line in the journal: the best trial's, whose cost is that of one training."""
    place = tuning.best(_tried(trials))
    if place is None:
        return {k: trials[0][k] for k in ("learner", "fold", "failed")}
    return {k: v for k, v in trials[place].items() if k not in ("what", "trial", "loss")} | {"trials": len(trials)}
