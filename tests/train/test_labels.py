"""Cells to labels: classes in words and odd numbers, bounds, marks that look like numbers, copies and their splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph import zoo
from heliograph.compare.folds import folds
from heliograph.data.formats import read
from heliograph.data.splits import random_split
from heliograph.data.targets import Target
from heliograph.errors import DataError
from heliograph.learn.losses import Loss
from heliograph.learn.progress import silent
from heliograph.train.config import DataConfig, SplitConfig, TrainConfig
from heliograph.train.copies import sentences, shared
from heliograph.train.data import divide, load
from heliograph.train.targets import Labels, read_labels

CASES = Path(__file__).parents[1] / "data" / "cases"


def labels_of(name: str, **options: object) -> Labels:
    table = read(CASES / name)
    columns = {target: [record.targets.get(target) for record in table] for target in table.targets}
    return read_labels(columns, "auto", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "classes", "word"),
    [
        ("truefalse.csv", ("False", "True"), "'False' is 0, 'True' is 1"),
        ("active.csv", ("inactive", "active"), "'inactive' is 0, 'active' is 1"),
        ("pm1.csv", ("-1", "1"), "-1 is taken for 0, 1 for 1"),
        ("onetwo.csv", ("1", "2"), "1 is taken for 0, 2 for 1"),
        ("imbal.csv", ("0", "1"), "0 or 1"),
    ],
)
def test_two_classes_however_they_are_written(name: str, classes: tuple[str, str], word: str) -> None:
    found = labels_of(name)
    assert found.task.kind == "binary" and found.task.classes == (classes,)
    assert set(np.unique(found.y)) == {0.0, 1.0}
    assert any(word in note for note in found.notes), found.notes
    with open(CASES / name) as file:
        second = [line.strip().split(",")[1] for line in file][1:]
    assert found.y[:, 0].tolist() == [float(cell == classes[1]) for cell in second]


def test_which_is_one_is_the_models_to_say() -> None:
    assert read_labels({"y": ["1", "1", "2"]}, "binary", classes=(("1", "2"),)).y[:, 0].tolist() == [0, 0, 1]
    assert read_labels({"y": ["1", "1", "1"]}, "binary", classes=(("1", "2"),)).y[:, 0].tolist() == [0, 0, 0]
    assert read_labels({"y": ["1", "1", "1"]}, "binary", classes=(("0", "1"),)).y[:, 0].tolist() == [1, 1, 1]
    assert read_labels({"y": ["active", "active"]}, "binary", classes=(("inactive", "active"),)).y[:, 0].tolist() == [1, 1]
    assert read_labels({"a": ["yes", "no"], "y": ["1.5", "2"]}, "auto").y.tolist() == [[1, 1.5], [0, 2]]
    assert read_labels({"y": ["1", "2", "3"]}, "auto").task.kind == "regression"
    assert read_labels({"y": ["1", "2", "2"]}, "regression").y[:, 0].tolist() == [1, 2, 2]


def test_bounds_are_refused_with_their_signs_cells_and_what_helps() -> None:
    with pytest.raises(DataError) as refused:
        labels_of("censored10.csv")
    for part in ("target 'IC50'", "%) are bounds", "'>'", "has '>10'", "--censored drop", "bound takes", "loss learns"):
        assert part in str(refused.value)
    cells = [">10", "<0.5", "\u226520", *map(str, range(1, 60))]
    few = read_labels({"y": list(cells)}, "auto")
    assert np.isnan(few.y[:3]).all() and "3 of 62 labels (4.84 %) are bounds, 2 '>' and 1 '<'" in few.notes[0]
    assert read_labels({"y": list(cells)}, "auto", censored="bound").y[:3, 0].tolist() == [10, 0.5, 20]
    loss = read_labels({"y": list(cells)}, "auto", censored="loss")
    assert loss.sides is not None and loss.sides[:4, 0].tolist() == [1, -1, 1, 0]
    assert np.isnan(loss.known[:3]).all() and np.isfinite(loss.known[3:]).all()


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_a_one_sided_loss_costs_nothing_beyond_the_bound(name: str) -> None:
    y = torch.tensor([[1.0], [3.0], [1.0], [3.0], [5.0]], requires_grad=True)
    side = torch.tensor([[1], [1], [-1], [-1], [0]], dtype=torch.int8)
    two = torch.full((5, 1), 2.0)
    cost = Loss(name)(y, Target(two, side=side))
    (grad,) = torch.autograd.grad(cost, y)
    plain = [Loss(name)(y[k : k + 1], Target(two[k : k + 1])) for k in (0, 3, 4)]
    torch.testing.assert_close(cost, torch.stack(plain).sum())
    assert [bool(g) for g in grad[:, 0]] == [True, False, False, True, True]


def test_marks_like_numbers_are_asked_about() -> None:
    with pytest.raises(DataError, match=r"labels are -999, the others from -1.031 to 9.862.*--missing -999.*--missing none"):
        labels_of("missing_sent.csv")
    assert labels_of("missing_sent.csv", missing=("none",)).y.min() == -999
    for mark in ("9999", "-99"):
        with pytest.raises(DataError, match=f"--missing {mark}"):
            read_labels({"y": [mark, mark, "0.5", "1.5", "2.5"]}, "auto")
    for cells in (["-99", "-80", "-120", "-60"], ["999", "1001", "998"], ["-999", "-500", "800"]):
        assert np.isfinite(read_labels({"y": list(cells)}, "auto").y).all()


def test_what_is_no_number_is_shown() -> None:
    with pytest.raises(DataError) as refused:
        read_labels({"y": ["1", "2", "abc", "def", "abc", "x y"]}, "regression", rows=[str(k) for k in range(2, 8)])
    said = ("4 of 6 labels (66.7 %)", "row 4 has 'abc'", "row 5 has 'def'", "row 7 has 'x y'", "--missing MARK", "--task-type multiclass")
    for part in said:
        assert part in str(refused.value)


# ---- copies and splits ------------------------------------------------------------------------------------------------


def data_of(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, **options: object) -> tuple[object, TrainConfig]:
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path / "cache"))
    config = TrainConfig(data=DataConfig(data_path=CASES / name, num_workers=0, **options))  # type: ignore[arg-type]
    return load(config, zoo.load("gcn"), silent()), config


@pytest.mark.parametrize(
    ("split", "kept"),
    [({}, True), ({"copies": "apart"}, False), ({"split": "scaffold", "copies": "apart"}, True), ({"split": "butina"}, True),
     ({"split": "size"}, False), ({"test_path": CASES / "dups_random.csv"}, False)],
)  # fmt: skip
def test_that_copies_are_kept_is_said_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: dict[str, object], kept: bool
) -> None:
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path / "cache"))
    config = TrainConfig(data=DataConfig(data_path=CASES / "dups_random.csv", num_workers=0), split=SplitConfig(**split))  # type: ignore[arg-type]
    said = " ".join(load(config, zoo.load("gcn"), silent()).notes)
    assert "structures are there more than once" in said and ("keeps copies together" in said) is kept


def test_copies_stay_in_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, config = data_of(tmp_path, "dups_random.csv", monkeypatch)
    assert "18 structures are there more than once (54 rows); the split keeps copies together." in data.notes  # type: ignore[attr-defined]
    smiles = data.store.smiles  # type: ignore[attr-defined]
    for seed in range(5):
        parts = divide(data, config.split, seed, 0)  # type: ignore[arg-type]
        assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(54))
        sets = [{smiles[k] for k in rows} for rows in parts.values()]
        assert all(not (a & b) for k, a in enumerate(sets) for b in sets[k + 1 :])
    apart = divide(data, config.split.model_copy(update={"copies": "apart"}), 0, 0)  # type: ignore[arg-type]
    assert {smiles[k] for k in apart["train"]} & {smiles[k] for k in apart["test"]}
    for fold in folds(54, 2, 5, 0, copies=smiles):
        assert not {smiles[k] for k in fold.test} & {smiles[k] for k in np.concatenate([fold.train, fold.val])}
        assert not {smiles[k] for k in fold.train} & {smiles[k] for k in fold.val}


def test_without_copies_the_split_is_as_it_was() -> None:
    plain, grouped = random_split(50, seed=3), random_split(50, seed=3, groups=[str(k) for k in range(50)])
    assert all(np.array_equal(plain[part], grouped[part]) for part in plain)
    some, same = folds(40, 2, 4, 0), folds(40, 2, 4, 0, copies=[str(k) for k in range(40)])
    assert all(np.array_equal(a.test, b.test) and np.array_equal(a.val, b.val) for a, b in zip(some, same, strict=True))


def test_unlike_labels_of_copies_are_counted() -> None:
    labels = read_labels({"y": ["1", "3", "5", "5", "7"]}, "auto")
    notes = sentences(["CC", "CC", "CO", "CO", "CN"], labels)
    assert notes[0].startswith("2 structures are there more than once (4 rows)")
    assert notes[1].startswith("1 of them have unlike labels of 'y', spread 1:")
    assert sentences(["CC", "CO", "CN", "CS", "CF"], labels) == []


def test_random_splits_of_classes_are_stratified() -> None:
    for n, ones in ((53, 2), (53, 3), (100, 10), (1000, 5), (40, 20)):
        classes = np.zeros(n)
        classes[np.random.default_rng(n).choice(n, ones, replace=False)] = 1
        for seed in range(4):
            parts = random_split(n, seed=seed, classes=classes)
            plain = random_split(n, seed=seed)
            assert {part: len(rows) for part, rows in parts.items()} == {part: len(rows) for part, rows in plain.items()}
            assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(n))
            there = {part: int(classes[rows].sum()) for part, rows in parts.items()}
            assert there["train"] >= 1 and there["test"] >= 1 and (ones < 3 or there["val"] >= 1), there
            if ones >= 10:
                assert abs(there["test"] - ones / 10) <= 1


def test_an_imbalanced_table_has_both_classes_in_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, config = data_of(tmp_path, "imbal.csv", monkeypatch)
    for seed in range(5):
        parts = divide(data, config.split, seed, 0)  # type: ignore[arg-type]
        assert len(np.unique(data.labels.y[parts["test"]])) == 2  # type: ignore[attr-defined]


def test_targets_chosen_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = data_of(tmp_path, "first_name.csv", monkeypatch)
    assert data.notes[0] == "Structures are read from the column 'Canonical_SMILES', by its name."  # type: ignore[attr-defined]
    assert data.notes[1].startswith("Targets, for want of --target-columns: 'y'. Left out: 'Name' (text: ")  # type: ignore[attr-defined]
    named, _ = data_of(tmp_path, "first_name.csv", monkeypatch, target_columns=("y",))
    assert not any("for want of" in note for note in named.notes)  # type: ignore[attr-defined]


def test_a_metric_without_a_value_says_why() -> None:
    from heliograph.learn import metrics
    from heliograph.learn.task import Task

    binary = Task("binary", ("a", "b"), classes=(("no", "yes"), ("0", "1")))
    truth = np.array([[0, np.nan], [0, np.nan], [0, np.nan]])
    figures = metrics.evaluate(binary, ("roc_auc", "accuracy"), truth, np.full((3, 2), 0.3))
    assert metrics.without_value(binary, figures, truth, "test") == [
        "'a' has no ROC-AUC: the test part has 3 labels of one class only (no).",
        "'b' has no ROC-AUC, accuracy: the test part has no label of it.",
    ]
    numbers = Task("regression", ("y",))
    for truth, why in (([[2.0]], "has 1 label, 2"), ([[2.0], [2.0]], "has 2 labels, all 2")):
        figures = metrics.evaluate(numbers, ("rmse", "r2"), np.array(truth), np.zeros((len(truth), 1)))
        assert metrics.without_value(numbers, figures, np.array(truth), "val") == [f"'y' has no R²: the val part {why}."]
    good = metrics.evaluate(numbers, ("rmse", "r2"), np.array([[1.0], [2.0]]), np.zeros((2, 1)))
    assert metrics.without_value(numbers, good, np.array([[1.0], [2.0]]), "val") == []


def test_molecules_in_two_parts_are_counted() -> None:
    smiles = ["CC", "CO", "CN", "CC", "CO", "CF"]
    parts = {"train": np.array([0, 1, 2]), "val": np.array([5]), "test": np.array([3, 4])}
    assert shared(smiles, parts) == ["2 of 2 test molecules are among the training molecules, too: scores of them say less."]
    assert shared(smiles, {"train": np.array([0, 1]), "val": np.array([2]), "test": np.array([5])}) == []
