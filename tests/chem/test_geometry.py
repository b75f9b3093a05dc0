"""Coordinates that are no geometry are a row's reason, from every format and from ASE."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from heliograph.chem import featurize, to_structure
from heliograph.chem.featurizer import preset
from heliograph.chem.geometry import check_places
from heliograph.chem.pool import featurize_table
from heliograph.data.formats import read
from heliograph.data.record import Geometry, MolBlock
from heliograph.errors import StructureError

GIVEN = replace(preset("table10_1"), hydrogens="explicit", geometry="given")
EMBED = replace(GIVEN, geometry="embed")
ATOMS = preset("elements")
CASES = Path(__file__).parents[1] / "data" / "cases"


def solid(smiles: str, seed: int = 1, hydrogens: bool = True) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=seed)
    return mol if hydrogens else Chem.RemoveHs(mol)


@pytest.mark.parametrize("smiles", ["CCO", "c1ccccc1O", "CC(=O)N", "NCCN", "OC1CCCC1", "C1COCCN1", "CC#N", "Cn1cccc1"])
def test_a_bare_geometry_without_its_hydrogens(smiles: str, tmp_path: Path) -> None:
    """Atoms alone don't say how many hydrogens there are: distances do."""
    mol = solid(smiles)
    z = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], np.uint8)
    pos = np.asarray(mol.GetConformer().GetPositions())
    heavy = Geometry(z[z > 1], pos[z > 1])
    for featurizer in (ATOMS, GIVEN, preset("chemprop_cip")):
        featurize(Geometry(z, pos), featurizer)
        with pytest.raises(StructureError, match="no geometry: there are no hydrogens, and"):
            featurize(heavy, featurizer)
    ase = pytest.importorskip("ase")
    with pytest.raises(StructureError, match=r"carbons lack some \(the first is atom 1\)" if smiles[0] == "C" else "carbons lack some"):
        featurize(to_structure(ase.Atoms(numbers=heavy.z, positions=heavy.pos)), ATOMS)
    lines = [f"{k} {' '.join(map(str, p))}" for k, p in zip(heavy.z, heavy.pos, strict=True)]
    (tmp_path / "a.xyz").write_text("\n".join([str(len(lines)), "", *lines, ""]))
    assert [why[:30] for _, _, why in featurize_table(read(tmp_path / "a.xyz"), ATOMS, workers=0)] == ["no geometry: there are no hydr"]


WITHOUT = """O=C=O C(Cl)(Cl)(Cl)Cl FC(F)=C(F)F N#CC#N S=C=S c1(F)c(F)c(F)c(F)c(F)c1F O=C=C=C=O ClC#CCl N#CC(C#N)=C(C#N)C#N
[C-]#[O+] C(=O)([O-])C(=O)[O-] O=C1C(=O)C(=O)C1=O FC(F)(F)C(F)(F)F"""


@pytest.mark.parametrize("smiles", WITHOUT.split())
def test_molecules_that_have_no_hydrogens(smiles: str) -> None:
    mol = solid(smiles)
    z = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], np.uint8)
    featurize(Geometry(z, np.asarray(mol.GetConformer().GetPositions()), Chem.GetFormalCharge(mol)), ATOMS)


def drawn(smiles: str, hydrogens: bool) -> MolBlock:
    """A flat drawing that says it is three-dimensional."""
    mol = Chem.MolFromSmiles(smiles)
    mol = Chem.AddHs(mol) if hydrogens else mol
    AllChem.Compute2DCoords(mol)
    mol.GetConformer().Set3D(True)
    return MolBlock(Chem.MolToMolBlock(mol))


@pytest.mark.parametrize("featurizer", [ATOMS, GIVEN, preset("table10_1"), preset("chemprop_cip")], ids=["atoms", "given", "flat", "cip"])
def test_atoms_in_one_place(featurizer: object) -> None:
    reasons = [why for _, _, why in featurize_table(read(CASES / "zeros.xyz"), featurizer, workers=0)]  # type: ignore[arg-type]
    assert reasons and all(why.startswith("no geometry: all ") and why.endswith("atoms are in one place") for why in reasons)


def test_two_atoms_on_one_another() -> None:
    z, pos = np.array([8, 1, 1], np.uint8), np.array([[0, 0, 0], [0.96, 0, 0], [0.96, 0, 0.01]])
    for structure in (Geometry(z, pos),):
        with pytest.raises(StructureError, match=r"no geometry: atoms 2 and 3 are 0.01 angstrom apart"):
            featurize(structure, ATOMS)
    ase = pytest.importorskip("ase")
    with pytest.raises(StructureError, match="atoms 2 and 3"):
        featurize(to_structure(ase.Atoms(numbers=z, positions=pos)), ATOMS)
    with pytest.raises(StructureError, match="positions are not finite"):
        featurize(Geometry(z, pos * np.nan), ATOMS)
    featurize(Geometry(np.array([1, 1], np.uint8), np.array([[0, 0, 0], [0, 0, 0.74]])), ATOMS)
    featurize(Geometry(np.array([6], np.uint8), np.zeros((1, 3))), ATOMS)


def test_images_of_a_cell_count() -> None:
    cell = np.eye(3) * 5.0
    with pytest.raises(StructureError, match=r"atoms 1 and 2 are 0\.1 angstrom apart"):
        check_places(np.array([[0.05, 0, 0], [4.95, 0, 0]]), cell, (True, True, True))
    check_places(np.array([[0.05, 0, 0], [4.95, 0, 0]]), cell, (False, True, True))
    big = np.random.default_rng(0).permutation(np.stack(np.meshgrid(*[np.arange(11.0)] * 3), -1).reshape(-1, 3))
    check_places(big)
    big[1200] = big[3] + 0.1
    with pytest.raises(StructureError, match="atoms 4 and 1201 are"):
        check_places(big)


@pytest.mark.parametrize("smiles", ["CCCO", "CC(C)C", "C1CCCCC1", "CC(=O)NCC"])
@pytest.mark.parametrize("hydrogens", [True, False])
def test_flat_drawings_tagged_3d(smiles: str, hydrogens: bool) -> None:
    block = drawn(smiles, hydrogens)
    with pytest.raises(StructureError, match="no geometry: a flat drawing that is tagged 3D"):
        featurize(block, GIVEN)
    made = featurize(block, EMBED)
    assert made.pos is not None and np.ptp(made.pos[:, 2]) > 0.3
    assert featurize(block, preset("table10_1")).smiles == Chem.CanonSmiles(smiles)


@pytest.mark.parametrize("smiles", ["c1ccccc1", "O=C=O", "C=C", "O", "N#N", "C#C", "[H][H]", "OC=O"])
def test_molecules_that_are_flat_by_nature(smiles: str) -> None:
    mol = solid(smiles)
    place = mol.GetConformer().GetPositions()
    place[:, 2] = 0 if np.ptp(place[:, 2]) < 0.2 else place[:, 2]
    mol.GetConformer().SetPositions(place)
    assert featurize(MolBlock(Chem.MolToMolBlock(mol)), GIVEN).pos is not None


def test_hydrogens_without_places() -> None:
    block = MolBlock(Chem.MolToMolBlock(solid("CCO", hydrogens=False)))
    with pytest.raises(StructureError, match="no geometry: 6 hydrogens have no coordinates; add them, or let conformers be embedded"):
        featurize(block, GIVEN)
    made = featurize(block, EMBED)
    assert made.pos is not None and len(made.z) == 9
    assert featurize(MolBlock(Chem.MolToMolBlock(solid("CCO"))), GIVEN).pos is not None
    assert featurize(block, preset("table10_1")).smiles == "CCO"
