"""Dropout at prediction: a function of the molecule alone, kept in the file, calibrated like any other spread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from heliograph import train, zoo
from heliograph.chem.featurizer import preset
from heliograph.chem.molecule import featurize
from heliograph.data.store import Store
from heliograph.errors import ModelFileError, UsageError
from heliograph.model import Inputs
from heliograph.predictor import Document, Predictor, Scaling, Task
from heliograph.predictor.environments import Environments
from heliograph.predictor.thinned import Thinned
from tests.train.conftest import MOLECULES, config, table  # noqa: F401 (fixtures)


def predictor(dropout: float = 0.2, passes: int = 400, seed: int = 3, members: int = 1) -> Predictor:
    featurizer = preset("chemprop_cip")
    inputs = {"nodes": featurizer.atom_width, "edges": featurizer.bond_width, "geometry": False}
    args, models = {"d": 32, "dropout": dropout}, []
    for member in range(members):
        torch.manual_seed(member)
        models.append(zoo.build("dmpnn", Inputs(**inputs), 2, args))
    task, scaling = Task("regression", ("a", "b")), Scaling((1.0, 2.0), (0.5, 3.0))
    document = Document.of_molecules("dmpnn", args, inputs, featurizer.to_dict(), task.to_dict(), scaling.to_dict())
    document.outputs["y"]["dropout"] = Thinned(passes, seed).to_dict()
    return Predictor(models, document)


def test_a_function_of_the_molecule(tmp_path: Path) -> None:
    p = predictor()
    together = p.predict_records(MOLECULES)
    assert together.head is not None and (together.head > 0).all()
    plain = Predictor(p.models, replace(p.document, outputs={"y": {k: v for k, v in p.document.outputs["y"].items() if k != "dropout"}}))
    np.testing.assert_array_equal(plain.predict(MOLECULES), together.y)  # the answer is that of the whole network
    alone = np.concatenate([p.predict_records([s]).head for s in MOLECULES[:12]])
    np.testing.assert_allclose(alone, together.head[:12], rtol=1e-5)
    other = [Chem.MolToSmiles(Chem.MolFromSmiles(s), canonical=False, doRandom=True) for s in MOLECULES]
    np.testing.assert_allclose(p.predict_records(other).head, together.head, rtol=1e-5)
    p.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(Predictor.load(tmp_path / "m.safetensors").predict_records(MOLECULES).head, together.head)
    assert not np.allclose(predictor(seed=4).predict_records(MOLECULES).head, together.head, rtol=1e-3)


def test_the_spread_is_that_of_dropout() -> None:
    """Against PyTorch's own dropout in the head, 4,000 passes; more dropout, more spread."""
    p = predictor(passes=1000)
    model, head = p.models[0], p.models[0].readout.head
    store = Store.build([featurize("CC(=O)Oc1ccccc1C(=O)O", p.featurizer)], p.featurizer)
    with torch.inference_mode():
        states = model.states(store.batch(np.array([0])))
        pooled = states.nodes["h"].sum(0, keepdim=True) * model.readout.scale
        torch.manual_seed(0)
        head.train()
        drawn = torch.cat([head(pooled) for _ in range(4000)]).double().std(0).numpy() * np.array(p.scaling.std)
        head.eval()
    found = p.predict_store(store).head
    np.testing.assert_allclose(found[0], drawn, rtol=0.12)
    more = predictor(0.5, 1000).predict_store(store).head
    assert (more > found).all()


def test_environments_and_members() -> None:
    p = predictor(members=2)
    store = Store.build([featurize(s, p.featurizer) for s in MOLECULES], p.featurizer)
    kept = [Environments(), Environments()]
    for model, one in zip(p.models, kept, strict=True):
        one.check(model, store.batch(np.arange(20)))
    again = Store.build([featurize(s, p.featurizer) for s in MOLECULES], p.featurizer, kept[0].codes)
    np.testing.assert_allclose(p.predict_store(again, environments=kept).head, p.predict_store(store, batch_size=7).head, rtol=1e-4)
    each = np.stack([q.predict_store(store).head for q in p.members])
    np.testing.assert_allclose(p.predict_store(store).head, np.sqrt(np.square(each).mean(0)), rtol=1e-6)


def test_trained_and_calibrated(config, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    dropout = {"arch": "dmpnn", "arch_args": {"d": 16, "dropout": 0.1}, "uncertainty_method": "dropout"}
    asked = config(**dropout, members="folds", ensemble_size=2, epochs=2, seed=5)
    train.run(asked)
    found = Predictor.load(asked.output_dir / "model.safetensors")
    assert found.thinned == Thinned(seed=5) and found.trust.calibrated
    answers = found.predict_records(MOLECULES)
    assert answers.head is not None and np.isfinite(answers.std).all() and (answers.lower < answers.upper).all()
    for changes, words in [
        ({"arch_args": {"d": 16}}, "needs a network that pools its atoms and has dropout after that"),
        ({"arch": "ggnn", "arch_args": {}}, "needs a network that pools"),
        ({"target_columns": ("o",)}, "is for numbers; the targets are binary"),
    ]:
        with pytest.raises(UsageError, match=words):
            train.run(config(**(dropout | {"output_dir": tmp_path / "x"} | changes)))


def test_a_strangers_file() -> None:
    good = predictor().document
    passes = [{"passes": n, "seed": 0} for n in (10**9, 1, 2.5, True)]
    for bad in (*passes, {"passes": 20, "seed": -1}, {"passes": 20}, []):
        with pytest.raises(ModelFileError, match="dropout at prediction is"):
            Predictor(predictor().models, replace(good, outputs={"y": good.outputs["y"] | {"dropout": bad}}))
