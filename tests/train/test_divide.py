"""Splits by clusters, size and time; the verbs split, drift and embed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph import train
from heliograph.data import splits
from heliograph.errors import DataError, UsageError
from heliograph.predictor.drift import DriftConfig, drift
from heliograph.predictor.embed import EmbedConfig, embed_file
from heliograph.train.config import TrainConfig
from heliograph.train.split_file import DivideConfig, split_file
from heliograph.uncertainty.environments import butina, clusters
from tests.train.conftest import MOLECULES

Make = Callable[..., TrainConfig]


def test_size_and_time_are_in_order() -> None:
    values = np.random.default_rng(0).permutation(100)
    parts = splits.ordered_split(values)
    assert (
        values[parts["train"]].max()
        < values[parts["val"]].min()
        <= values[parts["val"]].max()
        < values[parts["test"]].min()
    )
    assert [len(parts[p]) for p in ("train", "val", "test")] == [80, 10, 10]
    when = splits.moments(
        ["2024-05-31", "2024-05", "2023", "2024-06-01T12:00", "soon", " 2024-05-31 "]
    )
    assert when[2] < when[1] < when[0] < when[3] and np.isnan(when[4]) and when[0] == when[5]
    with pytest.raises(DataError, match="the first is row 5"):
        splits.ordered_split(when)


def test_clusters_hold_what_is_alike() -> None:
    random = np.random.default_rng(0)
    centres = random.random((5, 1024)) < 0.05
    bits = np.concatenate([centre ^ (random.random((12, 1024)) < 0.003) for centre in centres])
    for found in (butina(bits, 0.5), clusters(bits, 0.5)):
        assert len(set(found)) == 5 and all(
            len(set(found[k : k + 12])) == 1 for k in range(0, 60, 12)
        )


@pytest.mark.parametrize("split", ["random", "scaffold", "butina", "cluster", "size", "time"])
def test_a_table_is_divided_and_a_training_reads_it(
    split: str, config: Make, tmp_path: Path
) -> None:
    data, out = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = [f"{s},{len(s)},2024-01-{k % 28 + 1:02d}" for k, s in enumerate(MOLECULES)]
    data.write_text("\n".join(["smiles,y,day", *lines, "nonsense,1,2024-01-01"]) + "\n")
    ask = {"data_path": data, "output_path": out, "split": split, "num_workers": 0}
    asked = DivideConfig(**ask, time_column="day" if split == "time" else None)  # type: ignore[arg-type]
    counts = split_file(asked)
    assert counts[""] == 1 and counts["train"] >= 45 and counts["test"] >= 1
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["smiles"] for r in rows] == [*MOLECULES, "nonsense"] and rows[-1]["split"] == ""
    if split == "time":
        last = max(r["day"] for r in rows if r["split"] == "train")
        assert all(r["day"] >= last for r in rows if r["split"] == "test")
    with pytest.raises(UsageError, match="exists"):
        split_file(asked)
    own = {"split": split, "time_column": "day" if split == "time" else None}
    direct = train.run(config(data_path=data, epochs=1, output_dir=tmp_path / "direct", **own))
    chosen = train.run(
        config(data_path=out, epochs=1, splits_column="split", output_dir=tmp_path / "column")
    )
    assert direct.rows["test"].tolist() == chosen.rows["test"].tolist()


def test_time_wants_a_column(config: Make) -> None:
    for changes in (
        {"split": "time"},
        {"time_column": "kind"},
        {"split": "time", "time_column": "kind", "splits_column": "kind"},
    ):
        with pytest.raises(UsageError, match="time"):
            train.run(config(**changes), overwrite=True)


def test_drift_sees_other_molecules_and_embed_writes_what_the_readout_sees(
    config: Make, table: Path, tmp_path: Path
) -> None:
    asked = config(members="folds", ensemble_size=2)
    train.run(asked)
    model = asked.output_dir / "model.safetensors"
    other = tmp_path / "other.csv"
    other.write_text(
        "smiles\n" + "\n".join(f"{'C' * k}[SiH2]P(=S)(Br)I" for k in range(1, 40)) + "\n"
    )
    same, moved = (
        drift(DriftConfig(model_path=model, data_path=d, num_workers=0)) for d in (table, other)
    )
    assert same.figures["out_of_domain"] == 0.0 and same.figures["p_value"] > 0.01
    assert (
        moved.figures["out_of_domain"] == 1.0
        and moved.figures["p_value"] < 1e-6
        and "100.0%" in moved.sentences[0]
    )
    data = tmp_path / "in.csv"
    data.write_text("smiles\nCCO\nnonsense\nOCC\nc1ccccc1\n")
    ask = {"model_path": model, "data_path": data, "num_workers": 0}
    assert embed_file(EmbedConfig(**ask, output_path=tmp_path / "e.csv")) == (4, 3, 16)  # type: ignore[arg-type]
    embed_file(EmbedConfig(**ask, output_path=tmp_path / "e.npy"))  # type: ignore[arg-type]
    embed_file(EmbedConfig(**ask, output_path=tmp_path / "a.npy", atoms=True))  # type: ignore[arg-type]
    whole, atoms = np.load(tmp_path / "e.npy"), np.load(tmp_path / "a.npy")
    assert (
        np.isnan(whole[1]).all()
        and whole[0] == pytest.approx(whole[2], abs=1e-6)
        and atoms.shape == (3 + 3 + 6, 16)
    )
    assert whole[3] == pytest.approx(atoms[6:].mean(0), abs=1e-6)
    with (tmp_path / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1]["reason"] and float(rows[0]["e3"]) == pytest.approx(float(whole[0, 3]), rel=1e-6)
    for more, words in [({"member": 2}, "2 networks"), ({"atoms": True}, "npy")]:
        with pytest.raises(UsageError, match=words):
            embed_file(EmbedConfig(**ask, output_path=tmp_path / "x.csv", **more))  # type: ignore[arg-type]
    plain = config(output_dir=tmp_path / "plain")
    train.run(plain)
    with pytest.raises(UsageError, match="has no domain"):
        drift(DriftConfig(model_path=plain.output_dir, data_path=table))
