"""The columnar store: what went in comes out, batched, in any order, from memory and from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from heliograph.chem.featurizer import preset
from heliograph.chem.molecule import Molecule, featurize
from heliograph.data.store import Store, _codes
from heliograph.errors import DataError
from heliograph.graph import Graph, dense
from heliograph.topology import Topology
from heliograph.views import CompleteGraph, Concatenate, LaplacianEigenvectors, RandomWalks, keep_encodings

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "C", "[Na+].[Cl-]", "C1CC1N", "N#Cc1ccc(F)cc1", "O", "C/C=C/C", "[H][H]"]
FEATURIZER = preset("chemprop_v2")


@pytest.fixture(scope="module")
def molecules() -> list[Molecule]:
    return [featurize(s, FEATURIZER) for s in SMILES]


def by_hand(molecule: Molecule) -> Graph:
    """The graph of one molecule, the slow way."""
    a, b = torch.from_numpy(molecule.bonds.astype(np.int64).reshape(-1, 2)).T
    e = torch.from_numpy(FEATURIZER.encode_bonds(molecule.e))
    nodes = {"x": torch.from_numpy(FEATURIZER.encode_atoms(molecule.x)), "z": torch.from_numpy(molecule.z.astype(np.int64))}
    edges = {"edge_attr": torch.cat([e, e])}
    return Graph.build(torch.cat([a, b]), torch.cat([b, a]), [len(molecule.z)], [2 * len(a)], nodes=nodes, edges=edges)


def bonds(graph: Graph) -> list[tuple[int, int, list[float]]]:
    t = graph.topology
    return sorted((int(i), int(j), e.tolist()) for i, j, e in zip(t.receivers, t.senders, dense(graph.edges["edge_attr"]), strict=True))


def same(graph: Graph, molecule: Molecule) -> None:
    want = by_hand(molecule)
    assert torch.equal(dense(graph.nodes["x"]), dense(want.nodes["x"])) and torch.equal(dense(graph.nodes["z"]), dense(want.nodes["z"]))
    assert bonds(graph) == bonds(want)


def test_batches_hold_the_molecules_asked_for(molecules: list[Molecule]) -> None:
    store = Store.build(iter(molecules), FEATURIZER)
    rows = [3, 0, 0, 2, 7, 1]
    graph = store.batch(rows)
    assert len(rows) == graph.G
    for row, one in zip(rows, graph.unbatch(), strict=True):
        same(one, molecules[row])
    t = graph.topology
    fresh = Topology(t.senders, t.receivers, t.n_node, t.n_edge, N=t.N)
    assert torch.equal(fresh.reverse, t.reverse) and fresh.symmetric  # what the store remembered against a search
    assert bool((t.receivers.diff() >= 0).all())
    assert store.batch([]).G == 0


def test_disk_gives_the_same(molecules: list[Molecule], tmp_path: Path) -> None:
    Store.build(molecules, FEATURIZER).save(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert store.smiles == [m.smiles for m in molecules] and store.scaffolds == [m.scaffold for m in molecules]
    assert store.featurizer == FEATURIZER and len(store) == len(molecules)
    for row, molecule in enumerate(molecules):
        same(store.batch([row]), molecule)
    assert store.composition.sum(1).tolist() == [len(m.z) for m in molecules] and store.composition[0, 8] == 4
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_chunks_are_joined(molecules: list[Molecule], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.data.store._CHUNK", 3)
    store = Store.build(molecules, FEATURIZER)
    for row, molecule in enumerate(molecules):
        same(store.batch([row]), molecule)


def test_discrete_features_stay_small_integers(molecules: list[Molecule]) -> None:
    store = Store.build(molecules * 20, FEATURIZER)
    assert store.columns["x"].dtype == store.columns["bond"].dtype == store.columns["senders"].dtype == np.uint8
    assert len(store.columns["x_table"]) < 30
    drug = Store.build([molecules[0]] * 100, FEATURIZER)
    assert sum(c.nbytes for c in drug.columns.values()) / 100 < 500  # bytes a drug-like molecule


@pytest.mark.parametrize("width", [0, 1, 7, 8, 9])
def test_distinct_rows_are_numbered_as_they_come(width: int) -> None:
    rng = np.random.default_rng(width)
    known: dict[bytes, int] = {}
    for part in rng.integers(0, 256, (6, 1, width), np.uint8) * rng.integers(0, 2, (6, 40, width), np.uint8):
        expected = dict(known)
        numbers = [expected.setdefault(row.tobytes(), len(expected)) for row in part]
        assert _codes(part, known).tolist() == numbers and list(known.items()) == list(expected.items())


def test_positions_come_along() -> None:
    explicit = replace(preset("table10_1"), hydrogens="explicit", geometry="embed")
    molecule = featurize("CO", explicit)
    graph = Store.build([molecule, molecule], explicit).batch([1])
    assert molecule.pos is not None and torch.allclose(dense(graph.nodes["pos"]), torch.tensor(molecule.pos))


def test_what_is_no_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a store"):
        Store.open(tmp_path)
    with pytest.raises(DataError, match="at least one usable molecule"):
        Store.build([], FEATURIZER)


@pytest.mark.parametrize(
    "view",
    [
        nn.Sequential(RandomWalks(5), Concatenate("walks")),
        nn.Sequential(LaplacianEigenvectors(3), Concatenate("eigenvectors", "eigenvalues"), CompleteGraph()),
        RandomWalks(4),
    ],
    ids=["walks", "eigenvectors", "alone"],
)
def test_encodings_are_kept_and_change_nothing(molecules: list[Molecule], view: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.data.store._KEEP", 3)
    plain, store = Store.build(molecules, FEATURIZER), Store.build(molecules, FEATURIZER)
    keep_encodings(view, store)
    assert store.kept["nodes"]
    rows = [4, 0, 4, 2]
    with monkeypatch.context() as m:
        m.setattr("heliograph.views.encodings.edge_counts", None)  # nothing is computed again
        kept = view(store.batch(rows))
    fresh = view(plain.batch(rows))
    assert set(kept.nodes) == set(fresh.nodes) and set(kept.globals) == set(fresh.globals)
    for side in ("nodes", "globals"):
        for name, feature in getattr(fresh, side).items():
            assert torch.allclose(dense(getattr(kept, side)[name]), dense(feature), atol=1e-6), name


def test_only_encodings_of_the_bond_graph_are_kept(molecules: list[Molecule]) -> None:
    store = Store.build(molecules, FEATURIZER)
    keep_encodings(nn.Sequential(CompleteGraph(), RandomWalks(3)), store)
    keep_encodings(None, store)
    assert store.kept == {"nodes": {}, "globals": {}}
    keep_encodings(RandomWalks(3), store)
    other = RandomWalks(6)(store.batch([1, 2]))  # another number of steps is computed
    assert dense(other.nodes["walks"]).shape[1] == 6
