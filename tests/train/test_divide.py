"""Splits by clusters, size and time; the verbs split, drift and embed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rdkit import Chem

from heliograph import train
from heliograph.chem import featurize
from heliograph.chem.featurizer import preset
from heliograph.data import splits
from heliograph.data.store import Store
from heliograph.errors import DataError, UsageError
from heliograph.predictor.drift import DriftConfig, drift
from heliograph.predictor.embed import EmbedConfig, embed_file
from heliograph.train.config import SplitConfig, TrainConfig
from heliograph.train.likeness import parts_of
from heliograph.train.split_file import DivideConfig, split_file
from heliograph.uncertainty import apart
from heliograph.uncertainty.domain import RADIUS
from heliograph.uncertainty.environments import butina, clusters, fingerprints, hashes
from tests.train.conftest import MOLECULES

Make = Callable[..., TrainConfig]


def test_size_and_time_are_in_order() -> None:
    values = np.random.default_rng(0).permutation(100)
    parts = splits.ordered_split(values)
    assert values[parts["train"]].max() < values[parts["val"]].min() <= values[parts["val"]].max() < values[parts["test"]].min()
    assert [len(parts[p]) for p in ("train", "val", "test")] == [80, 10, 10]
    when = splits.moments(["2024-05-31", "2024-05", "2023", "2024-06-01T12:00", "soon", " 2024-05-31 "])
    assert when[2] < when[1] < when[0] < when[3] and np.isnan(when[4]) and when[0] == when[5]
    with pytest.raises(DataError, match="the first is row 5"):
        splits.ordered_split(when)


def test_clusters_hold_what_is_alike() -> None:
    random = np.random.default_rng(0)
    centres = random.random((5, 1024)) < 0.05
    bits = np.concatenate([centre ^ (random.random((12, 1024)) < 0.003) for centre in centres])
    for found in (butina(bits, 0.5), clusters(bits, 0.5)):
        assert len(set(found)) == 5 and all(len(set(found[k : k + 12])) == 1 for k in range(0, 60, 12))


def families(per: int = 12) -> np.ndarray:
    """Five families of fingerprints, `per` members each."""
    random = np.random.default_rng(0)
    centres = random.random((5, 1024)) < 0.05
    return np.concatenate([centre ^ (random.random((per, 1024)) < 0.003) for centre in centres])


def test_spheres_are_drawn_and_hold_what_is_alike() -> None:
    bits = families()
    for seed in (0, 1):
        found = apart.spheres(bits, 0.5, seed)
        assert len(set(found)) == 5 and all(len(set(found[k : k + 12])) == 1 for k in range(0, 60, 12))
    assert apart.spheres(bits, 0.5, 0).tolist() != apart.spheres(bits, 0.5, 1).tolist()
    assert len(set(apart.spheres(bits, 1.0))) == len(np.unique(bits, axis=0))


def test_kennard_stone_goes_to_the_farthest() -> None:
    bits = families()
    order = apart.kennard_stone(bits)
    assert sorted(order) == list(range(60)) and {k // 12 for k in order[:5]} == set(range(5))  # one of each family first
    size = bits.sum(1).astype(np.float32)
    like = np.stack([apart.likeness(b.astype(np.float32), bits.astype(np.float32), size) for b in bits])
    assert like[order[0], order[1]] == like.min()
    for n in (2, 7, 30):
        nearest = like[:, order[:n]].max(1)
        assert nearest[order[n]] == min(nearest[k] for k in range(60) if k not in set(order[:n]))
    assert apart.kennard_stone(bits[:1]).tolist() == [0] and apart.kennard_stone(bits[:0]).tolist() == []


def test_a_series_has_one_known_lead(tmp_path: Path) -> None:
    alone = np.random.default_rng(5).random((4, 1024)) < 0.05
    found = apart.series(np.concatenate([families(7), alone]), 0.5)
    assert [sorted(rows) for rows in found] == [list(range(k, k + 7)) for k in range(0, 35, 7)]
    heads = ("Clc1ccc(S(=O)(=O)NC2CCCC2)cc1", "FC(F)(F)c1ccnc(N2CCOCC2)c1", "O=c1[nH]cnc2sccc12N")
    texts = [f"{head}{'C' * k}O" for head in heads for k in range(9)]
    smiles = [*MOLECULES, *(s for s in texts if Chem.MolFromSmiles(s) is not None)]
    featurizer = preset("chemprop_cip")
    store = Store.build([featurize(s, featurizer) for s in smiles], featurizer)
    all_series = apart.series(fingerprints(hashes(store, RADIUS), store))
    assert len(all_series) >= 2
    for seed in range(5):
        parts = parts_of(store, np.arange(len(smiles)), "lead-opt", (0.8, 0.1, 0.1), seed)
        assert sorted(np.concatenate(list(parts.values()))) == list(range(len(smiles)))
        for rows in all_series:
            learned = set(rows.tolist()) & set(parts["train"].tolist())
            assert learned in ({int(rows[0])}, set(rows.tolist()))
        inside = set(np.concatenate(all_series).tolist())
        assert set(parts["test"].tolist()) | set(parts["val"].tolist()) <= inside and len(parts["test"]) and len(parts["val"])
    out = tmp_path / "out.csv"
    few = tmp_path / "few.csv"
    few.write_text("\n".join(["smiles", "CCO", "c1ccccc1", "CC#N", "FC(F)F", "O=S(=O)(Cl)Cl", "BrI"]) + "\n")
    with pytest.raises(DataError, match="lead-opt split: no rows for test: the table has 0 series"):
        split_file(DivideConfig(data_path=few, output_path=out, split="lead-opt", split_sizes=(0.6, 0.2, 0.2), num_workers=0))


@pytest.mark.parametrize("split", ["random", "scaffold", "butina", "cluster", "sphere", "kennard-stone", "lead-opt"])
def test_copies_are_in_one_part(split: str, tmp_path: Path) -> None:
    data, out = tmp_path / "in.csv", tmp_path / "out.csv"
    tails = [f"{head}{'C' * k}O" for head in ("Clc1ccc(S(=O)(=O)NC2CCCC2)cc1", "FC(F)(F)c1ccnc(N2CCOCC2)c1") for k in range(2, 9)]
    twice = [text for s in [*MOLECULES, *tails] for text in (s, Chem.MolToSmiles(Chem.MolFromSmiles(s), canonical=False, rootedAtAtom=0))]
    data.write_text("\n".join(["smiles", *twice]) + "\n")
    split_file(DivideConfig(data_path=data, output_path=out, split=split, num_workers=0))  # type: ignore[arg-type]
    with out.open(newline="") as file:
        rows = [r["split"] for r in csv.DictReader(file)]
    assert rows[::2] == rows[1::2] and set(rows) == {"train", "val", "test"}


@pytest.mark.parametrize("split", ["random", "scaffold", "butina", "cluster", "sphere", "kennard-stone", "size", "time"])
def test_a_table_is_divided_and_a_training_reads_it(split: str, config: Make, tmp_path: Path) -> None:
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
    chosen = train.run(config(data_path=out, epochs=1, splits_column="split", output_dir=tmp_path / "column"))
    assert direct.rows["test"].tolist() == chosen.rows["test"].tolist()


def test_time_wants_a_column(config: Make) -> None:
    for changes in (
        {"split": "time"},
        {"time_column": "kind"},
        {"split": "time", "time_column": "kind", "splits_column": "kind"},
    ):
        with pytest.raises(UsageError, match="time"):
            train.run(config(**changes), overwrite=True)


def test_drift_sees_other_molecules_and_embed_writes_what_the_readout_sees(config: Make, table: Path, tmp_path: Path) -> None:
    asked = config(members="folds", ensemble_size=2)
    train.run(asked)
    model = asked.output_dir / "model.safetensors"
    other = tmp_path / "other.csv"
    other.write_text("smiles\n" + "\n".join(f"{'C' * k}[SiH2]P(=S)(Br)I" for k in range(1, 40)) + "\n")
    same, moved = (drift(DriftConfig(model_path=model, data_path=d, num_workers=0)) for d in (table, other))
    assert same.figures["out_of_domain"] == 0.0 and same.figures["p_value"] > 0.01
    assert moved.figures["out_of_domain"] == 1.0 and moved.figures["p_value"] < 1e-6 and "100.0%" in moved.sentences[0]
    data = tmp_path / "in.csv"
    data.write_text("smiles\nCCO\nnonsense\nOCC\nc1ccccc1\n")
    ask = {"model_path": model, "data_path": data, "num_workers": 0}
    assert embed_file(EmbedConfig(**ask, output_path=tmp_path / "e.csv")) == (4, 3, 16)  # type: ignore[arg-type]
    embed_file(EmbedConfig(**ask, output_path=tmp_path / "e.npy"))  # type: ignore[arg-type]
    embed_file(EmbedConfig(**ask, output_path=tmp_path / "a.npy", atoms=True))  # type: ignore[arg-type]
    whole, atoms = np.load(tmp_path / "e.npy"), np.load(tmp_path / "a.npy")
    assert np.isnan(whole[1]).all() and whole[0] == pytest.approx(whole[2], abs=1e-6) and atoms.shape == (3 + 3 + 6, 16)
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


def test_files_of_their_own_are_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without a label are in none; where both parts have a file, nothing is cut and the table trains as a whole."""
    from heliograph.train import data as module

    y = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, np.nan], [4.0, 1.0], [5.0, 1.0], [6.0, 2.0], [np.nan, 7.0], [np.nan, np.nan]])
    given = SimpleNamespace(labels=SimpleNamespace(y=y), files=np.array([0, 0, 0, 0, 1, 1, 2, 2]), splits_column=None)
    asked = SplitConfig(val_path=Path("v.csv"), test_path=Path("t.csv"), split="scaffold")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_cut", None)
        parts = module.divide(given, asked, 0, 0)  # type: ignore[arg-type]
    assert {part: rows.tolist() for part, rows in parts.items()} == {"train": [0, 1, 3], "val": [4, 5], "test": [6]}
    sizes = module._sizes(SplitConfig(test_path=Path("t.csv"), split_sizes=(0.6, 0.2, 0.2)))
    assert sizes == (pytest.approx((0.75, 0.25, 0.0)), ["test"])
    assert module._sizes(SplitConfig(val_path=Path("v.csv"), split_sizes=(0.6, 0.2, 0.2))) == (pytest.approx((0.75, 0.0, 0.25)), ["val"])
    assert module._sizes(SplitConfig(split_sizes=(0.6, 0.2, 0.2))) == ((0.6, 0.2, 0.2), [])
    assert module._sizes(asked) == ((1.0, 0.0, 0.0), ["val", "test"])
    given.files[:] = 0
    with pytest.raises(DataError, match="the file for val has no usable row with a label"):
        module.divide(given, asked, 0, 0)  # type: ignore[arg-type]


def test_a_column_of_parts_is_read_where_there_is_a_label() -> None:
    from heliograph.train.data import divide

    y = np.array([[1.0], [np.nan], [3.0], [4.0], [5.0]])
    given = SimpleNamespace(labels=SimpleNamespace(y=y), files=np.zeros(5, int), splits_column=["train", "train", "valid", "Test", ""])
    parts = divide(given, SplitConfig(splits_column="part"), 0, 0)  # type: ignore[arg-type]
    assert {part: rows.tolist() for part, rows in parts.items()} == {"train": [0], "val": [2], "test": [3]}
