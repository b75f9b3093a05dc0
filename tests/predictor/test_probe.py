"""What a linear map reads off the states: planted states are read, noise is not, and shuffled labels never."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.chem.featurizer import preset
from heliograph.chem.molecule import featurize
from heliograph.data.sets import smallmol
from heliograph.data.store import Store
from heliograph.errors import DataError, UsageError
from heliograph.graph import Graph
from heliograph.predictor import Predictor
from heliograph.predictor.probe import kinds_of, probe, sentences
from tests.cli.conftest import Run, make_run, run  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(make_run(tmp_path_factory.mktemp("probe") / "run") / "model.safetensors")


@pytest.fixture(scope="module")
def smiles() -> list[str]:
    return [str(s) for s in smallmol.load().smiles[:3000:10]]


@pytest.fixture(scope="module")
def store(predictor: Predictor, smiles: list[str]) -> Store:
    return Store.build([featurize(s, predictor.featurizer) for s in smiles], predictor.featurizer)


def test_kinds_are_those_of_rdkit(smiles: list[str]) -> None:
    from rdkit import Chem

    for features in ("table10_1", "chemprop_cip"):
        featurizer = preset(features)
        found = kinds_of(Store.build([featurize(s, featurizer) for s in smiles], featurizer))
        atoms = [atom for s in smiles for atom in Chem.MolFromSmiles(s).GetAtoms()]
        bonds = [{b.GetBondType() for b in atom.GetBonds()} for atom in atoms]
        assert found["element"].tolist() == [atom.GetAtomicNum() for atom in atoms]
        assert found["double bond"].tolist() == [Chem.BondType.DOUBLE in b for b in bonds]
        assert found["triple bond"].tolist() == [Chem.BondType.TRIPLE in b for b in bonds]
        assert found["aromatic"].tolist() == [Chem.BondType.AROMATIC in b for b in bonds]
        if "ring" in found:
            assert found["ring"].tolist() == [atom.IsInRing() for atom in atoms]
        assert found["branch"].tolist() == [sum(n.GetAtomicNum() > 1 for n in atom.GetNeighbors()) >= 3 for atom in atoms]


def test_what_is_there_is_read(predictor: Predictor, store: Store) -> None:
    readings = probe(predictor, store)
    of = {(r.step, r.what): r for r in readings}
    assert of["input", "element"].read > 0.99  # a one-hot is linear
    steps = list(dict.fromkeys(r.step for r in readings))
    assert steps[:2] == ["input", "embed"] and steps[-1].startswith("layer")
    for r in readings:
        assert 0.0 <= r.read <= 1.0 and abs(r.shuffled - 1.0 / r.kinds) < 0.2 and r.atoms >= 2 * r.kinds * 20
    assert readings == probe(predictor, store)
    said = sentences(readings)
    assert said[0].startswith("element: read best after input, ") and len(said) == len({r.what for r in readings})


def test_planted_states_are_read_and_noise_is_not(predictor: Predictor, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    model = predictor.models[0]
    truth = torch.from_numpy(kinds_of(store)["aromatic"])
    random, at = torch.Generator().manual_seed(0), {"place": 0}

    def steps(graph: Graph) -> object:
        noise = torch.randn(graph.N, 3, generator=random)
        mine = truth[at["place"] : at["place"] + graph.N]
        at["place"] += graph.N
        yield "embed", None, graph.with_nodes(h=noise)
        yield "layer 1", None, graph.with_nodes(h=noise + mine[:, None] * torch.tensor([0.0, 8.0, 0.0]))

    monkeypatch.setattr(type(model), "steps", lambda self, graph: steps(graph))
    of = {(r.step, r.what): r.read for r in probe(predictor, store)}
    assert of["layer 1", "aromatic"] > 0.98 and abs(of["embed", "aromatic"] - 0.5) < 0.1
    assert "aromatic: read best after layer 1" in " ".join(sentences(probe_again(predictor, store, at)))


def probe_again(predictor: Predictor, store: Store, at: dict[str, int]) -> list:
    at["place"] = 0
    return [r for r in probe(predictor, store) if r.step != "input"]


def test_too_few(predictor: Predictor, store: Store) -> None:
    with pytest.raises(DataError, match="3 molecules are too few"):
        probe(predictor, store.take(np.arange(3)))
    with pytest.raises(DataError, match="no kind of atom is there 20 times"):
        probe(predictor, store.take(np.arange(4)))
    with pytest.raises(UsageError, match="--member 7"):
        probe(predictor, store, 7)


def test_the_command(run: Run, predictor: Predictor, smiles: list[str], tmp_path: Path) -> None:  # noqa: F811
    predictor.save(tmp_path / "model.safetensors")
    (tmp_path / "in.csv").write_text("\n".join(["smiles", "nonsense", *smiles]) + "\n")
    done = run("embed", "model.safetensors", "in.csv", "--probe", "-o", "probe.csv", "--num-workers", "0")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "probe.csv") as file:
        rows = list(csv.DictReader(file))
    assert {"step", "what", "read", "shuffled", "kinds", "atoms"} <= set(rows[0])
    assert done.stdout.splitlines()[-1] == "probe.csv" and done.stdout.startswith("element: read best after input")
    for more in (("-o", "probe.npy"), ("-o", "p.csv", "--atoms"), ("-o", "probe.csv")):
        assert run("embed", "model.safetensors", "in.csv", "--probe", *more).returncode == 2
    assert run("embed", "model.safetensors", "in.csv", "--probe", "-o", "q.csv", "-q", "--num-workers", "0").stdout == ""
