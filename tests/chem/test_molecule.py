"""Structures to arrays: hydrogens, geometry, what can't be used and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem

from heliograph.chem import from_ase, to_graph, to_structure
from heliograph.chem.featurizer import preset
from heliograph.chem.molecule import bonded, featurize
from heliograph.chem.reasons import count, kind
from heliograph.data.record import Geometry, MolBlock
from heliograph.errors import StructureError

FLAT = preset("table10_1")
SOLID = replace(FLAT, hydrogens="explicit", geometry="embed")
GIVEN = replace(SOLID, geometry="given")
WATER = Geometry(np.array([8, 1, 1], dtype=np.uint8), np.array([[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]]))

BAD = {
    "": "empty structure",
    "  ": "empty structure",
    "CC(": "not valid SMILES: syntax error at position 3",
    "C1CC": "not valid SMILES: unclosed ring",
    "c1cccc1": "not valid SMILES: can't kekulize mol",
    "C(C)(C)(C)(C)C": "not valid SMILES: explicit valence for atom # 0 C, 5, is greater than permitted",
    "CC)": "not valid SMILES: extra close parentheses at position 3",
    "hello": "not valid SMILES: looks like a name; give its SMILES",
    "C\0C": "not valid SMILES: NUL character",
    "C\udce9": "not valid SMILES: bytes that are not UTF-8",
    "C" * 10_000: "too many atoms: 10000, limit 5000",
    "C" * 200_000: "too many atoms: 200000 characters, limit 100000",
}


@pytest.mark.parametrize("smiles", BAD, ids=lambda s: repr(s[:16]))
def test_bad_smiles_has_a_short_reason(smiles: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StructureError) as error:
        featurize(smiles, FLAT)
    assert str(error.value) == BAD[smiles]
    assert capfd.readouterr() == ("", "")  # RDKit's own messages stay away from the terminal


def test_reasons_are_counted_by_kind() -> None:
    assert kind("not valid SMILES: unclosed ring, line 3") == "not valid SMILES"
    assert count([*BAD.values(), ""]) == {"not valid SMILES": 8, "empty structure": 2, "too many atoms": 2}


@given(st.text(alphabet="CNOcn()[]=#123@+-/\\.%*HF \0\udc80", max_size=25))
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_molecule_or_a_reason(text: str) -> None:
    try:
        molecule = featurize(text, FLAT)
    except StructureError as error:
        assert kind(str(error))
        return
    n, m = len(molecule.z), len(molecule.bonds)
    assert molecule.x.shape == (n, len(FLAT.atom_codes)) and molecule.e.shape == (m, len(FLAT.bond_codes))
    assert molecule.bonds.shape == (m, 2) and (m == 0 or int(molecule.bonds.max()) < n)
    assert [a.dtype for a in (molecule.z, molecule.x, molecule.bonds, molecule.e)] == [np.uint8, np.uint8, np.uint16, np.uint8]


def test_canonical_smiles_and_scaffold() -> None:
    one, other = featurize("OC(=O)c1ccccc1", FLAT), featurize("c1ccc(cc1)C(O)=O", FLAT)
    assert one.smiles == other.smiles and one.scaffold == other.scaffold == "c1ccccc1"
    assert featurize("CCO", FLAT).scaffold == "" and featurize("C1CC1", FLAT, scaffold=False).scaffold == ""
    assert featurize("C[C@H]1CN1", SOLID).scaffold == featurize("C[C@H]1CN1", FLAT).scaffold


def test_smiles_alone_has_no_geometry_and_says_so() -> None:
    with pytest.raises(StructureError, match="no 3D coordinates: give an SDF or XYZ file, or let conformers be embedded"):
        featurize("CCO", GIVEN)


def test_conformers_are_seeded_and_sensible() -> None:
    one, again = featurize("CCO", SOLID), featurize("CCO", SOLID)
    assert one.pos is not None and again.pos is not None and one.pos.dtype == np.float32
    np.testing.assert_array_equal(one.pos, again.pos)
    assert abs(np.linalg.norm(one.pos[0] - one.pos[1]) - 1.52) < 0.05  # C-C
    other = featurize("CCO", replace(SOLID, seed=1))
    assert other.pos is not None and not np.array_equal(one.pos, other.pos)
    heavy = featurize("CCO", replace(SOLID, hydrogens="implicit"))
    assert heavy.pos is not None
    np.testing.assert_array_equal(heavy.pos, one.pos[:3])


@pytest.mark.parametrize("smiles", ["*C", "C" * 300])
def test_what_can_not_be_embedded_has_a_reason(smiles: str) -> None:
    with pytest.raises(StructureError, match=r"structure could not be embedded in 3D: "):
        featurize(smiles, SOLID)


@pytest.mark.parametrize("smiles", ["[Na+].[Cl-]", "CCO.CCO", "CC(=O)[O-].[NH4+]", "[Na+].[Na+].[O-]S(=O)(=O)[O-]", "C.C.C"])
def test_molecules_and_ions_of_one_structure_do_not_overlap(smiles: str) -> None:
    pos = featurize(smiles, SOLID).pos
    assert pos is not None
    apart = np.linalg.norm(pos[:, None] - pos[None], axis=-1) + 9.0 * np.eye(len(pos))
    assert apart.min() > 0.9 and apart.min(1).max() < 5.0  # angstrom


def test_uff_where_mmff_lacks_a_type() -> None:
    molecule = featurize("[SiH3][GeH3]", SOLID)
    assert molecule.pos is not None and np.isfinite(molecule.pos).all()


def test_geometry_needs_no_bonds_for_elements_alone() -> None:
    molecule = featurize(WATER, preset("elements"))
    assert molecule.smiles == "H2O" and molecule.bonds.shape == (0, 2) and molecule.e.shape == (0, 0)
    assert molecule.pos is not None
    np.testing.assert_allclose(molecule.pos, WATER.pos, atol=1e-6)


def test_bonds_of_a_geometry_are_found() -> None:
    molecule = featurize(WATER, GIVEN)
    assert molecule.smiles == "O" and sorted(map(sorted, molecule.bonds.tolist())) == [[0, 1], [0, 2]]
    assert featurize(WATER, FLAT).z.tolist() == [8]


@pytest.mark.parametrize("smiles", ["N#CCN1C2CC1C2", "C#CCCC12CC(C1)C2", "CC1C2C3C1C2N3C=O"])
def test_bonds_of_small_cages_are_found(smiles: str) -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(mol)
    z = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8)
    found = featurize(Geometry(z, mol.GetConformer().GetPositions()), FLAT).smiles
    assert Chem.MolToSmiles(Chem.MolFromSmiles(found), isomericSmiles=False) == Chem.CanonSmiles(smiles)


def test_no_atom_is_added_to_a_geometry() -> None:
    carbon = Geometry(np.array([6], dtype=np.uint8), np.zeros((1, 3)))
    assert featurize(carbon, GIVEN).z.tolist() == [6]
    with pytest.raises(StructureError, match="bonds could not be found from the geometry: "):
        featurize(Geometry(np.array([6, 1], dtype=np.uint8), np.array([[0.0, 0, 0], [0, 0, 1.1]])), GIVEN)


def test_geometries_of_ase_keep_their_atoms_and_order() -> None:
    build = pytest.importorskip("ase.build")
    for name in ("CH3CH2OH", "C6H6", "CH3NO2", "C5H5N", "CH3CONH2"):
        geometry = from_ase(build.molecule(name))
        molecule = featurize(geometry, GIVEN)
        assert molecule.z.tolist() == geometry.z.tolist()
        assert Chem.MolFromSmiles(molecule.smiles).GetNumAtoms() == int((geometry.z > 1).sum())


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        (Geometry(np.zeros(0, dtype=np.uint8), np.zeros((0, 3))), "no atoms"),
        (Geometry(np.array([1], dtype=np.uint8), np.array([[np.nan, 0, 0]])), "positions are not finite"),
        (Geometry(np.array([1], dtype=np.uint8), np.zeros((2, 3))), "positions do not fit the atoms: 1 atoms, positions of shape (2, 3)"),
        (Geometry(np.array([200], dtype=np.uint8), np.zeros((1, 3))), "unknown element: atomic number 200"),
        (replace(WATER, cell=np.eye(3), pbc=(True, True, True)), "periodic structures are not supported"),
    ],
)
def test_bad_geometries_have_reasons(geometry: Geometry, reason: str) -> None:
    with pytest.raises(StructureError) as error:
        featurize(geometry, preset("elements"))
    assert str(error.value) == reason


def test_an_mdl_block_gives_bonds_and_positions_in_its_order() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("OC"))
    positions = featurize("OC", SOLID).pos
    assert positions is not None
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(positions.astype(np.float64))
    mol.AddConformer(conformer)
    block = to_structure(mol)
    assert isinstance(block, MolBlock)
    molecule = featurize(block, GIVEN)
    assert molecule.z.tolist() == [8, 6, 1, 1, 1, 1] and molecule.smiles == "CO" and molecule.pos is not None
    np.testing.assert_allclose(molecule.pos, positions, atol=1e-5)
    assert featurize(block, FLAT).z.tolist() == [8, 6]
    with pytest.raises(StructureError, match="not a valid MDL block: "):
        featurize(MolBlock("junk\n\n\n  a  b\nM  END\n"), FLAT)


def test_a_block_of_drawing_coordinates_is_no_geometry() -> None:
    mol = Chem.MolFromSmiles("CCO")
    block = MolBlock(Chem.MolToMolBlock(mol))
    with pytest.raises(StructureError, match="no 3D coordinates"):
        featurize(block, GIVEN)
    embedded = featurize(block, SOLID)
    assert embedded.pos is not None and len(embedded.z) == 9


def test_structures_of_python_users() -> None:
    assert to_structure("CCO") == "CCO"
    assert to_structure(Chem.MolFromSmiles("OCC")) == "OCC"  # atoms in the same order
    for nothing in (None, float("nan")):
        with pytest.raises(StructureError, match="empty structure"):
            to_structure(nothing)
    with pytest.raises(StructureError, match="not a structure: int"):
        to_structure(3)


def test_charge_of_a_geometry_is_used() -> None:
    ammonium = Geometry(
        np.array([7, 1, 1, 1, 1], dtype=np.uint8),
        1.03 / 3**0.5 * np.array([[0, 0, 0], [1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1.0]]),
        charge=1,
    )
    assert Chem.MolToSmiles(Chem.RemoveHs(bonded(ammonium))) == "[NH4+]"


def test_a_structure_as_a_graph() -> None:
    graph = to_graph("CCO")
    assert graph.topology.n_node.tolist() == [3] and graph.topology.n_edge.tolist() == [4]
    assert graph.nodes["z"].tolist() == [6, 6, 8] and tuple(graph.edges["edge_attr"].shape) == (4, FLAT.bond_width)
