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
