"""Whole trainings of a small network on a small table."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph import predictor
from heliograph.errors import DataError, HeliographError, ModelFileError, UsageError
from heliograph.learn.log import Log
from heliograph.learn.progress import silent
from heliograph.predictor import Predictor
from heliograph.train import toml
from heliograph.train.config import TrainConfig
from heliograph.train.result import TrainResult
from heliograph.train.runner import run
from tests.train.conftest import MOLECULES

Config = Callable[..., TrainConfig]


def test_run_folder(config: Config, tmp_path: Path) -> None:
    found = run(config(output_dir=tmp_path / "run"), progress=silent())
    folder = tmp_path / "run"
    names = {p.name for p in folder.iterdir()}
    assert names == {
        "config.toml",
        "manifest.json",
        "splits.json",
        "model.safetensors",
        "metrics.csv",
        "train.log",
        "resume",
        "results.json",
        "test_predictions.csv",
        "val_predictions.csv",
    }
    rows = json.loads((folder / "splits.json").read_text())
    assert sorted(rows["train"] + rows["val"] + rows["test"]) == list(range(len(MOLECULES)))
    with open(folder / "metrics.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["0", "1", "2"]
    assert set(lines[0]) == {
        "member",
        "epoch",
        "train_loss",
        "val_loss",
        "val_rmse",
        "val_mae",
        "val_r2",
        "lr",
        "grad_norm",
        "node_similarity",
        "seconds",
        "molecules_per_second",
    }
    assert all(float(v) for k, v in lines[2].items() if k not in ("member", "epoch"))
    assert (folder / "train.log").read_text().count("epoch") == 3
    assert toml.load(folder).fit.epochs == 3
    again = TrainResult.load(folder)
    np.testing.assert_array_equal(again.predictions["test"].y_pred, found.predictions["test"].y_pred)


def test_the_model_file_predicts_the_same_from_smiles(config: Config, tmp_path: Path) -> None:
    found = run(config(), progress=silent())
    part = found.predictions["test"]
    y = Predictor.load(tmp_path / "run" / "model.safetensors").predict([MOLECULES[r] for r in part.rows])
    np.testing.assert_allclose(y, part.y_pred, rtol=1e-5, atol=1e-5)
    assert found.metrics["test"]["mean"]["rmse"] == pytest.approx(math.sqrt(np.square(part.y_pred - part.y_true).mean()))


def test_what_it_cost_is_written_down(config: Config, tmp_path: Path) -> None:
    found = run(config(epochs=4, ensemble_size=2), progress=silent())
    cost, spent = found.cost, sum(row.seconds for row in found.history)
    assert cost.epochs == len(found.history) == 8
    assert cost.parameters == sum(p.numel() for p in predictor.open(tmp_path / "run").models[0].parameters())
    assert cost.molecules_per_second == pytest.approx(8 * len(found.rows["train"]) / spent)
    assert 0.0 < spent <= cost.seconds_train and cost.seconds_predict > 0 and cost.seconds_featurize > 0
    assert cost.device == "cpu" and cost.threads >= 1
    again = TrainResult.load(tmp_path / "run").cost
    assert (again.epochs, again.parameters, again.threads) == (cost.epochs, cost.parameters, cost.threads)


def test_without_a_test_part_error_bars_are_judged_out_of_fold_alone(config: Config) -> None:
    found = run(config(members="folds", ensemble_size=2, epochs=1, split_sizes=(0.8, 0.2, 0.0)), progress=silent())
    assert set(found.trust) == {"out_of_fold"} and found.trust["out_of_fold"]["y"]["n"] == len(found.rows["train"]) + len(found.rows["val"])
    both = run(config(members="folds", ensemble_size=2, epochs=1, output_dir=config().output_dir.with_name("both")), progress=silent())
    assert set(both.trust) == {"out_of_fold", "test"} and both.trust["test"]["y"]["n"] == len(both.rows["test"])


def test_it_learns(config: Config) -> None:
    found = run(config(epochs=60, arch_args={"d": 64, "depth": 3}, max_lr=3e-3), progress=silent())
    assert found.history[-1].train_loss < 0.2 * found.history[0].train_loss
    assert min(row.val_loss for row in found.history) < 0.5 * found.history[0].val_loss
    assert found.best_epochs[0] == int(np.argmin([row.val_loss for row in found.history]))


def test_ensemble(config: Config, tmp_path: Path) -> None:
    found = run(config(ensemble_size=3, epochs=2), progress=silent())
    members = predictor.open(tmp_path / "run").members
    assert found.model_files == ("model.safetensors",)
    assert len(members) == len(found.best_epochs) == 3
    structures = [MOLECULES[r] for r in found.predictions["test"].rows]
    each = np.stack([m.predict(structures) for m in members])
    np.testing.assert_allclose(found.predictions["test"].y_pred, each.mean(0), rtol=1e-5, atol=1e-5)
    assert found.predictions["test"].y_std is not None
    np.testing.assert_allclose(found.predictions["test"].y_std, each.std(0), rtol=1e-3, atol=1e-5)
    assert (each.std(0) > 0).all()


def test_replicates_differ_in_their_split(config: Config, tmp_path: Path) -> None:
    found = run(config(num_replicates=3, epochs=1), progress=silent())
    assert [r.name for r in found.replicates] == ["replicate_0", "replicate_1", "replicate_2"]
    others = [json.loads((tmp_path / "run" / name / "splits.json").read_text())["test"] for name in ("", "replicate_1", "replicate_2")]
    assert len({tuple(rows) for rows in others}) == 3
    assert found.replicates[0].metrics == found.metrics
    assert len(TrainResult.load(tmp_path / "run").replicates) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"target_columns": ("o",)},
        {"target_columns": ("kind",), "task_type": "multiclass"},
        {"target_columns": ("y", "o"), "loss": "huber"},
        {"split": "scaffold"},
        {"precision": "64", "grad_clip": 0.5},
        {"precision": "bf16"},
        {"ema": 0.99, "patience": 1, "metrics": ("mae",)},
        {"split_sizes": (0.9, 0.0, 0.1)},
        {"split_sizes": (0.9, 0.1, 0.0)},
        {"arch": "dmpnn"},
        {"arch": "gin"},
        {"weight_decay": 0.1},
        {"loss": "mae", "warmup_epochs": 0},
        {"epochs": 1},
        {"batch_size": 47},
    ],
)
def test_ways_to_train(config: Config, changes: dict[str, object]) -> None:
    found = run(config(arch_args={"d": 8}, **{"epochs": 2, **changes}), progress=silent())
    assert found.history
    for part in found.predictions.values():
        assert np.isfinite(part.y_pred).all()
    if found.kind == "multiclass":
        assert found.classes == (("o", "other", "ring"),)
        p = found.predictions["test"].probabilities
        assert p is not None
        np.testing.assert_allclose(p.sum(-1), 1.0)
    if changes.get("metrics"):
        assert found.main_metric == "mae"


@pytest.mark.parametrize("arch", ["schnet", "gilmer"])
def test_positions_from_smiles(config: Config, arch: str) -> None:
    geometry = "auto" if arch == "schnet" else "embed"
    found = run(config(arch=arch, arch_args={"d": 8}, epochs=1, geometry=geometry, baselines=True), progress=silent())
    if arch == "schnet":
        assert "conformers are embedded" in found.notes[0]
    assert "kernel ridge on Coulomb matrices" in found.baselines


def test_missing_labels_and_weights(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    lines = ["smiles,a,b,w"] + [f"{s},{len(s) if k % 3 else ''},{k if k % 2 else 'NA'},{1 + k % 2}" for k, s in enumerate(MOLECULES)]
    path.write_text("\n".join(lines))
    found = run(config(data_path=path, target_columns=("a", "b"), weight_column="w"), progress=silent())
    used = sum(len(rows) for rows in found.rows.values())
    assert used == sum(bool(k % 3 or k % 2) for k in range(len(MOLECULES)))
    assert math.isfinite(found.metrics["test"]["mean"]["rmse"])


def test_bad_rows_are_counted_and_keep_their_place(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    lines = ["smiles,y"]
    for k, s in enumerate(MOLECULES):
        lines += [f"{s},{k}"] + ([f"not a molecule {k},1"] if k % 20 == 0 else [])
    path.write_text("\n".join(lines))
    found = run(config(data_path=path, epochs=1), progress=silent())
    assert found.data.rows_read == len(lines) - 1
    assert found.data.reasons == {"not valid SMILES": 4}
    assert found.data.bad_rows[0].row == 1
    assert any(note.startswith("4 of 65 rows can't be used") for note in found.notes)
    rows = np.concatenate(list(found.rows.values()))
    assert all(lines[1 + r].split(",")[0] in MOLECULES for r in rows)
    for again in range(2):  # featurized anew, and from the cache
        with pytest.raises(DataError, match=r"row 2 \('not a molecule 0'\) can't be used: not valid SMILES.*--strict"):
            run(config(data_path=path, strict=True, output_dir=tmp_path / f"strict{again}"), progress=silent())


def test_splits_from_a_column_and_from_files(config: Config, table: Path, tmp_path: Path) -> None:
    lines = table.read_text().splitlines()
    parts = ["train"] * 40 + ["val"] * 10 + ["test"] * 10 + [""]
    path = tmp_path / "split.csv"
    path.write_text("\n".join([lines[0] + ",part", *(f"{line},{part}" for line, part in zip(lines[1:], parts, strict=True))]))
    found = run(config(data_path=path, splits_column="part", epochs=1), progress=silent())
    assert found.rows["val"].tolist() == list(range(40, 50))
    assert found.rows["test"].tolist() == list(range(50, 60))
    test = tmp_path / "test.csv"
    test.write_text("\n".join([lines[0], *lines[41:]]))
    found = run(config(test_path=test, epochs=1, output_dir=tmp_path / "files"), progress=silent())
    assert len(found.rows["test"]) == 21
    assert len(found.rows["train"]) + len(found.rows["val"]) == 61
    found = run(config(test_path=test, val_path=test, epochs=1, output_dir=tmp_path / "three"), progress=silent())
    assert [len(found.rows[p]) for p in ("train", "val", "test")] == [61, 21, 21]


def test_own_architecture(config: Config, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("from heliograph.zoo.gcn import *\nfrom heliograph.zoo.gcn import build\n")
    run(config(arch=str(mine)), progress=silent())
    file = tmp_path / "run" / "model.safetensors"
    with pytest.raises(ModelFileError, match=r"architecture of one's own, mine.py.* Give it again: --arch mine.py"):
        Predictor.load(file)
    assert Predictor.load(file, mine).predict(["CCO"]).shape == (1, 1)
    mine.write_text(mine.read_text() + "# changed\n")
    with pytest.raises(ModelFileError, match="SHA-256 differs"):
        Predictor.load(file, mine)


def test_a_composition_travels_in_the_model_file(config: Config, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("""
embed = "Embed(nodes, d)"
readout = "Pool(Head(d, out), mean)"
[arguments]
d = 8
[[layers]]
message = "gin.Message(edges, d)"
aggregate = "max"
update = "GRU(d)"
""")
    found = run(config(arch=str(mine), arch_args={"d": 12}), progress=silent())
    mine.unlink()
    predictor = Predictor.load(tmp_path / "run" / "model.safetensors")
    assert predictor.document.arch == "mine" and predictor.document.arch_args == {"d": 12}
    rows = found.rows["test"]
    smiles = [line.split(",")[0] for line in (tmp_path / "table.csv").read_text().splitlines()[1:]]
    assert np.allclose(predictor.predict([smiles[k] for k in rows])[:, 0], found.predictions["test"].y_pred[:, 0], atol=1e-6)


def test_a_budget_becomes_epochs(config: Config, tmp_path: Path) -> None:
    found = run(config(budget="3s", epochs=50), progress=silent())
    epochs = toml.load(tmp_path / "run").fit.epochs
    assert found.config["fit"]["epochs"] == epochs == len(found.history)
    assert any(note.startswith("Budget: an epoch takes about") for note in found.notes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data_path": Path("nowhere.csv")}, DataError, "no such file: nowhere.csv"),
        ({"target_columns": ("Y",)}, DataError, r"has no column 'Y'; did you mean 'y'"),
        ({"smiles_columns": "smile"}, DataError, r"has no column 'smile'; did you mean 'smiles'"),
        ({"arch": "dmpn"}, UsageError, r"no such architecture; did you mean 'dmpnn'"),
        ({"arch_args": {"depht": 3}}, UsageError, r"--arch-args depht: gcn has no such argument; did you mean 'depth'"),
        ({"metrics": ("roc",)}, UsageError, "is for binary"),
        ({"task_type": "binary"}, DataError, "binary labels are 0 or 1"),
        ({"target_columns": ("kind",)}, DataError, r"are not numbers: .* --task-type multiclass"),
        ({"geometry": "embed"}, UsageError, "gcn does not read positions"),
        ({"geometry": "none", "arch": "schnet", "arch_args": {}}, UsageError, "schnet reads positions"),
        ({"geometry": "given", "arch": "schnet", "arch_args": {}}, UsageError, "a table of SMILES has no coordinates"),
        (
            {"smiles_columns": "kind", "target_columns": ("y",)},
            DataError,
            r"none of the 61 rows .* has a usable structure in the column 'kind'",
        ),
        ({"split_sizes": (0.99, 0.005, 0.005)}, DataError, "leave none for"),
        ({"budget": "soon"}, UsageError, "--budget soon: expected a time"),
        ({"accelerator": "cuda", "devices": 99}, UsageError, "this machine has"),
    ],
)
def test_errors(config: Config, tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(config(**changes), progress=silent())
    assert not (tmp_path / "run" / "config.toml").exists()


def test_one_row_and_constant_targets(config: Config, tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text("smiles,y\nC,1\n")
    with pytest.raises(DataError, match="of 1 usable rows leave none for"):
        run(config(data_path=one), progress=silent())
    constant = tmp_path / "constant.csv"
    constant.write_text("smiles,y\n" + "\n".join(f"{s},3.5" for s in MOLECULES))
    with pytest.raises(DataError, match=r"nothing to learn in the training part: 'y' has the same label \(3.5\) in all 48 molecules"):
        run(config(data_path=constant), progress=silent())
    empty = tmp_path / "empty.csv"
    empty.write_text("smiles,y\n")
    with pytest.raises(DataError, match="no rows"):
        run(config(data_path=empty, target_columns=("y",)), progress=silent())


def test_a_loss_that_explodes(config: Config, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"no longer finite at epoch .* Try a smaller --max-lr"):
        run(config(max_lr=1e30, epochs=5), progress=silent())


def test_overwrite_leaves_what_is_not_ours(config: Config, tmp_path: Path) -> None:
    run(config(ensemble_size=2, epochs=1), progress=silent())
    (tmp_path / "run" / "notes.txt").write_text("mine")
    run(config(epochs=1), overwrite=True, progress=silent())
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "run" / "model_0.safetensors").exists()
    assert len(predictor.open(tmp_path / "run").models) == 1


def test_a_full_disk(config: Config) -> None:
    log = Log(Path("/dev"))
    log.path = Path("/dev/full")
    with pytest.raises(HeliographError, match=r"can't write /dev/full: No space left on device. Free some space, then go on with --resume"):
        log.line("x" * 100_000)


def test_a_prepared_store_needs_no_rdkit(config: Config, tmp_path: Path) -> None:
    run(config(epochs=1), progress=silent())
    toml.save(config(epochs=1), tmp_path / "asked")
    code = (
        "import sys; from pathlib import Path; from heliograph.train import run, toml; "
        f"c = toml.load(Path({str(tmp_path / 'asked')!r})).model_copy(update={{'output_dir': Path({str(tmp_path / 'again')!r})}}); "
        "run(c); sys.exit('rdkit' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.slow
def test_two_processes_learn_as_one(config: Config, tmp_path: Path) -> None:
    """Gradients are averaged over labels of the whole batch, so two processes take the same steps, up to rounding."""
    same = {"arch_args": {"d": 8, "dropout": 0.0}, "epochs": 3, "precision": "64", "ensemble_size": 2}
    one = run(config(output_dir=tmp_path / "one", **same), progress=silent())
    two = run(config(output_dir=tmp_path / "two", devices=2, **same), progress=silent())
    np.testing.assert_allclose([r.train_loss for r in two.history], [r.train_loss for r in one.history], rtol=1e-6)
    np.testing.assert_allclose(two.predictions["test"].y_pred, one.predictions["test"].y_pred, rtol=1e-6)
    assert two.cost.device == "2 x cpu"


def test_float64_is_kept(config: Config, tmp_path: Path) -> None:
    run(config(precision="64", epochs=1), progress=silent())
    model = Predictor.load(tmp_path / "run" / "model.safetensors").model
    assert {p.dtype for p in model.parameters()} == {torch.float64}
