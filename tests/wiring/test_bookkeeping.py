"""What a comparison writes down and takes up again, and how rows come into parts: exact values of small cases."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.compare import schedule
from heliograph.compare.disagreement import disagreements
from heliograph.compare.evaluations import answers_path
from heliograph.compare.folds import Fold, folds
from heliograph.compare.journal import Journal
from heliograph.compare.statistics.scores import Scores
from heliograph.errors import DataError, UsageError
from heliograph.learn.task import Task
from heliograph.train import trust
from heliograph.train.baselines import _unit
from heliograph.train.config import DataConfig, SplitConfig
from heliograph.train.data import _sizes, featurizer_for
from heliograph.train.folds import SMALLEST, averaging
from heliograph.train.likeness import _evenly, _series
from heliograph.train.split_file import DivideConfig, split_file

FOLD = Fold(0, 0, np.arange(4, 8), np.arange(2, 4), np.arange(2))


def trial(number: int, loss: float | None, **more: Any) -> dict[str, Any]:
    line = {"learner": "gcn", "fold": FOLD.name, "trial": number, "settings": {"lr": number}, "answers": b"%d" % number, "cost": {"s": 1}}
    return line | ({"loss": loss} if loss is not None else {"failed": "it broke"}) | more


def material(folder: Path, tune: int | None) -> Any:
    compare = SimpleNamespace(tune=tune, repeats=2)
    return SimpleNamespace(config=SimpleNamespace(output_dir=folder, compare=compare, seed=0), all=[FOLD], space=lambda learner: ["lr"])


def test_the_best_trial_is_the_folds_and_its_answers_are_kept(tmp_path: Path) -> None:
    m, journal = material(tmp_path, tune=3), Journal(tmp_path, {"a": 1})
    assert schedule.pieces(m, "gcn") == 3 and schedule.pieces(material(tmp_path, None), "gcn") == 1
    path = answers_path(tmp_path, "gcn", FOLD)
    for number, (loss, held) in enumerate([(2.0, b"0"), (1.0, b"1"), (1.5, b"1")]):
        schedule.take(m, journal, trial(number, loss))
        assert path.read_bytes() == held
    again = Journal(tmp_path, {"a": 1})  # as if it had been stopped here
    assert [(line["trial"], line["loss"]) for line in again.trials["gcn", FOLD.name]] == [(0, 2.0), (1, 1.0), (2, 1.5)]
    assert schedule.following(m, again, "gcn", 0) is None
    (line,) = again.evaluations.values()
    assert line["settings"] == {"lr": 1} and line["trials"] == 3 and line["cost"] == {"s": 1} and not {"trial", "loss"} & set(line)
    assert schedule.following(m, again, "gcn", 0) is None and len(Journal(tmp_path, {"a": 1}).evaluations) == 1


def test_trials_that_all_failed_are_a_failure_and_begin_again(tmp_path: Path) -> None:
    m, journal = material(tmp_path, tune=2), Journal(tmp_path, {"a": 1})
    for number in range(2):
        schedule.take(m, journal, trial(number, None))
    assert schedule.following(m, journal, "gcn", 0) is None and journal.failed == {("gcn", FOLD.name): "it broke"}
    assert not journal.trained("gat") and not journal.evaluations
    again = Journal(tmp_path, {"a": 1})
    assert not again.failed and not again.evaluations and not again.trials and not again.trained("gcn")
    schedule.take(m, again, trial(0, None))
    schedule.take(m, again, trial(2, 1.0))  # a number that is not the next
    assert [line["trial"] for line in again.trials["gcn", FOLD.name]] == [0]
    schedule.take(m, again, trial(1, 4.0))
    assert again.trained("gcn") and [line["trial"] for line in Journal(tmp_path, {"a": 1}).trials["gcn", FOLD.name]] == [0, 1]


def test_a_journal_remembers_epochs_and_refuses_another_comparison(tmp_path: Path) -> None:
    Journal(tmp_path, {"cv": "1x5", "seed": 0}).settle("gcn", 7, "abc")
    again = Journal(tmp_path, {"cv": "1x5", "seed": 0})
    assert again.epochs == {"gcn": 7} and again.sources == {"gcn": "abc"}
    with pytest.raises(DataError, match="seed was 0, is 1") as refused:
        Journal(tmp_path, {"cv": "1x5", "seed": 1})
    assert "cv was" not in str(refused.value)


def test_disagreement_is_measured_in_the_spread_of_each_target(tmp_path: Path) -> None:
    """Two targets, the second a thousand times larger; answers of each molecule are the mean over two repeats."""
    y = np.array([[0.0, 0], [2, 2000], [0, np.nan], [2, 2000]])  # s.d. 1 and 943
    cut = [Fold(r, f, np.array([0]), np.array([1]), np.array([2 * f, 2 * f + 1])) for r in range(2) for f in range(2)]
    away = {"gcn": np.array([[0, 0], [3, 0], [4, 0], [0, 900.0]]), "gin": np.zeros((4, 2))}
    m: Any = material(tmp_path, None)
    m.folds, m.y, m.task = cut, y, Task("regression", ("a", "b"), ("", ""))
    m.data, m.baselines, m.smiles, m.rows = {"gcn": 0, "gin": 0}, {"mean": 0, "forest": 0}, ["C", "N", "O", "F"], [10, 11, 12, 13]
    assert disagreements(m) == ()
    for name, off in (away | {"forest": np.full((4, 2), 1e6)}).items():
        for fold in cut:
            path = answers_path(tmp_path, name, fold)
            path.parent.mkdir(exist_ok=True)
            buffer = io.BytesIO()
            np.savez(buffer, y=(np.nan_to_num(y) + off)[fold.test] + (0.1 if fold.repeat else -0.1))
            path.write_bytes(buffer.getvalue())
    found = disagreements(m)
    assert [(d.structure, d.row, d.target) for d in found] == [("O", 12, "a"), ("N", 11, "a"), ("F", 13, "b")]
    assert [d.spread for d in found] == pytest.approx([2.0, 1.5, 450.0]) and found[0].among == ("gcn", "gin")
    assert found[0].answers == pytest.approx({"gcn": 4.0, "gin": 0.0, "forest": 1e6}) and found[2].label == 2000.0
    assert len(disagreements(m, most=1)) == 1


@pytest.mark.parametrize(
    ("val", "test", "sizes", "files"),
    [
        (False, False, (0.8, 0.1, 0.1), []),
        (True, True, (1.0, 0.0, 0.0), ["val", "test"]),
        (False, True, (0.8 / 0.9, 0.1 / 0.9, 0.0), ["test"]),
        (True, False, (0.8 / 0.9, 0.0, 0.1 / 0.9), ["val"]),
    ],
)
def test_parts_with_files_of_their_own_take_no_share(val: bool, test: bool, sizes: tuple[float, ...], files: list[str]) -> None:
    config = SplitConfig(val_path=Path("v.csv") if val else None, test_path=Path("t.csv") if test else None)
    assert _sizes(config) == (pytest.approx(sizes), files)


def test_a_divided_table_has_every_row_and_a_part_for_those_that_can_be_used(tmp_path: Path) -> None:
    names = ["CCO", "no molecule", *("C" * k for k in range(1, 9)), "OCC"]
    (tmp_path / "t.csv").write_text("n,smiles\n" + "".join(f"{k},{s}\n" for k, s in enumerate(names)))
    counts = split_file(DivideConfig(data_path=tmp_path / "t.csv", output_path=tmp_path / "o.csv", split="size", num_workers=0))
    lines = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
    assert [line["smiles"] for line in lines] == names and [line["n"] for line in lines] == [str(k) for k in range(len(names))]
    assert counts == {"train": 8, "val": 1, "test": 1, "": 1} and lines[1]["split"] == ""
    assert (lines[9]["split"], lines[8]["split"], lines[2]["split"]) == ("test", "val", "train")  # the largest, the next
    split_file(DivideConfig(data_path=tmp_path / "t.csv", output_path=tmp_path / "r.csv", split="random", num_workers=0))
    drawn = [line["split"] for line in csv.DictReader((tmp_path / "r.csv").read_text().splitlines())]
    assert drawn[0] == drawn[-1] and drawn[1] == ""  # CCO and OCC


def test_folds_of_copies_and_of_classes() -> None:
    copies = [str(k // 2) for k in range(40)]  # pairs
    for fold in folds(40, 1, 5, 0, copies=copies):
        parts = [{copies[k] for k in rows} for rows in (fold.train, fold.val, fold.test)]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2] and len(fold.test) == 8
        assert sorted([*fold.train, *fold.val, *fold.test]) == list(range(40))
    classes = np.repeat([0.0, 1.0], [60, 20])
    for fold in folds(80, 2, 4, 0, classes=classes):
        assert classes[fold.test].sum() == 5 and classes[fold.val].sum() == pytest.approx(len(fold.val) / 4, abs=0.5)


def test_lots_of_equal_structures_are_dealt_whole() -> None:
    rng = np.random.default_rng(0)
    lots = [np.array([0, 1]), *(np.array([k]) for k in range(2, 10))]  # 10 rows
    part = _evenly(lots, np.arange(9), (6, 2, 2), rng)
    assert part[:5].tolist() == [0] * 5 and sorted(part[5:].tolist()) == [1, 1, 2, 2]
    series = [np.arange(3), np.arange(3, 6)]
    part = _series(lots, series, (6, 2, 2), np.random.default_rng(0))
    assert sorted(part.tolist()) == [0] * 5 + [1, 1, 2, 2] and not part[[0, 3]].any()  # leads train
    with pytest.raises(DataError, match="no rows for val"):
        _series(lots, series[:1], (6, 2, 2), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("asked", "wants", "kind", "becomes", "words"),
    [
        ("auto", "none", "smiles", "none", ""),
        ("auto", "none", "xyz", "none", "bonds are found from the distances"),
        ("auto", "optional", "smiles", "none", ""),
        ("auto", "optional", "sdf", "given", "uses the coordinates of the input"),
        ("auto", "required", "smiles", "embed", "conformers are embedded"),
        ("auto", "required", "sdf", "given", ""),
        ("embed", "optional", "sdf", "embed", ""),
        ("none", "optional", "sdf", "none", ""),
        ("none", "required", "smiles", None, "reads positions"),
        ("given", "none", "sdf", None, "does not read positions"),
        ("given", "optional", "smiles", None, "a table of SMILES has no coordinates"),
    ],
)
def test_which_geometry_is_taken(asked: Any, wants: str, kind: str, becomes: str | None, words: str) -> None:
    data = DataConfig(data_path=Path("t.csv"), geometry=asked)
    module: Any = SimpleNamespace(GEOMETRY=wants, FEATURIZER="chemprop_cip")
    if becomes is None:
        with pytest.raises(UsageError, match=words):
            featurizer_for(data, module, kind, "net")
        return
    featurizer, notes = featurizer_for(data, module, kind, "net")
    assert featurizer.geometry == becomes and words in " ".join(notes) and len(notes) == bool(words)
    assert (featurizer.hydrogens == "explicit") == (becomes != "none")


def test_what_no_data_speaks_for_changes_nothing() -> None:
    assert _unit(np.array([])) == (0.0, 1.0) and _unit(np.array([2.0, 4.0])) == (3.0, 1.0) and _unit(np.full(3, 7.0)) == (7.0, 1.0)
    truth, right = np.arange(20.0), np.arange(20.0)
    few = averaging(right[:19] + 1, right[:19] - 1, truth[:19], 5)
    assert averaging(right, right, truth, 5) == few == averaging(right, right + 1, truth, 1) == 1.0
    assert averaging(right + 1, right - 1, truth, 2) == SMALLEST < averaging(right + 1, right, truth, 2) == np.sqrt(0.5)
    assert Scores(np.zeros((6, 2)), ("a", "b"), folds=3, overlap=0.5).repeats == 2


def test_groups_that_members_leave_out() -> None:
    config: Any = SimpleNamespace(model=SimpleNamespace(members="folds", ensemble_size=2), trust=SimpleNamespace(calibrate_for="scaffold"))
    store: Any = SimpleNamespace(scaffolds=["a", "", "b"] * 8)
    parts = {"train": np.arange(18), "val": np.arange(18, 24), "test": np.array([], dtype=np.int64)}
    found = trust.fold(config, store, parts, 0)
    assert found is not None and sorted(found.rows) == list(range(24))
    of = dict(zip(found.rows.tolist(), found.fold.tolist(), strict=True))
    apart = [{of[k] for k in range(start, 24, 3)} for start in range(3)]
    assert [len(apart[0]), len(apart[2])] == [1, 1] and len(apart[1]) > 1  # without a ring: each for itself
    config.trust.calibrate_for = "cluster"
    config.model.members = "seeds"
    with pytest.raises(UsageError, match="--calibrate-for cluster cuts folds"):
        trust.fold(config, store, parts, 0)
    config.trust.calibrate_for = "random"
    assert trust.fold(config, store, parts, 0) is None
    config.model.members, config.model.ensemble_size = "folds", 1
    with pytest.raises(UsageError, match="2 or more"):
        trust.fold(config, store, parts, 0)
