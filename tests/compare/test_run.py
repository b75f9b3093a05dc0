"""Folds, the journal, and whole comparisons: stopped, gone on with, extended."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph import manifest, train
from heliograph.compare import CompareOptions, CompareResult, evaluations, runner
from heliograph.compare.curve import Curve, fit, shares, words
from heliograph.compare.disagreement import disagreements
from heliograph.compare.folds import folds
from heliograph.compare.journal import FILE, Journal
from heliograph.compare.result import TABLE
from heliograph.compare.training import CONFIG, training
from heliograph.compare.verdict import chosen, equals_of_best, verdict
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.learn.progress import Lines, silent
from heliograph.train.likeness import groups_of
from tests.compare.conftest import Config


@pytest.mark.parametrize("groups", [None, [f"s{k // 3}" for k in range(50)]], ids=["rows", "groups"])
def test_folds_are_a_partition_in_each_repeat(groups: list[str] | None) -> None:
    cut = folds(50, 3, 5, 7, groups)
    assert [f.name for f in cut] == [f"{r}.{f}" for r in (1, 2, 3) for f in range(1, 6)]
    for repeat in range(3):
        own = [f for f in cut if f.repeat == repeat]
        assert sorted(np.concatenate([f.test for f in own]).tolist()) == list(range(50))
    for fold in cut:
        assert sorted([*fold.train, *fold.val, *fold.test]) == list(range(50)) and 3 <= len(fold.val) <= 5
        if groups is not None:
            kinds = [{groups[row] for row in rows} for rows in (fold.train, fold.val, fold.test)]
            assert not (kinds[0] & kinds[1] or kinds[0] & kinds[2] or kinds[1] & kinds[2])
            assert len(fold.test) in (9, 10, 11, 12)
    assert not np.array_equal(cut[0].test, cut[5].test)
    again = folds(50, 3, 5, 7, groups)
    assert all(np.array_equal(a.val, b.val) and np.array_equal(a.test, b.test) for a, b in zip(cut, again, strict=True))
    assert not np.array_equal(folds(50, 1, 5, 8, groups)[0].test, cut[0].test)


def test_every_part_has_its_share_of_each_class() -> None:
    classes = np.array([0.0] * 40 + [1.0] * 12 + [2.0] * 8)
    cut = folds(60, 2, 4, 7, classes=classes)
    for fold in cut:
        assert sorted([*fold.train, *fold.val, *fold.test]) == list(range(60)) and len(fold.val) == 6
        assert np.bincount(classes[fold.test].astype(int)).tolist() == [10, 3, 2]
        assert np.bincount(classes[fold.val].astype(int), minlength=3).min() >= 1
    assert not np.array_equal(cut[0].test, cut[4].test)


def test_a_fold_that_can_not_be_scored_is_told_before_anything_is_trained(config: Config) -> None:
    table = config().data.data_path
    lines = Path(str(table)).read_text().splitlines()
    rare = ["rare"] + [str(int(k < 3)) for k in range(len(lines) - 1)]
    Path(str(table)).write_text("\n".join(f"{line},{value}" for line, value in zip(lines, rare, strict=True)) + "\n")
    with pytest.raises(DataError, match=r"the test rows of fold 1\.\d have labels of one class only.*fewer folds than 5"):
        runner.run(config(target_columns=("rare",), cv="1x5"), progress=silent())
    assert not (config().output_dir / FILE).exists()
    assert len(evaluations.prepare(config(target_columns=("rare",), cv="1x3"), silent()).folds) == 3


@pytest.mark.parametrize("split", ["scaffold", "butina", "cluster", "sphere"])
def test_folds_keep_groups_together(config: Config, split: str) -> None:
    made = evaluations.prepare(config(cv="1x3", split=split), silent())
    first = next(iter(made.data))
    groups = groups_of(made.data[first].store, made.at[first], split, made.config.fit.seed)
    assert 3 < len(set(groups)) < len(groups)
    for fold in made.folds:
        parts = [{groups[k] for k in rows} for rows in (fold.train, fold.val, fold.test)]
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_folds_need_rows() -> None:
    with pytest.raises(DataError, match="5 folds of 5 usable rows"):
        folds(5, 1, 5, 0)
    with pytest.raises(DataError, match="5 folds of 2 groups of molecules"):
        folds(40, 1, 5, 0, ["a", "b"] * 20)


def test_a_journal_drops_a_broken_line_and_refuses_another_comparison(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"folds": "x"})
    journal.settle("gcn", 7)
    journal.finish({"learner": "gcn", "fold": "1.1", "scores": {}, "cost": {}})
    with open(tmp_path / FILE, "a") as file:
        file.write('{"what": "unit", "learner": "gcn", "fo')
    again = Journal(tmp_path, {"folds": "x"})
    assert again.epochs == {"gcn": 7} and list(again.evaluations) == [("gcn", "1.1")]
    again.finish({"learner": "gcn", "fold": "1.2", "scores": {}, "cost": {}})
    assert list(Journal(tmp_path, {"folds": "x"}).evaluations) == [("gcn", "1.1"), ("gcn", "1.2")]
    with pytest.raises(DataError, match="of another comparison: folds was 'x', is 'y'"):
        Journal(tmp_path, {"folds": "y"})
    (tmp_path / FILE).write_text('{"about": {"folds": "x"}}\n{"what": "unit", "learner": "gcn", "fold": "1.1", "signals": {}}\n')
    assert Journal(tmp_path, {"folds": "x"}).evaluations["gcn", "1.1"]["propagation"] == {}  # as version 0.1 wrote it
    (tmp_path / FILE).write_text("nonsense\n")
    with pytest.raises(DataError, match="is damaged"):
        Journal(tmp_path, {"folds": "x"})


class Kill(Exception):
    """Stands for the kill."""


def killed_after(n: int) -> Any:
    left = [n]
    original = evaluations.evaluate

    def run(*args: Any) -> dict[str, Any]:
        left[0] -= 1
        if left[0] < 0:
            raise Kill
        return original(*args)

    return run


def test_killed_three_times_and_extended(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends with the same tables as one left alone; another architecture retrains nothing."""
    whole = runner.run(config(output_dir=tmp_path / "whole"), progress=silent())
    assert whole.folds == ("1.1", "1.2", "2.1", "2.2") and [k.name for k in whole.learners] == [
        "gcn", "sgc", "mean", "random forest", "gradient boosting"]  # fmt: skip
    for k, n in enumerate((1, 5, 7)):
        with monkeypatch.context() as m:
            m.setattr(evaluations, "evaluate", killed_after(n))
            with pytest.raises(Kill):
                runner.run(config(), resume=k > 0, progress=silent())
    runner.run(config(), resume=True, progress=silent())
    assert (tmp_path / "comparison" / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()

    made: list[str] = []
    original = evaluations.evaluate
    monkeypatch.setattr(evaluations, "evaluate", lambda m, unit: (made.append(unit.learner), original(m, unit))[1])
    more = runner.run(config(archs=("gin",)), resume=True, progress=silent())
    assert made == ["gin"] * 4
    assert [k.name for k in more.learners[:3]] == ["gcn", "sgc", "gin"]
    assert np.array_equal(more.scores["rmse"][:, :2], whole.scores["rmse"][:, :2])
    loaded = CompareResult.load(tmp_path / "comparison")
    assert np.array_equal(loaded.scores["rmse"], more.scores["rmse"]) and loaded.learners == more.learners and loaded.targets == ("y",)
    assert loaded.bounds == more.bounds and loaded.bounds[0].archs == ("gcn", "sgc", "gin") and verdict(loaded) == verdict(more)
    assert any(sentence.startswith("What 1-WL networks on table10_1 features can reach: RMSE no lower than") for sentence in verdict(more))


@pytest.mark.slow
def test_killed_three_times_at_random_moments(config: Config, tmp_path: Path) -> None:
    """kill -9 of the command, two processes at work under it: the same tables as one left alone, and no process is left behind."""
    chance, path = random.Random(0), config().data.data_path
    settings = [
        "--target-columns",
        "y",
        "--archs",
        "gcn",
        "sgc",
        "--cv",
        "2x2",
        "--epochs",
        "30",
        "--num-workers",
        "0",
        "--accelerator",
        "cpu",
    ]
    begin = [sys.executable, "-m", "heliograph", "compare", str(path), *settings, "--jobs", "2", "-o"]
    go_on = [sys.executable, "-m", "heliograph", "compare", "--resume", "--jobs", "2", "-o"]
    subprocess.run([*begin, str(tmp_path / "whole")], check=True, capture_output=True)
    cut = tmp_path / "cut"
    for k in range(3):
        process = subprocess.Popen([*(go_on if k else begin), str(cut)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (not (cut / FILE).is_file() or len((cut / FILE).read_text().splitlines()) < 3 + 6 * k):
            time.sleep(0.02)
        time.sleep(chance.random())
        process.kill()
        process.wait()
    time.sleep(3)
    listed = subprocess.run(["ps", "-eo", "ppid,args"], check=True, capture_output=True, text=True).stdout
    assert not [line for line in listed.splitlines() if "spawn_main" in line and line.split()[0] == "1"]
    before = len((cut / FILE).read_text().splitlines())
    subprocess.run([*go_on, str(cut)], check=True, capture_output=True)
    assert before < len((cut / FILE).read_text().splitlines())  # it was not finished before the last kill
    assert (cut / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()


def test_a_file_of_ones_own_is_added_and_may_not_change(config: Config, tmp_path: Path) -> None:
    """One that can't be trained for whatever reason is left out, and may be mended."""
    runner.run(config(archs=("sgc",), cv="1x2", epochs=1), progress=silent())
    own = tmp_path / "mine.py"
    own.write_text("from heliograph.zoo.sgc import FEATURIZER, GEOMETRY\ndef build(inputs, out, d=8):\n    return {}['no such key']\n")
    left = runner.run(config(archs=(str(own),), cv="1x2", epochs=1), resume=True, progress=silent())
    assert [k.name for k in left.learners if k.network] == ["sgc"] and "KeyError: 'no such key'" in left.notes[-1]
    own.write_text("from heliograph.zoo.sgc import FEATURIZER, GEOMETRY, build\n")
    for _ in range(2):
        mended = runner.run(config(archs=(str(own),), cv="1x2", epochs=1), resume=True, progress=silent())
        assert [k.name for k in mended.learners if k.network] == ["sgc", str(own)]
    own.write_text("from heliograph.zoo.gcn import FEATURIZER, GEOMETRY, build\n")
    with pytest.raises(DataError, match=r"mine\.py has changed since its folds were trained"):
        runner.run(config(archs=(str(own),), cv="1x2", epochs=1), resume=True, progress=silent())


def test_ended_between_its_first_two_files(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = config(archs=("sgc",), cv="1x2", epochs=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, "Journal", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        runner.run(asked, progress=silent())
    assert sorted(path.name for path in asked.output_dir.iterdir()) == [CONFIG, manifest.FILE]
    assert len(runner.run(asked, progress=silent()).folds) == 2


def test_no_file_is_run_because_a_folder_names_it(config: Config, tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text("from heliograph.zoo.sgc import FEATURIZER, GEOMETRY, build\n")
    runner.run(config(archs=(str(own),), cv="1x2", epochs=1), progress=silent())
    own.write_text("raise SystemExit('this was run')\n")
    with pytest.raises(UsageError, match=r"files of your own, which must be named again: --archs .*mine\.py"):
        runner.run(config(archs=("gcn",), cv="1x2", epochs=1), resume=True, progress=silent())
    with pytest.raises(DataError, match=r"chose a file of your own, .*mine\.py\. Give it again: --arch .*mine\.py"):
        training(tmp_path / "comparison")
    assert training(tmp_path / "comparison", str(own)).model.arch == str(own)


def test_a_sample(config: Config) -> None:
    found = runner.run(config(archs=("sgc",), cv="1x2", epochs=1, sample=40), progress=silent())
    assert found.molecules == 40 and any(note.startswith("40 of ") and "drawn at random" in note for note in found.notes)


def test_training_what_was_chosen(config: Config, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no comparison in this folder"):
        training(tmp_path)
    found = runner.run(config(archs=("gcn", "gin"), cv="1x2", parameters=3000, epochs=1), progress=silent())
    asked = training(tmp_path / "comparison")
    assert asked.model.arch == chosen(found) and asked.model.arch_args == found.learner(chosen(found)).arguments != {}
    assert asked.fit.epochs == 1 and asked.data.data_path == tmp_path / "table.csv"
    trained = train.run(asked.model_copy(update={"output_dir": tmp_path / "run"}), progress=silent())
    assert {part: len(rows) for part, rows in trained.rows.items()} == {"train": 54, "val": 7, "test": 0}


def test_one_that_fails_is_left_out_and_tried_again(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    original = evaluations._network

    def breaks(m: Any, unit: Any, fold: Any) -> Any:
        if (unit.learner, fold.name) == ("gcn", "1.2"):
            raise HeliographError("the loss is not a number any more")
        return original(m, unit, fold)

    said: list[str] = []
    monkeypatch.setattr(evaluations, "_network", breaks)
    found = runner.run(config(cv="1x2"), progress=Lines(said.append))
    assert "gcn failed on fold 1.2: the loss is not a number any more" in said
    assert [k.name for k in found.learners if k.network] == ["sgc"] and "left out; --resume tries again" in found.notes[-1]
    with pytest.raises(DataError, match=r"too little is left to compare: gcn failed on fold 1\.2"):
        runner.run(config(cv="1x2", archs=("gcn",), output_dir=Path(found.config["output_dir"]).with_name("alone")), progress=silent())
    monkeypatch.setattr(evaluations, "_network", original)
    again = runner.run(config(cv="1x2"), resume=True, progress=silent())
    assert [k.name for k in again.learners if k.network] == ["gcn", "sgc"] and not any("failed" in note for note in again.notes)


def test_folders_that_hold_something(config: Config, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no comparison in"):
        runner.run(config(), resume=True, progress=silent())
    runner.run(config(epochs=1, cv="1x2", archs=("sgc",)), progress=silent())
    (tmp_path / "comparison" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="holds a comparison already"):
        runner.run(config(), progress=silent())
    runner.run(config(epochs=1), overwrite=True, progress=silent())
    assert (tmp_path / "comparison" / "mine.txt").read_text() == "keep"
    with pytest.raises(UsageError, match=r"--cv was '2x2', is '3x2'"):
        runner.run(config(epochs=1, cv="3x2"), resume=True, progress=silent())


@pytest.mark.slow
def test_two_processes_give_what_one_gives(config: Config, tmp_path: Path) -> None:
    one = runner.run(config(archs=("sgc",), cv="1x2"), progress=silent())
    two = runner.run(config(archs=("sgc",), cv="1x2", jobs=2, output_dir=tmp_path / "two"), progress=silent())
    assert np.allclose(one.scores["rmse"][:, :2], two.scores["rmse"][:, :2], rtol=1e-5)  # the forests are of more trees there


def test_disagreements_are_those_of_the_answers(config: Config) -> None:
    asked = config(target_columns=("y", "few"))
    result = runner.run(asked, progress=silent())
    loaded, found = CompareResult.load(asked.output_dir), result.disagreements
    assert loaded.disagreements == found and loaded.versions == result.versions and loaded.bounds == result.bounds
    m = evaluations.prepare(asked, silent())
    mean: dict[str, np.ndarray] = {}
    for arch in ("gcn", "sgc"):
        answers = np.full((2, *m.y.shape), np.nan)  # [repeats, n, T]
        for fold in m.folds:
            answers[fold.repeat, fold.test] = np.load(evaluations.answers_path(asked.output_dir, arch, fold))["y"]
        mean[arch] = answers.mean(0)
    spread = np.abs(mean["gcn"] - mean["sgc"]) / 2  # the standard deviation of two
    size = np.where(np.isfinite(m.y), spread / np.nanstd(m.y, axis=0), -1)
    assert [one.row for one in found] == m.rows[np.argsort(-size.max(1), kind="stable")[:12]].tolist()
    for one in found:
        k, t = np.flatnonzero(m.rows == one.row)[0], m.task.targets.index(one.target)
        assert t == size[k].argmax() and one.label == m.y[k, t] and one.structure == m.smiles[k] and one.among == ("gcn", "sgc")
        assert one.spread == pytest.approx(spread[k, t]) and one.answers["gcn"] == pytest.approx(mean["gcn"][k, t])
        assert set(one.answers) == {"gcn", "sgc", "random forest", "gradient boosting"}
    evaluations.answers_path(asked.output_dir, "gcn", m.folds[0]).unlink()
    assert disagreements(m) == ()


def test_classes_disagree_by_their_probabilities(config: Config) -> None:
    table = config().data.data_path
    lines = Path(str(table)).read_text().splitlines()
    kinds = ["kind"] + [("low", "middle", "high")[k % 3] for k in range(len(lines) - 1)]
    Path(str(table)).write_text("\n".join(f"{line},{kind}" for line, kind in zip(lines, kinds, strict=True)) + "\n")
    asked = config(target_columns=("kind",), task_type="multiclass", archs=("sgc",), cv="1x2")
    found = runner.run(asked, progress=silent())
    assert set(found.classes[0]) == {"low", "middle", "high"} and len(found.disagreements) == 12
    m = evaluations.prepare(asked, silent())
    one = found.disagreements[0]
    k = int(np.flatnonzero(m.rows == one.row)[0])
    fold = next(f for f in m.folds if k in f.test)
    held = np.load(evaluations.answers_path(asked.output_dir, "sgc", fold))["probabilities"][list(fold.test).index(k), 0]
    assert one.answers["sgc"] == pytest.approx(held[int(m.y[k, 0])]) and one.among == ("sgc", "random forest", "gradient boosting")


def test_classes_and_targets_with_gaps(config: Config, tmp_path: Path) -> None:
    found = runner.run(config(archs=("sgc",), target_columns=("o",)), progress=silent())
    assert found.kind == "binary" and found.metric == "roc_auc" and found.higher_is_better
    assert all(0 <= found.mean(name) <= 1 for name in found.ranking)
    two = runner.run(config(archs=("sgc",), target_columns=("y", "few"), output_dir=tmp_path / "two"), progress=silent())
    assert two.scores["rmse"].shape == (4, 4, 2) and np.isfinite(two.table.values).all()
    assert two.mean(two.ranking[0]) < 5  # in shares of the mean's error, not in units of "few"


def test_positions_beside_bonds(config: Config) -> None:
    found = runner.run(config(archs=("sgc", "schnet"), cv="1x2", epochs=1), progress=silent())
    names = [learner.name for learner in found.learners]
    assert names == ["sgc", "schnet", "mean", "random forest", "gradient boosting", "kernel ridge", "bag of bonds"]
    assert np.isfinite(found.scores["rmse"]).all()
    means = dict(zip(names, found.scores["rmse"].mean((0, 2)), strict=True))
    assert max(means["kernel ridge"], means["bag of bonds"]) < 0.7 * means["mean"]  # the number of letters follows from the atoms
    assert [bound.archs for bound in found.bounds] == [("sgc",)]


def test_budget_and_parameters(config: Config) -> None:
    said: list[str] = []
    found = runner.run(config(archs=("gcn", "gin"), cv="1x2", budget="4s", parameters=3000), progress=Lines(said.append))
    assert sum("Budget: an epoch takes" in line for line in said) == 2
    networks = [k for k in found.learners if k.network]
    assert all(k.epochs and k.epochs >= 1 and k.parameters and 1000 < k.parameters < 9000 for k in networks)
    lines = [json.loads(line) for line in (Path(found.config["output_dir"]) / FILE).read_text().splitlines()]
    assert [line["learner"] for line in lines if line.get("what") == "epochs"] == ["gcn", "gin"]


def test_a_power_law_is_found_and_a_share_is_part_of_the_larger() -> None:
    cut = folds(200, 2, 4, 0)
    parts = shares(cut, 0)
    assert [(f.fold, f.share) for f in parts[:4]] == [(0, 0.125), (0, 0.25), (0, 0.5), (1, 0.125)] and len(parts) == 12
    for small, large in ((parts[0], parts[1]), (parts[1], parts[2]), (parts[2], cut[0])):
        assert set(small.train) < set(large.train) and np.array_equal(small.test, large.test)
    sizes = np.array([100, 200, 400, 800])
    rng = np.random.default_rng(0)
    errors = 3 * sizes[:, None] ** -0.3 * np.exp(0.01 * rng.standard_normal((4, 5)))
    found = fit("gcn", sizes.tolist(), errors, 0.25)
    assert found is not None and found.low < -0.3 < found.high and abs(found.slope + 0.3) < 0.01 and found.high - found.low < 0.05
    assert "would lower gcn's RMSE by about 19 %" in words(found, "RMSE")
    assert fit("gcn", [100, 200], np.zeros((2, 5)), 0.25) is None
    exact = fit("gcn", [10, 20, 40], 5 * np.array([[10.0], [20.0], [40.0]]) ** -0.5, 0.5)
    assert exact is not None and math.isclose(exact.slope, -0.5) and exact.high == math.inf


def test_learning_curves_are_added_to_a_finished_comparison(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.compare.curve.LEAST", 6)
    first = runner.run(config(archs=("sgc",), cv="1x2"), progress=silent())
    found = runner.run(config(archs=("sgc",), cv="1x2", learning_curve=True), resume=True, progress=silent())
    assert np.array_equal(first.scores["rmse"], found.scores["rmse"]) and not first.curves
    assert [c.learner for c in found.curves] == ["sgc", "random forest", "gradient boosting"] and found.curves[0].sizes == (6, 12, 24)
    assert found.curves[0].errors[-1] == tuple(found.scores["rmse"][:, 0, 0])
    assert any("Twice as many training molecules" in sentence for sentence in verdict(found))
    assert CompareResult.load(Path(found.config["output_dir"])).curves == found.curves


def test_learning_curves_of_two_targets_and_of_what_fails_on_a_share(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    original = evaluations._network

    def breaks(m: Any, unit: Any, fold: Any) -> Any:
        if unit.learner == "gin" and fold.share == 0.5:
            raise MemoryError
        return original(m, unit, fold)

    monkeypatch.setattr(evaluations, "_network", breaks)
    monkeypatch.setattr("heliograph.compare.curve.LEAST", 4)
    asked = config(archs=("sgc", "gin"), cv="1x2", target_columns=("y", "few"), epochs=1, learning_curve=True)
    found = runner.run(asked, progress=silent())
    assert [k.name for k in found.learners if k.network] == ["sgc", "gin"] and not any("left out" in note for note in found.notes)
    curves = {c.learner: c for c in found.curves}
    assert "sgc" in curves and "gin" not in curves
    assert curves["sgc"].errors[-1] == pytest.approx(found.table.of("sgc"))  # in shares of the mean's error, as everywhere


@pytest.mark.parametrize(
    ("slope", "low", "high", "said"),
    [
        (-0.3, -0.4, -0.2, "would lower gcn's RMSE by about 19 % (13 to 24 %)"),
        (-0.1, -0.3, 0.1, "might lower gcn's RMSE by about 7 %, or not at all (95 %: 19 % lower to 7 % higher)"),
        (0.01, -0.1, 0.12, "would not lower gcn's RMSE (95 %: 7 % lower to 9 % higher)"),
        (-0.002, -0.01, 0.006, "would not lower gcn's RMSE (95 %: 1 % lower to no change)"),
        (0.3, 0.2, 0.4, "would not lower gcn's RMSE (95 %: 15 % higher to 32 % higher)"),
        (-0.3, -math.inf, math.inf, "might lower gcn's RMSE by about 19 %, or not at all (how sure that is, one fold can't say)"),
    ],
)
def test_what_twice_as_many_molecules_buy_is_said_with_its_sign(slope: float, low: float, high: float, said: str) -> None:
    text = words(Curve("gcn", (10, 20), ((1.0,), (1.0,)), slope, low, high), "RMSE")
    assert said in text and "-" not in text.replace("- ", "")


def test_no_network_is_recommended_where_a_forest_is_better() -> None:
    rng = np.random.default_rng(0)
    base = 1 + 0.05 * rng.standard_normal(25)
    values = {"a": base + 0.01 * rng.standard_normal(25), "b": base + 0.3, "mean": base + 1, "forest": base - 0.5}
    found = result(values, {"a": 5.0, "b": 1.0})
    text = verdict(found)
    assert not any("Train " in sentence for sentence in text)
    assert "No network is worth its training on these molecules: forest is better than all of them. The best network is a." in text
    doubt = base - 0.002 + 0.02 * rng.standard_normal(25)  # better by chance
    near = result(values | {"forest": doubt - doubt.mean() + values["a"].mean() - 0.001}, {"a": 5.0, "b": 1.0})
    assert near.ranking[0] == "forest" and any(sentence.startswith("Train a.") for sentence in verdict(near))
    alone = result({"a": values["a"], "mean": base + 1, "forest": base - 0.5}, {"a": 5.0})
    assert any("No network is worth its training" in sentence for sentence in verdict(alone))


def frames(path: Path, labels: bool = True) -> Path:
    """Sixty small molecules as extended XYZ, hydrogens and all."""
    atoms = [("O", (0, 0, 0)), ("H", (0.96, 0, 0)), ("H", (-0.24, 0.93, 0))]
    text = ""
    for k in range(60):
        shift = 1 + 0.002 * k
        lines = "".join(f"{s} {x * shift:.4f} {y * shift:.4f} {z:.4f}\n" for s, (x, y, z) in atoms)
        text += f"3\nProperties=species:S:1:pos:R:3 y={0.1 * k:.2f} c={'ab'[k % 2]}\n{lines}"
    path.write_text(text)
    return path


def test_a_comparison_of_one_learner_is_refused_before_anything_is_trained(config: Config, tmp_path: Path) -> None:
    """Atoms in space, classes: no baseline but the mean. It used to train everything and then stop."""
    asked = config(data_path=frames(tmp_path / "w.xyz"), archs=("schnet",), target_columns=("c",), task_type="multiclass")
    with pytest.raises(UsageError, match=r"needs two learners, and here is schnet alone.*--archs"):
        runner.run(asked, progress=silent())
    assert not asked.output_dir.exists()


def test_formulas_are_not_read_as_smiles(config: Config, tmp_path: Path) -> None:
    """SchNet asks for no bonds, so that a store of its own has formulas, H2O, where SMILES stand: no fingerprints of those."""
    path = frames(tmp_path / "w.xyz")
    m = evaluations.prepare(config(data_path=path, archs=("schnet",)), silent())
    assert m.data["schnet"].store.smiles[0] == "H2O" and m.readable is None
    assert m.baselines == ("mean", "kernel ridge", "bag of bonds")
    both = evaluations.prepare(config(data_path=path, archs=("schnet", "gcn")), silent())
    assert both.readable == "gcn" and set(both.smiles) == {"O"} and "random forest" in both.baselines
    found = evaluations.evaluate(both, evaluations.Evaluation("random forest", 0, 1))
    assert "failed" not in found and found["scores"]["y"]["rmse"] is not None


def result(values: dict[str, np.ndarray], seconds: dict[str, float], molecules: int = 1000) -> CompareResult:
    from heliograph.compare.result import Learner

    learners = tuple(Learner(n, n in seconds, 1000, 5, seconds.get(n, 1.0), None, None) for n in values)
    folds = tuple(f"{r}.{f}" for r in range(1, 6) for f in range(1, 6))
    return CompareResult({"compare": {"cv": "5x5", "rope": None}}, "regression", ("y",), ("eV",), molecules, folds, learners,
                         {"rmse": np.stack(list(values.values()), 1)[..., None]})  # fmt: skip


def test_the_verdict_says_what_the_numbers_say() -> None:
    rng = np.random.default_rng(0)
    base, noise = 1 + 0.05 * rng.standard_normal(25), lambda: 0.01 * rng.standard_normal(25)
    values = {name: base + more + noise() for name, more in (("a", 0.0), ("b", 0.001), ("c", 0.3), ("mean", 1.0), ("forest", 0.2))}
    found = result(values, {"a": 100.0, "b": 20.0, "c": 1.0})
    assert equals_of_best(found) == list(found.ranking[:2]) and set(found.ranking[:2]) == {"a", "b"} and chosen(found) == "b"
    text = " ".join(verdict(found))
    assert "can't be told apart from it over 25 folds of 1,000 molecules" in text and "The best baseline, forest, is beaten: by 0." in text
    cheapest = "Train b: of the networks that can't be told apart from the best network it is the cheapest, 5 times faster to train than a"
    assert (cheapest in text) == (found.ranking[0] == "a")
    best, other = found.ranking[:2]
    near = result(values, {best: 100.0, other: 80.0, "c": 1.0})  # cheaper by too little to be worth a doubt
    little = f"{other} can't be told apart from it, but would save little: 1.2 times faster to train than {best}."
    assert chosen(near) == best and verdict(near)[1] == f"Train {best}. {little}"
    assert found.letters[found.ranking[0]] == found.letters[found.ranking[1]] != found.letters["c"]
    clear = result({"a": base, "b": base + 0.3 + noise(), "forest": base - 0.5 + noise()}, {"a": 1.0, "b": 1.0})
    text = " ".join(verdict(clear))
    assert text.startswith("forest has the best RMSE, 0.") and "and it differs from every other learner" in text
    assert "forest, beats every network" in text and "The best network is a." in text and "Train a" not in text


def test_what_does_not_matter_is_a_hundredth_of_scores_that_end_at_one() -> None:
    """5 % of a ROC-AUC of .9 would be half of what is missing to 1."""
    rng = np.random.default_rng(0)
    errors = result({name: 1 + 0.1 * rng.standard_normal(25) for name in "ab"}, {"a": 1.0, "b": 1.0})
    assert errors.rope == pytest.approx(0.05 * errors.mean(errors.ranking[0]))
    auc = np.stack([0.9 + 0.01 * rng.standard_normal(25), 0.87 + 0.01 * rng.standard_normal(25), 0.92 + 0.001 * rng.standard_normal(25)], 1)
    learners = (*errors.learners, replace(errors.learners[0], name="forest", network=False))
    found = replace(errors, kind="binary", units=("",), learners=learners, scores={"roc_auc": auc[..., None]})
    assert found.higher_is_better and found.rope == 0.01 and found.practical("a", "b").better > 0.95
    assert chosen(found) == "a" and any("The best network is a." in sentence for sentence in verdict(found))


def test_options_are_checked() -> None:
    for cv in ("5", "0x5", "5x1", "axb"):
        with pytest.raises(ValueError, match="repeats x folds"):
            CompareOptions(cv=cv)
    assert CompareOptions(archs=("gcn,gin", "gcn")).archs == ("gcn", "gin") and CompareOptions(cv=" 2X10 ").folds == 10


def test_a_cheap_network_that_is_in_all_likelihood_worse_is_not_the_one_to_train() -> None:
    """With many learners the intervals for all pairs together hold what a pair on its own would not."""
    rng = np.random.default_rng(1)
    base, noise = 1 + 0.05 * rng.standard_normal(25), lambda: 0.06 * rng.standard_normal(25)
    values = {name: base + more + noise() for name, more in (("a", 0.0), ("b", 0.13), ("mean", 1.0))}
    values |= {f"other {k}": base + 0.5 + 0.3 * rng.standard_normal(25) for k in range(8)}
    found = result(values, {"a": 100.0, "b": 1.0} | {f"other {k}": 200.0 for k in range(8)})
    assert list(found.ranking[:2]) == ["a", "b"]
    assert "b" in equals_of_best(found) and found.practical("a", "b").better > 0.95
    assert chosen(found) == "a"
    said = (
        f"Train a. b would be cheaper, but worse by more than {found.rope:.3g} eV with probability {found.practical('a', 'b').better:.2f}."
    )
    assert said in verdict(found)


def test_cheaper_is_said_by_time_and_by_parameters() -> None:
    from heliograph.compare.result import Learner
    from heliograph.compare.verdict import FAST, _cheaper

    small = Learner("sgc", True, 1000, 5, 10.0, None, None)
    large = Learner("gin", True, int(1000 * FAST) + 1, 5, 35.0, None, None)
    faster = "3.5 times faster to train than gin"
    assert _cheaper(small, large) == f"{faster} with 1,000 parameters instead of {large.parameters:,}"
    assert _cheaper(small, replace(large, parameters=int(1000 * FAST))) == faster
    assert _cheaper(replace(small, parameters=None), large) == _cheaper(small, replace(large, parameters=None)) == faster
