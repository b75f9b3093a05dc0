"""Stereochemistry taken off structures."""

from __future__ import annotations

import pytest

from heliograph.chem.stereo import without_stereo
from heliograph.errors import StructureError

CASES = [
    ("C[C@H](N)O", "CC(N)O"),
    ("F/C=C/F", "FC=CF"),
    ("[13CH3][C@H](N)O", "[13CH3]C(N)O"),  # isotopes stay
    ("C[C@H]1CC[C@@H](O)CC1", "CC1CCC(O)CC1"),
    ("OCC |$a;b;c$|", "CCO"),
]


@pytest.mark.parametrize(("smiles", "flat"), CASES, ids=[smiles for smiles, _ in CASES])
def test_what_is_left_is_the_graph(smiles: str, flat: str) -> None:
    assert without_stereo([smiles, flat]) == [flat, flat]


def test_isomers_become_one_and_what_cannot_be_read_is_said() -> None:
    assert len(set(without_stereo(["C[C@H](N)O", "C[C@@H](N)O", "CC(N)O", "OC(N)C"]))) == 1
    assert without_stereo([]) == []
    with pytest.raises(StructureError):
        without_stereo(["C6H6"])
