"""What pool and workers say to each other comes out as it went in; what is damaged is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from safetensors import SafetensorError

from heliograph.chem import wire
from heliograph.chem.featurizer import Featurizer, preset
from heliograph.chem.molecule import Molecule, featurize
from heliograph.data.record import Geometry, MolBlock, Structure

WATER = Geometry(np.array([8, 1, 1], np.uint8), np.array([[0, 0, 0.1234567890123456], [0.76, 0, 0.59], [-0.76, 0, 0.59]]))
CRYSTAL = Geometry(np.array([11], np.uint8), np.array([[np.nan, 0, 1e-300]]), -1, np.eye(3) * 5.64, (True, False, True))


def same(a: object, b: object) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, (Geometry, Molecule)):
        return all(same(getattr(a, name), getattr(b, name)) for name in a.__slots__)
    return a == b


def test_structures() -> None:
    given: list[Structure | None] = [
        "CC",
        None,
        '\udc80\n"',
        MolBlock("a\nb"),
        WATER,
        CRYSTAL,
        Geometry(np.zeros(0, np.uint8), np.zeros((0, 3))),
    ]
    for one_by_one in (False, True):
        found, asked = wire.requested(wire.request(given, one_by_one))
        assert asked is one_by_one
        assert all(same(one, other) for one, other in zip(given, found, strict=True))


@pytest.mark.parametrize(
    "featurizer", [preset("table10_1"), preset("elements"), Featurizer((), ())], ids=["table10_1", "elements", "nothing"]
)
def test_results(featurizer: Featurizer) -> None:
    structures: list[Structure] = [WATER, WATER] if featurizer.geometry != "none" else ["CCO", "[Na+].[Cl-]", "C"]
    molecules = [featurize(s, featurizer) for s in structures]
    for given in ([], ["not a molecule", None], [molecules[0], None, "why", *molecules[1:]]):
        found = wire.answered(wire.answer(given))
        assert all(same(one, other) for one, other in zip(given, found, strict=True))


def test_what_is_damaged_is_told() -> None:
    stream = io.BytesIO()
    wire.send(stream, b"whole")
    whole = stream.getvalue()
    assert wire.receive(io.BytesIO(whole)) == b"whole"
    for end in (0, 5, len(whole) - 1):
        with pytest.raises(EOFError):
            wire.receive(io.BytesIO(whole[:end]))
    with pytest.raises(ValueError, match="not a frame"):
        wire.receive(io.BytesIO(b"what a library prints"))
    with pytest.raises((ValueError, SafetensorError)):
        wire.answered(b"gibberish")
