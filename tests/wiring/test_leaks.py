"""What may not see what: nothing that is learned or fitted knows a label of the rows that judge it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph.compare import evaluations
from heliograph.compare.config import CompareConfig
from heliograph.data.store import Store
from heliograph.estimators import MoleculeRegressor
from heliograph.learn.progress import silent
from heliograph.predictor import Predictor
from heliograph.train import run
from heliograph.train.config import TrainConfig
from tests.train.conftest import MOLECULES

Config = Callable[..., TrainConfig]


def write(path: Path, labels: np.ndarray, parts: list[str]) -> Path:
    lines = [f"{s},{y:.6f},{part}" for s, y, part in zip(MOLECULES, labels, parts, strict=True)]
    path.write_text("smiles,y,part\n" + "\n".join(lines) + "\n")
    return path


PARTS = ["train", "train", "train", "val", "test"] * 12 + ["train"]
SIZES = np.array([len(s) for s in MOLECULES], dtype=np.float64)


def tables(folder: Path, part: str, labels: np.ndarray) -> tuple[Path, Path]:
    """Two tables that differ in the labels of one part, by much."""
    changed = np.where(np.array(PARTS[: len(labels)]) == part, labels * -7.0 + 1000.0, labels)
    return write(folder / "one.csv", labels, PARTS[: len(labels)]), write(folder / f"other-{part}.csv", changed, PARTS[: len(labels)])


@pytest.mark.parametrize("references", ["none", "fit"])
@pytest.mark.parametrize("part", ["val", "test"])
def test_scaling_and_references_are_those_of_training_rows(config: Config, tmp_path: Path, part: str, references: str) -> None:
    one, other = tables(tmp_path, part, SIZES)
    files = []
    for path in (one, other):
        run(
            config(data_path=path, splits_column="part", references=references, epochs=1, output_dir=tmp_path / path.stem),
            progress=silent(),
        )
        files.append(Predictor.load(tmp_path / path.stem / "model.safetensors"))
    assert files[0].document.outputs == files[1].document.outputs
    train = SIZES[np.array(PARTS[: len(SIZES)]) == "train"]
    if references == "none":
        assert files[0].scaling.mean == pytest.approx((train.mean(),)) and files[0].scaling.std == pytest.approx((train.std(),))
    else:
        assert files[0].scaling.references
    np.testing.assert_array_equal(files[0].predict(MOLECULES), files[1].predict(MOLECULES))  # one epoch: nothing to choose


def test_references_know_no_element_of_the_rows_that_judge(config: Config, tmp_path: Path) -> None:
    parts = ["test" if any(x in s for x in ("F", "Cl", "S", "s")) else "train" for s in MOLECULES]
    parts[:6] = ["val"] * 6
    path = write(tmp_path / "t.csv", SIZES, parts)
    run(config(data_path=path, splits_column="part", references="fit", epochs=1), progress=silent())
    found = Predictor.load(tmp_path / "run" / "model.safetensors")
    assert sorted(found.scaling.references) == [1, 6, 7, 8]


def test_weights_of_other_rows_do_not_count(config: Config, tmp_path: Path) -> None:
    """Weights are divided by their mean, that of training rows."""
    lines = ["smiles,y,part,w"]
    heavy = ["smiles,y,part,w"]
    for s, y, part in zip(MOLECULES, SIZES, PARTS, strict=False):
        lines.append(f"{s},{y},{part},1")
        heavy.append(f"{s},{y},{part},{1 if part == 'train' else 1e6}")
    found = []
    for name, text in (("one", lines), ("heavy", heavy)):
        (tmp_path / f"{name}.csv").write_text("\n".join(text) + "\n")
        asked = config(data_path=tmp_path / f"{name}.csv", splits_column="part", weight_column="w", epochs=2, patience=None)
        run(asked.model_copy(update={"output_dir": tmp_path / name}), progress=silent())
        found.append(Predictor.load(tmp_path / name / "model.safetensors").predict(MOLECULES))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_a_fold_is_learned_without_the_labels_of_its_test_rows(compare_config: Callable[..., CompareConfig], tmp_path: Path) -> None:
    """Networks, forests, boosting and kernels: the answers for a fold's test rows are the same whatever their labels are."""
    asked = compare_config(cv="1x2", archs=("sgc",), epochs=1)
    m = evaluations.prepare(asked, silent())
    fold = m.folds[0]
    changed = m.y.copy()
    changed[fold.test] = 1000.0 - 7.0 * changed[fold.test]
    from dataclasses import replace

    data = m.data["sgc"]
    y = data.labels.y.copy()
    y[m.at["sgc"][fold.test]] = changed[fold.test]
    other = replace(m, y=changed, data={"sgc": replace(data, labels=replace(data.labels, y=y))})
    for learner in ("sgc", *m.baselines):
        one, two = (evaluations.evaluate(material, evaluations.Evaluation(learner, 0, 1)) for material in (m, other))
        assert "failed" not in one and one["answers"] == two["answers"], learner
        assert one["scores"] != two["scores"]  # they are judged by their labels


def test_an_estimator_scales_by_what_it_trains_on() -> None:
    """The rows that it holds back for validation are not among them."""
    made = [MoleculeRegressor(arch="sgc", epochs=1, random_state=3, validation_fraction=0.25) for _ in range(2)]
    made[0].fit(MOLECULES, SIZES)
    held = made[0]._parts(SIZES[:, None])
    assert 15 <= len(held["val"]) <= 16 and not len(held["test"])
    labels = SIZES.copy()
    labels[held["val"]] += 500.0
    made[1].fit(MOLECULES, labels)
    assert made[0].predictor_.document.outputs == made[1].predictor_.document.outputs
    np.testing.assert_array_equal(made[0].predict(MOLECULES), made[1].predict(MOLECULES))
    assert made[0].predictor_.scaling.mean == pytest.approx((SIZES[held["train"]].mean(),))


def test_error_bars_without_folds_are_of_validation_rows(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Exception):
        pass

    def learn(predictor: Predictor, store: Store, y: np.ndarray, folds: object, val: np.ndarray, asked: object) -> None:
        assert folds is None and len(val)
        assert sorted(y[val, 0]) == sorted(SIZES[np.array(PARTS[: len(SIZES)]) == "val"])
        raise Seen

    monkeypatch.setattr("heliograph.train.trust.learn", learn)
    path = write(tmp_path / "t.csv", SIZES, PARTS[: len(SIZES)])
    with pytest.raises(Seen):
        run(config(data_path=path, splits_column="part", epochs=1, calibrate="auto"), progress=silent())
