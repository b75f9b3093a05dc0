"""Last-layer Laplace: the posterior of Bayesian linear regression, of every network that ends in a linear layer, kept in the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from sklearn.linear_model import BayesianRidge

from heliograph import segment, train, zoo
from heliograph.chem.featurizer import preset
from heliograph.chem.molecule import featurize
from heliograph.data.store import Store
from heliograph.errors import ModelFileError, UsageError
from heliograph.graph import Graph, dense
from heliograph.learn.task import Kind
from heliograph.model import MPNN, Inputs
from heliograph.predictor import Document, Predictor, Scaling, Task, laplace
from heliograph.predictor.environments import Environments
from heliograph.uncertainty import evidence
from tests.train.conftest import MOLECULES, config, table  # noqa: F401 (fixtures)


def test_evidence_is_that_of_bayesian_ridge() -> None:
    """Against scikit-learn, which finds the same prior and noise by iteration; with columns that say nothing, and one twice."""
    random = np.random.default_rng(0)
    phi = random.normal(size=(80, 12)) * np.logspace(-2, 1, 12)
    phi[:, 3] = phi[:, 4]
    y = phi[:, 8:] @ random.normal(size=4) + 0.3 * random.normal(size=80)
    found = evidence.numbers(phi, y)
    other = BayesianRidge(fit_intercept=False, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0, max_iter=3000, tol=1e-12).fit(phi, y)
    new = random.normal(size=(20, 12))
    _, std = other.predict(new, return_std=True)
    np.testing.assert_allclose(np.sqrt(found.of(new) + found.noise), std, rtol=1e-4)
    np.testing.assert_allclose(found.noise, 1 / other.alpha_, rtol=1e-4)
    A = phi.T @ phi / found.noise + other.lambda_ * np.eye(12)  # in closed form
    np.testing.assert_allclose(found.of(new), np.einsum("ni,ij,nj->n", new, np.linalg.inv(A), new), rtol=1e-3)


def test_evidence_of_classes() -> None:
    """The prior is a maximum of Laplace's evidence, and the covariance the inverse of the Hessian there."""
    random = np.random.default_rng(1)
    phi, w = random.normal(size=(60, 5)), random.normal(size=5)
    p = 1 / (1 + np.exp(-phi @ w))
    found = evidence.classes(phi, p, w)
    H = (phi.T * (p * (1 - p))) @ phi
    alpha = float(np.linalg.inv((found.basis * found.variance) @ found.basis.T)[0, 0] - H[0, 0])

    def evidence_of(a: float) -> float:
        return -0.5 * a * float(w @ w) + 2.5 * np.log(a) - 0.5 * np.linalg.slogdet(H + a * np.eye(5))[1]

    assert evidence_of(alpha) >= max(evidence_of(0.98 * alpha), evidence_of(1.02 * alpha)) and found.noise == 0.0


def predictor(arch: str = "dmpnn", kind: Kind = "regression", gaps: bool = False, members: int = 1) -> tuple[Predictor, Store, np.ndarray]:
    featurizer = preset("chemprop_cip")
    inputs = {"nodes": featurizer.atom_width, "edges": featurizer.bond_width, "geometry": False}
    store = Store.build([featurize(s, featurizer) for s in MOLECULES], featurizer)
    size = np.array([len(s) for s in MOLECULES], dtype=float)
    y = np.stack([size > 5, size > 7], -1).astype(float) if kind == "binary" else np.stack([size, np.cos(size)], -1) / size.std()
    if gaps:
        y[::3, 1] = np.nan
    task = Task(kind, ("a", "b"), classes=(("0", "1"),) * 2 if kind == "binary" else ())
    models = []
    for member in range(members):
        torch.manual_seed(member)
        models.append(zoo.build(arch, Inputs(**inputs), 2, {"d": 8}).eval())
        laplace.fit(models[-1], store, np.arange(40), y[:40], task)
    scaling = Scaling((0.0, 0.0), (1.0, 2.0))
    document = Document.of_molecules(arch, {"d": 8}, inputs, featurizer.to_dict(), task.to_dict(), scaling.to_dict())
    document.outputs["y"]["laplace"] = True
    return Predictor(models, document), store, y


@pytest.mark.parametrize(("arch", "gaps"), [("dmpnn", False), ("gin", True)])
def test_the_spread_is_bayesian_regression_on_the_last_features(arch: str, gaps: bool, tmp_path: Path) -> None:
    p, store, y = predictor(arch, gaps=gaps)
    answers = p.predict_records(MOLECULES)
    given: list[torch.Tensor] = []
    last = laplace.last_layer(p.model)
    handle = last.register_forward_hook(lambda _, args, __: given.append(args[0]))
    with torch.inference_mode():
        p.model(store.batch(np.arange(len(store))))
    handle.remove()
    phi = np.column_stack([given[0].double().numpy(), np.ones(len(store))])
    for t, scale in enumerate(p.scaling.std):
        there = np.isfinite(y[:40, t])
        found = evidence.numbers(phi[:40][there], y[:40, t][there])
        np.testing.assert_allclose(answers.head[:, t], scale * np.sqrt(found.of(phi)), rtol=1e-3)
    other = [Chem.MolToSmiles(Chem.MolFromSmiles(s), canonical=False, doRandom=True) for s in MOLECULES[:20]]
    np.testing.assert_allclose(p.predict_records(other).head, answers.head[:20], rtol=1e-4)
    p.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(Predictor.load(tmp_path / "m.safetensors").predict_records(MOLECULES).head, answers.head)


def test_atoms_that_are_added_up() -> None:
    """A readout that adds up its atoms' answers: a molecule's features are the sum of its atoms', and for the bias their number."""
    p, store, _ = predictor()

    class Sum(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W = torch.nn.Linear(8, 2)

        def forward(self, graph: Graph) -> dict[str, torch.Tensor]:
            return {"y": segment.sum(self.W(dense(graph.nodes["h"])), graph.topology.nodes_by_graph)}

    p.model.readout = Sum()
    given: list[torch.Tensor] = []
    handle = laplace.last_layer(p.model).register_forward_hook(lambda _, args, __: given.append(args[0]))
    with torch.inference_mode():
        p.model(store.batch(np.array([30])))
    with laplace.widened(p.model), torch.inference_mode():
        _, phi = laplace.split(p.model, p.model(store.batch(np.array([30])))["y"])
    handle.remove()
    np.testing.assert_allclose(phi[0], torch.cat([given[0].sum(0), torch.tensor([float(len(given[0]))])]), rtol=1e-5)


def test_a_last_layer_that_is_not_linear() -> None:
    p, store, _ = predictor()
    p.model.readout.head.append(torch.nn.Tanh())
    with pytest.raises(UsageError, match="needs a network whose last step is a linear layer"):
        laplace.possible(p.model, store, np.arange(5), np.zeros((5, 1)), required=True)
    assert not laplace.possible(p.model, store, np.arange(5), np.zeros((5, 1)), required=False)


def test_environments_and_members() -> None:
    p, store, _ = predictor(members=2)
    kept = [Environments(), Environments()]
    for model, one in zip(p.models, kept, strict=True):
        one.check(model, store.batch(np.arange(20)))
    again = Store.build([featurize(s, p.featurizer) for s in MOLECULES], p.featurizer, kept[0].codes)
    found = p.predict_store(store, batch_size=7)
    np.testing.assert_allclose(p.predict_store(again, environments=kept).head, found.head, rtol=1e-4)
    each = np.stack([q.predict_store(store).head for q in p.members])
    np.testing.assert_allclose(found.head, np.sqrt(np.square(each).mean(0)), rtol=1e-4)


def test_probabilities_are_averaged_over_the_posterior(tmp_path: Path) -> None:
    p, store, _ = predictor(kind="binary", gaps=True)
    plain = Predictor(p.models, replace(p.document, outputs={"y": {k: v for k, v in p.document.outputs["y"].items() if k != "laplace"}}))
    before, after = plain.predict(MOLECULES), p.predict_records(MOLECULES)
    assert after.head is None
    np.testing.assert_array_equal(after.y > 0.5, before > 0.5)
    assert (np.abs(after.y - 0.5) < np.abs(before - 0.5)).all()
    with laplace.widened(p.model), torch.inference_mode():
        logits, phi = laplace.split(p.model, p.model(store.batch(np.arange(len(store))))["y"])
    sd = laplace.variance(p.model, phi).sqrt().numpy()
    drawn = logits.numpy()[..., None] + sd[..., None] * np.random.default_rng(0).normal(size=4000)
    np.testing.assert_allclose(after.y, (1 / (1 + np.exp(-drawn))).mean(-1), atol=0.02)


def test_trained_and_calibrated(config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    learned, plain = [], laplace.fit

    def noted(model: MPNN, store: Store, rows: np.ndarray, *rest: Any) -> None:
        learned.append(set(rows.tolist()))
        plain(model, store, rows, *rest)

    monkeypatch.setattr(laplace, "fit", noted)
    asked = config(arch="gcn", members="folds", ensemble_size=2, epochs=2)
    result = train.run(asked)
    found = Predictor.load(asked.output_dir / "model.safetensors")
    assert found.laplace and found.trust.calibrated and found.trust.calibration["spread"] == "head"
    given = len(result.rows["train"]) + len(result.rows["val"])
    assert len(learned) == 2 and max(map(len, learned)) <= given / 2 and not learned[0] & learned[1]  # each from its own rows alone
    answers = found.predict_records(MOLECULES)
    assert np.isfinite(answers.std).all() and (answers.lower < answers.upper).all()
    with pytest.raises(UsageError, match="is for numbers; the targets are multiclass"):
        train.run(config(uncertainty_method="laplace", output_dir=tmp_path / "x", target_columns=("kind",), task_type="multiclass"))


def test_a_strangers_file(tmp_path: Path) -> None:
    p, _, _ = predictor()
    p.model.posterior.basis = torch.zeros(1, 4, 4)
    p.save(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match="posterior of its last layer does not fit"):
        Predictor.load(tmp_path / "m.safetensors")
