"""Trials of settings in a comparison: what chooses among them, kills between them, those that fail."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.compare import evaluations, runner
from heliograph.compare.journal import FILE, Journal
from heliograph.compare.result import TABLE
from heliograph.errors import HeliographError
from heliograph.learn.progress import silent
from tests.compare.conftest import Config
from tests.compare.test_run import Kill, killed_after


def test_trials_are_judged_on_validation_rows_and_survive_kills(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three trials on each fold: the one with the best validation score is taken, whatever the test rows say of it."""
    asked = config(archs=("sgc", "gin"), cv="1x2", tune=3, epochs=1, output_dir=tmp_path / "whole")
    whole = runner.run(asked, progress=silent())
    lines = [json.loads(line) for line in (tmp_path / "whole" / FILE).read_text().splitlines()]
    done = {(line["learner"], line["fold"]): line for line in lines if line.get("what") == "evaluation"}
    assert len(done) == 2 * 5 and done["mean", "1.1"].get("trials") is None
    m = evaluations.prepare(asked, silent())
    for (learner, fold), line in done.items():
        trials = [t for t in lines if t.get("what") == "trial" and (t["learner"], t["fold"]) == (learner, fold)]
        assert [t["trial"] for t in trials] == ([] if learner == "mean" else [0, 1, 2])
        if trials:
            best = min(trials, key=lambda t: t["loss"])
            assert line["settings"] == best["settings"] and line["scores"] == best["scores"] and trials[0]["settings"] == {}
            assert line["cost"] == best["cost"]
            one = next(f for f in m.folds if f.name == fold)
            held = np.load(evaluations.answers_path(asked.output_dir, learner, one))["y"][:, 0]
            assert math.sqrt(np.square(held - m.y[one.test, 0]).mean()) == pytest.approx(line["scores"]["mean"]["rmse"])
    assert set(whole.learner("gin").settings) <= {"max_lr", "depth", "d", "dropout"}
    for k, n in enumerate((3, 4, 9)):
        with monkeypatch.context() as patch:
            patch.setattr(evaluations, "evaluate", killed_after(n))
            with pytest.raises(Kill):
                runner.run(config(archs=("sgc", "gin"), cv="1x2", tune=3, epochs=1), resume=k > 0, progress=silent())
    again = runner.run(config(archs=("sgc", "gin"), cv="1x2", tune=3, epochs=1), resume=True, progress=silent())
    assert (tmp_path / "comparison" / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()
    assert [k.settings for k in again.learners] == [k.settings for k in whole.learners]


def contradicts(m: Any, unit: Any, fold: Any) -> Any:
    """The first trial is right on the validation rows and wrong on the test rows, the second the other way round."""
    wrong = {"val": 9.0 * (unit.trial or 0), "test": 9.0 - 9.0 * (unit.trial or 0)}
    answers = {part: (m.y[getattr(fold, part)] + wrong[part], None) for part in wrong}
    return answers, {"parameters": 1, "epochs": 1, "seconds": 1.0}


def test_what_the_test_rows_say_chooses_nothing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations, "_network", contradicts)
    monkeypatch.setattr(evaluations, "_baseline", contradicts)
    found = runner.run(config(archs=("sgc",), cv="1x2", tune=2), progress=silent())
    assert np.allclose(found.scores["rmse"], 9.0)  # the first trial, which the validation rows like


def test_trials_whose_validation_rows_say_nothing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows of the rare class: none of them is in a validation part. The learner is taken as it comes."""
    table = Path(str(config().data.data_path))
    lines = table.read_text().splitlines()
    rare = ["rare"] + [str(int(k < 3)) for k in range(len(lines) - 1)]
    table.write_text("\n".join(f"{line},{value}" for line, value in zip(lines, rare, strict=True)) + "\n")
    found = runner.run(config(target_columns=("rare",), cv="1x3", archs=("sgc",), epochs=1, tune=2), progress=silent())
    m = evaluations.prepare(config(target_columns=("rare",), cv="1x3"), silent())
    journal = Journal(Path(found.config["output_dir"]), evaluations.about(m))
    assert all("loss" not in trial for trials in journal.trials.values() for trial in trials) and journal.trials
    assert all(learner.settings == {} for learner in found.learners)


def test_trials_that_all_failed_are_begun_again(tmp_path: Path) -> None:
    names = {"learner": "gcn", "fold": "1.1", "settings": {}}
    Journal(tmp_path, {}).tried(names | {"trial": 0, "failed": "memory"})
    again = Journal(tmp_path, {})
    assert not again.trials
    for trial, loss in enumerate((1.0, 2.0)):
        again.tried(names | {"trial": trial, "loss": loss})
    assert [t["loss"] for t in again.trials["gcn", "1.1"]] == [1.0, 2.0]
    assert [t["loss"] for t in Journal(tmp_path, {}).trials["gcn", "1.1"]] == [1.0, 2.0]


def test_trials_that_fail(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    original = evaluations._network

    def breaks(m: Any, unit: Any, fold: Any) -> Any:
        if unit.learner == "gin" or unit.trial == 1:
            raise HeliographError("the loss is not a number any more")
        return original(m, unit, fold)

    monkeypatch.setattr(evaluations, "_network", breaks)
    found = runner.run(config(archs=("sgc", "gin"), cv="1x2", tune=2, epochs=1), progress=silent())
    assert [k.name for k in found.learners if k.network] == ["sgc"] and "gin failed on fold 1." in found.notes[-1]
    assert found.learner("sgc").settings == {}
    monkeypatch.setattr(evaluations, "_network", original)
    again = runner.run(config(archs=("sgc", "gin"), cv="1x2", tune=2, epochs=1), resume=True, progress=silent())
    assert [k.name for k in again.learners if k.network] == ["sgc", "gin"]
