"""What a network cannot see is counted and said: it is asked with random weights, whatever its form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from heliograph import zoo
from heliograph.chem import featurize
from heliograph.chem.featurizer import preset
from heliograph.data.record import Geometry, Structure
from heliograph.data.store import Store
from heliograph.model import Inputs
from heliograph.train import blind
from heliograph.train.blind import _difference, sentences
from heliograph.train.targets import read_labels

STEREO = ["C[C@H](N)O", "C[C@@H](N)O", "CCO", "CCC", "C[C@H](F)Cl", "C[C@@H](F)Cl"]


def said(arch: str, structures: list[Structure], y: list[float]) -> list[str]:
    module = zoo.load(arch)
    featurizer = preset(module.FEATURIZER)
    if module.GEOMETRY == "required":
        featurizer = replace(featurizer, hydrogens="explicit", geometry="given")
    store = Store.build([featurize(s, featurizer) for s in structures], featurizer)
    torch.manual_seed(0)
    net = zoo.build(arch, Inputs(featurizer.atom_width, featurizer.bond_width, store.has_geometry), 1, {"d": 16})
    return sentences(arch, net, store, read_labels({"y": [str(v) for v in y]}, "regression"), np.arange(len(y)))


@pytest.mark.parametrize("arch", ["gcn", "gin", "gilmer", "pna"])
def test_stereoisomers(arch: str) -> None:
    (note,) = said(arch, list(STEREO), [1, 2, 3, 4, 5, 5])
    assert note == (
        f"2 of 6 molecules look like another one to {arch} and have unlike labels of 'y' (spread 0.707): "
        "1 group differs in stereochemistry. It will answer the same for them."
    )
    assert said(arch, list(STEREO), [1, 1, 3, 4, 5, 5]) == []  # alike, and their labels too


def test_what_is_seen_is_not_counted() -> None:
    assert said("dmpnn", list(STEREO), [1, 2, 3, 4, 5, 6]) == []
    assert said("gin", ["CCO", "CCC", "CCN"], [1, 2, 3]) == []


def test_bonds_that_are_not_read() -> None:
    pair: list[Structure] = ["[H]/N=C\\C", "[H]/N=C/C"]
    (note,) = said("gcn", pair, [1, 2])
    assert "1 group differs in stereochemistry" in note
    assert said("gilmer", pair, [1, 2]) == []


def test_isotopes() -> None:
    (note,) = said("gin", ["[13CH3]O", "CO"], [1, 2])
    assert "1 group differs in isotopes" in note
    assert said("dmpnn", ["[13CH3]O", "CO"], [1, 2]) == []


def test_charge_beside_a_geometry() -> None:
    z, pos = np.array([8, 1], np.uint8), np.array([[0, 0, 0], [0, 0, 0.97]])
    (note,) = said("schnet", [Geometry(z, pos, charge=-1), Geometry(z, pos, charge=0), Geometry(z, pos * 1.1)], [1, 2, 3])
    assert note.startswith("2 of 3 molecules look like another one to schnet") and "charge, spin" in note


def test_what_differs() -> None:
    assert _difference("C[C@H](N)O", "C[C@@H](N)O") == _difference("CC(N)O", "C[C@@H](N)O") == "stereochemistry"
    assert _difference("F/C=C/F", "F/C=C\\F") == "stereochemistry"
    assert _difference("[13CH3]O", "CO") == "isotopes"
    assert _difference("CCO", "COC") == "something else that its features leave out"


def test_alike_is_a_hundred_billionth_of_the_largest_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of 0 for everything is alike, too; the rows that are looked at are those that were asked for."""
    store = Store.build([featurize(s, preset("table10_1")) for s in ["C", *STEREO]], preset("table10_1"))
    labels = read_labels({"y": ["9", "1", "2", "3", "7", "5", "6"]}, "regression")
    rows = np.arange(1, 7)

    def found(*answers: float) -> list[str]:
        monkeypatch.setattr(blind, "_answers", lambda network, store, given: np.array(answers, float)[:, None][given - 1])
        return [note.split(" look")[0] for note in sentences("gcn", torch.nn.Identity(), store, labels, rows)]

    assert found(0, 0, 0, 0, 0, 0) == ["6 of 6 molecules"]
    assert found(1, 2, 3, 4, 5, 6) == []
    assert found(1, 1 + 5e-11, 3, 4, 5, 6) == ["2 of 6 molecules"] and found(1, 1 + 7e-11, 3, 4, 5, 6) == []
    assert found(1, 3, 1, 3, 5, 6) == ["4 of 6 molecules"]
    monkeypatch.setattr(blind, "MOST", 4)
    assert found(1, 3, 1, 5, 1, 1) == ["2 of 4 molecules"]
    monkeypatch.setattr(blind, "MOST", 1)
    assert found(0, 0, 0, 0, 0, 0) == []


def test_at_most_five_targets_are_spoken_of() -> None:
    featurizer = preset(zoo.load("gcn").FEATURIZER)
    store = Store.build([featurize(s, featurizer) for s in STEREO], featurizer)
    net = zoo.build("gcn", Inputs(featurizer.atom_width, featurizer.bond_width, False), 1, {"d": 16})
    columns = {f"y{k}": ["1", "2", "3", "4", "5", "7" if k != 1 else ""] for k in range(8)}
    notes = sentences("gcn", net, store, read_labels(columns, "regression"), np.arange(6))
    assert [note.split("labels of ")[1].split(" (")[0] for note in notes] == [f"'y{k}'" for k in range(5)]
    spreads = [note.split("(spread ")[1].split(")")[0] for note in notes]
    assert spreads == ["1.12", "0.707", "1.12", "1.12", "1.12"]  # sqrt((1/2 + 2) / 2); without a label sqrt(1/2)
