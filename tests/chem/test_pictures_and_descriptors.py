"""Drawings, fingerprints, Coulomb matrices, scaffolds, and what an import costs."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.chem import draw_svg, ecfp, scaffold
from heliograph.chem.coulomb import BOHR, bag_of_bonds, coulomb, coulomb_matrix
from heliograph.errors import DataError, StructureError


@pytest.mark.parametrize("text", ["CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]", "*C", "C2H6O", "<b>&", "x\udcff", "", "C" * 200])
def test_drawings_are_well_formed(text: str) -> None:
    svg = draw_svg(text, 200, 120)
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.attrib["width"] == "200px"
    assert svg.startswith("<svg")


def test_atoms_can_be_set_off() -> None:
    assert draw_svg("CCO", colours={2: (1.0, 0.0, 0.0)}) != draw_svg("CCO")


def test_fingerprints() -> None:
    bits = ecfp(["CCO", "OCC", "c1ccccc1"])
    assert bits.shape == (3, 2048) and bits.dtype == np.uint8 and set(np.unique(bits)) == {0, 1}
    assert np.array_equal(bits[0], bits[1]) and not np.array_equal(bits[0], bits[2])
    with pytest.raises(StructureError, match="not valid SMILES"):
        ecfp(["C("])


def test_coulomb_matrix_of_hydrogen_by_hand() -> None:
    z, pos = np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 1.4 * BOHR]])
    np.testing.assert_allclose(coulomb_matrix(z, pos), [[0.5, 1 / 1.4], [1 / 1.4, 0.5]])
    np.testing.assert_allclose(coulomb([(z, pos)], 3), [[0.5, 1 / 1.4, 0, 0.5, 0, 0]])


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_coulomb_matrices_do_not_change_with_order_rotation_or_place(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    z, pos = rng.integers(1, 10, n), 3 * rng.normal(size=(n, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(n)
    moved = (z[order], pos[order] @ turn + 5.0)
    one, other = (np.sort(np.linalg.norm(coulomb_matrix(*m), axis=1)) for m in ((z, pos), moved))
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    if len(set(np.round(one, 6))) == n:  # where no two rows are equal, their order is settled
        np.testing.assert_allclose(coulomb([(z, pos)], 9), coulomb([moved], 9), rtol=1e-9, atol=1e-9)


def test_bags_of_bonds_by_hand() -> None:
    water = (np.array([8, 1, 1]), np.array([[0.0, 0, 0], [BOHR, 0, 0], [0, 2 * BOHR, 0]]))
    hydrogen = (np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 4 * BOHR]]))
    found = bag_of_bonds([water, hydrogen])
    own = 0.5 * 8**2.4  # bags: H, O, H-H, H-O
    np.testing.assert_allclose(found, [[0.5, 0.5, own, 1 / np.sqrt(5), 8, 4], [0.5, 0.5, 0, 1 / 4, 0, 0]])


@pytest.mark.parametrize(("seed", "n"), [(0, 5), (1, 8)])
def test_bags_of_bonds_do_not_change_with_order_rotation_or_place(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    z, pos = rng.integers(1, 10, n), rng.normal(size=(n, 3))
    rotation, order = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.permutation(n)
    np.testing.assert_allclose(*(bag_of_bonds([m]) for m in ((z, pos), (z[order], (pos @ rotation + 1)[order]))), rtol=1e-9)


def test_coulomb_says_when_a_molecule_is_too_large() -> None:
    with pytest.raises(DataError, match="Coulomb matrices of 1 atoms were asked for, a molecule has 2"):
        coulomb([(np.ones(2), np.zeros((2, 3)))], 1)


def test_scaffolds_keep_chirality() -> None:
    assert scaffold("CCc1ccccc1") == "c1ccccc1" and scaffold("CCO") == ""
    assert "@" in scaffold("O=C1C[C@H]2CC[C@@H]1C2")


def test_the_featurizer_and_the_readers_need_no_rdkit() -> None:
    code = (
        "import sys, heliograph.chem, heliograph.chem.featurizer as f;"
        "import heliograph.data.formats, heliograph.data.splits, heliograph.data.cache;"
        "f.preset('chemprop_v2').encode_atoms(__import__('numpy').zeros((1, 8), 'uint8'));"
        "print([m for m in ('rdkit', 'torch', 'pyarrow', 'pandas', 'ase') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout == "[]\n"
