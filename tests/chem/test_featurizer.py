"""Encoding of codes, and equality with chemprop, which nobody here wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem, rdBase

from heliograph.chem.elements import SYMBOLS, formula, masses
from heliograph.chem.featurizer import ATOM_FEATURES, BOND_FEATURES, Featurizer, preset, presets
from heliograph.chem.molecule import featurize
from heliograph.data.formats import read
from heliograph.errors import DataError, StructureError, UsageError
from tests.chem.real import moleculenet

AWKWARD = [
    "C",
    "[H][H]",
    "[Na+].[Cl-]",
    "[2H]OC([13CH3])=O",
    "C[C@H](N)C(=O)O",
    "F/C=C/F",
    "F/C=C\\F",
    "N(=O)(=O)c1ccccc1",
    "[Cu-3]",
    "C->[Pt](Cl)Cl",
    "*C",
    "[200C]",
    "[Og]",
    "[O-2].[Mg+2]",
    "S(F)(F)(F)(F)(F)F",
    "FP(F)(F)(F)F",
    "c1ccc2c(c1)cc[nH]2",
    "C1CC1",
    "[NH4+]",
    "[Fe+3]",
    "C[Si](C)(C)C",
    "[CH3]",
    "OS(=O)(=O)O",
    "C[N@+]1(CC)CCO1",
    "CC=C=CC",
    "[I-].CI",
    "C$C",
    "[Co@OH26](C)(N)(O)(F)(Cl)Br",
    "CC |$a;b$|",
]


def chemprop_says(smiles: str) -> tuple[np.ndarray, np.ndarray]:
    featurizers = pytest.importorskip("chemprop.featurizers", reason="chemprop, the oracle, is not installed")
    atom, bond = featurizers.MultiHotAtomFeaturizer.v2(), featurizers.MultiHotBondFeaturizer()
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    return np.array([atom(a) for a in mol.GetAtoms()]), np.array([bond(b) for b in mol.GetBonds()]).reshape(-1, 14)


def agrees(smiles: str) -> None:
    featurizer = preset("chemprop_v2")
    molecule = featurize(smiles, featurizer)
    atoms, bonds = chemprop_says(smiles)
    np.testing.assert_allclose(featurizer.encode_atoms(molecule.x), atoms, rtol=1e-6, atol=1e-7, err_msg=smiles)
    np.testing.assert_array_equal(featurizer.encode_bonds(molecule.e), bonds, err_msg=smiles)


@pytest.mark.parametrize("smiles", AWKWARD)
def test_awkward_molecules_have_chemprops_features(smiles: str) -> None:
    agrees(smiles)


@pytest.mark.parametrize("name", ["lipophilicity.csv.gz", "bbbp.csv.gz", "hiv.csv.gz", "tox21.csv.gz"])
def test_real_molecules_have_chemprops_features(name: str) -> None:
    seen = 0
    for record in islice(read(moleculenet(name)), 250):
        try:
            featurize(record.structure or "", preset("chemprop_v2"))
        except StructureError:
            continue
        agrees(str(record.structure))
        seen += 1
    assert seen > 200


def test_widths_are_those_of_chemprop() -> None:
    assert (preset("chemprop_v2").atom_width, preset("chemprop_v2").bond_width) == (72, 14)


@pytest.mark.parametrize("name", presets())
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(0, 20))
def test_any_code_encodes_to_finite_numbers_of_the_width_said(name: str, seed: int, rows: int) -> None:
    featurizer, rng = preset(name), np.random.default_rng(seed)
    atoms = featurizer.encode_atoms(rng.integers(0, 256, (rows, len(featurizer.atom_codes)), dtype=np.uint8))
    bonds = featurizer.encode_bonds(rng.integers(0, 256, (rows, len(featurizer.bond_codes)), dtype=np.uint8))
    assert atoms.shape == (rows, featurizer.atom_width) and atoms.dtype == np.float32
    assert bonds.shape == (rows, featurizer.bond_width) and bonds.dtype == np.float32
    assert np.isfinite(atoms).all() and np.isfinite(bonds).all()


@pytest.mark.parametrize("known", [ATOM_FEATURES, BOND_FEATURES])
def test_every_single_feature_has_its_width(known: dict[str, object]) -> None:
    for name in known:
        featurizer = Featurizer((name,), ()) if known is ATOM_FEATURES else Featurizer((), (name,))
        codes = np.zeros((3, len(featurizer.atom_codes) + len(featurizer.bond_codes)), dtype=np.uint8)
        out = featurizer.encode_atoms(codes) if known is ATOM_FEATURES else featurizer.encode_bonds(codes)
        assert out.shape == (3, featurizer.atom_width + featurizer.bond_width)


@pytest.mark.parametrize("name", presets())
def test_a_featurizer_survives_json(name: str) -> None:
    featurizer = replace(preset(name), geometry="embed", seed=7)
    again = Featurizer.from_dict(json.loads(json.dumps(featurizer.to_dict())))
    assert again == featurizer and hash(again) == hash(featurizer)


def test_unknown_names_are_errors_that_suggest() -> None:
    with pytest.raises(UsageError, match="did you mean 'chemprop_v2'"):
        preset("chemprop_2")
    with pytest.raises(UsageError, match="unknown atom feature 'aromatics'; did you mean 'aromatic'"):
        Featurizer(("aromatics",), ())
    with pytest.raises(UsageError, match="hydrogens of a featurizer is one of implicit, explicit; got 'all'"):
        Featurizer((), (), hydrogens="all")
    with pytest.raises(UsageError, match="unknown key 'geometri'"):
        Featurizer.from_dict({"atoms": [], "bonds": [], "geometri": "none"})
    with pytest.raises(DataError, match="reads 1 codes a row"):
        preset("elements").encode_atoms(np.zeros((2, 3), dtype=np.uint8))


def test_table_10_1_says_what_the_chapter_lists() -> None:
    featurizer = preset("table10_1")
    ethanol = featurize("CCO", featurizer)
    columns = dict(zip(featurizer.atom_codes, ethanol.x.T.tolist(), strict=True))
    assert columns["z"] == [6, 6, 8]
    assert columns["hydrogens"] == [3, 2, 1]
    assert columns["donor"] == [0, 0, 1] and columns["acceptor"] == [0, 0, 1]
    assert columns["hybridization"] == [4, 4, 4] and columns["aromatic"] == [0, 0, 0]
    pyridine = featurize("c1ccncc1", featurizer)
    bonds = dict(zip(featurizer.bond_codes, pyridine.e.T.tolist(), strict=True))
    assert bonds["type"] == [12] * 6 and bonds["conjugated"] == [1] * 6 and bonds["ring"] == [1] * 6


def test_hydrogens_are_counted_as_nodes_or_not() -> None:
    implicit, explicit = preset("table10_1"), replace(preset("table10_1"), hydrogens="explicit")
    column = implicit.atom_codes.index("hydrogens")
    few, all_of_them = featurize("CCO", implicit), featurize("CCO", explicit)
    assert all_of_them.z.tolist() == [6, 6, 8, 1, 1, 1, 1, 1, 1]
    assert all_of_them.x[:3, column].tolist() == few.x[:, column].tolist()
    assert few.smiles == all_of_them.smiles == "CCO"


def test_masses_are_rdkits() -> None:
    table = Chem.GetPeriodicTable()
    weights, isotopes = masses()
    for z in range(1, len(SYMBOLS)):
        assert table.GetElementSymbol(z) == SYMBOLS[z]
        assert weights[z] == pytest.approx(table.GetAtomicWeight(z), abs=1e-9)
    assert isotopes[6, 13] == pytest.approx(table.GetMassForIsotope(6, 13), abs=1e-9)
    assert len(isotopes) > 3000


def test_formula_in_hills_order() -> None:
    assert formula(np.array([8, 1, 6, 1, 1, 1, 17])) == "CH4ClO"
    assert formula(np.array([11, 17])) == "ClNa"
