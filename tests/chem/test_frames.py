"""What pool and workers say to each other comes out as it went in; what is damaged is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from safetensors import SafetensorError

from heliograph.chem import frames
from heliograph.chem.featurizer import Featurizer, preset
from heliograph.chem.molecule import Molecule, featurize
from heliograph.data.record import Geometry, MolBlock, Structure

WATER = Geometry(np.array([8, 1, 1], np.uint8), np.array([[0, 0, 0.1234567890123456], [0.76, 0, 0.59], [-0.76, 0, 0.59]]))
CRYSTAL = Geometry(np.array([11], np.uint8), np.array([[np.nan, 0, 1e-300]]), -1, np.eye(3) * 5.64, (True, False, True))


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a == b and type(a) is type(b)


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
        found, asked = frames.requested(frames.request(given, one_by_one))
        assert asked is one_by_one and len(found) == len(given)
        for one, other in zip(given, found, strict=True):
            assert type(one) is type(other)
            if isinstance(one, Geometry):
                assert all(same(getattr(one, name), getattr(other, name)) for name in Geometry.__slots__)
            else:
                assert one == other


@pytest.mark.parametrize(
    "featurizer", [preset("table10_1"), preset("elements"), Featurizer((), ())], ids=["table10_1", "elements", "nothing"]
)
def test_results(featurizer: Featurizer) -> None:
    structures: list[Structure] = [WATER, WATER] if featurizer.geometry != "none" else ["CCO", "[Na+].[Cl-]", "C"]
    molecules = [featurize(s, featurizer) for s in structures]
    for given in ([], ["not a molecule", None], [molecules[0], None, "why", *molecules[1:]]):
        found = frames.answered(frames.answer(given))
        assert len(found) == len(given)
        for one, other in zip(given, found, strict=True):
            assert type(one) is type(other)
            if isinstance(one, Molecule):
                assert all(same(getattr(one, name), getattr(other, name)) for name in Molecule.__slots__)
            else:
                assert one == other


def test_what_is_damaged_is_told() -> None:
    stream = io.BytesIO()
    frames.send(stream, b"whole")
    whole = stream.getvalue()
    assert frames.receive(io.BytesIO(whole)) == b"whole"
    for end in (0, 5, len(whole) - 1):
        with pytest.raises(EOFError):
            frames.receive(io.BytesIO(whole[:end]))
    with pytest.raises(ValueError, match="not a frame"):
        frames.receive(io.BytesIO(b"what a library prints"))
    with pytest.raises((ValueError, SafetensorError)):
        frames.answered(b"gibberish")
