"""GFN2-xTB labels against tblite's own ASE calculator, published numbers, finite differences and symmetry."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from heliograph.data.record import Geometry, MolBlock
from heliograph.errors import HeliographError, StructureError

pytest.importorskip("tblite.interface", reason="tblite is not installed (pip install 'heliograph[xtb]'): GFN2-xTB labels are not tested")

from heliograph.chem import xtb  # after the skip

WATER = Geometry(np.array([8, 1, 1], dtype=np.uint8), np.array([[0.0, 0.0, 0.1], [0.0, 0.77, -0.49], [0.0, -0.77, -0.49]]))
TETRAHEDRON = 1.09 / np.sqrt(3) * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)
METHANE = Geometry(np.array([6, 1, 1, 1, 1], dtype=np.uint8), TETRAHEDRON)


@pytest.mark.parametrize("geometry", [WATER, METHANE], ids=["water", "methane"])
def test_energy_forces_and_dipole_are_those_of_tblites_ase_calculator(geometry: Geometry) -> None:
    ase, calculator = pytest.importorskip("ase"), pytest.importorskip("tblite.ase")
    atoms = ase.Atoms(numbers=geometry.z, positions=geometry.pos)
    atoms.calc = calculator.TBLite(method="GFN2-xTB", verbosity=0, accuracy=0.01)
    labels = xtb.label(geometry, optimise=False)
    units = ase.units.Hartree / xtb.HARTREE  # ASE's constants are of CODATA 2014
    assert labels.energy * units == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
    np.testing.assert_allclose(labels.forces, atoms.get_forces(), atol=1e-4)
    np.testing.assert_allclose(labels.dipole_vector * ase.units.Debye, atoms.get_dipole_moment(), atol=1e-4)
    np.testing.assert_allclose(labels.charges, atoms.get_charges(), atol=1e-4)


def test_published_energies() -> None:
    """Total energies of xtb 6 (GFN2-xTB, relaxed): water -5.0705, methane -4.1752 Hartree."""
    assert xtb.label("O").energy / xtb.HARTREE == pytest.approx(-5.0705, abs=1e-4)
    assert xtb.label("C").energy / xtb.HARTREE == pytest.approx(-4.1752, abs=1e-4)


def test_forces_are_minus_the_slope_of_the_energy() -> None:
    labels = xtb.label("OC=O", optimise=False)
    random = np.random.default_rng(0)
    pos = labels.pos + 0.05 * random.standard_normal(labels.pos.shape)
    evaluate, h = xtb.XTB(labels.z), 1e-3
    _, forces = evaluate(pos)
    for direction in random.standard_normal((4, *pos.shape)):
        slope = (evaluate(pos + h * direction)[0] - evaluate(pos - h * direction)[0]) / (2 * h)
        assert slope == pytest.approx(-(forces * direction).sum(), abs=2e-3)


def test_methane_is_as_symmetric_as_it_is() -> None:
    labels = xtb.label(METHANE, optimise=False)
    assert np.abs(labels.forces[0]).max() < 1e-5  # its carbon feels no force
    np.testing.assert_allclose(np.linalg.norm(labels.forces[1:], axis=1), np.linalg.norm(labels.forces[1]), rtol=1e-4)
    assert labels.dipole < 1e-4 and labels.charges.sum() == pytest.approx(0, abs=1e-8)
    np.testing.assert_allclose(labels.wiberg[0, 1:], labels.wiberg[0, 1], rtol=1e-5)


def test_isolated_atoms_add_up() -> None:
    for z in (1, 6, 7, 8, 9, 16, 17):
        atom = xtb.label(Geometry(np.array([z], dtype=np.uint8), np.zeros((1, 3))))
        assert atom.atomization_energy == pytest.approx(0, abs=1e-9)
    far = Geometry(np.array([1, 1, 8], dtype=np.uint8), np.array([[0, 0, 0], [60.0, 0, 0], [0, 60.0, 0]]))
    labels = xtb.label(far, optimise=False, unpaired=4)  # both hydrogens and oxygen's two
    assert labels.atomization_energy == pytest.approx(0, abs=1e-4)


def test_a_molecule_is_relaxed_and_in_the_order_of_its_smiles() -> None:
    from rdkit import Chem

    labels = xtb.label("C(O)(C)[C@H](F)N", seed=3)
    assert labels.max_force < xtb.FORCE_THRESHOLD and labels.steps > 3
    molecule = Chem.AddHs(Chem.MolFromSmiles(labels.smiles))
    assert [atom.GetAtomicNum() for atom in molecule.GetAtoms()] == labels.z.tolist()
    assert all(labels.wiberg[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] > xtb.BONDED for b in molecule.GetBonds())
    assert labels.gap == pytest.approx(labels.lumo - labels.homo) and labels.gap > 0 > labels.atomization_energy
    again = xtb.label("C(O)(C)[C@H](F)N", seed=3)
    assert again.energy == labels.energy and (again.pos == labels.pos).all()


def test_charge_and_spin() -> None:
    assert xtb.label("[NH4+]").charges.sum() == pytest.approx(1, abs=1e-6)
    assert xtb.label("CC(=O)[O-]").charges.sum() == pytest.approx(-1, abs=1e-6)
    radical = xtb.label("[CH3]")
    assert radical.z.tolist() == [6, 1, 1, 1] and radical.homo < radical.lumo
    np.testing.assert_allclose(radical.wiberg[0, 1:], 0.995, atol=0.005)
    oxygen = Geometry(np.array([8, 8], dtype=np.uint8), np.array([[0, 0, 0], [0, 0, 1.21]]))
    assert xtb.label(oxygen, unpaired=2).energy != pytest.approx(xtb.label(oxygen).energy, abs=1e-3)
    with pytest.raises(StructureError, match="can't have 1 unpaired"):
        xtb.label(WATER, unpaired=1)


def test_a_block_keeps_its_geometry() -> None:
    from rdkit import Chem

    start = xtb.label("CO")
    molecule = Chem.AddHs(Chem.MolFromSmiles(start.smiles))
    conformer = Chem.Conformer(len(start.z))
    for k, xyz in enumerate(start.pos.tolist()):
        conformer.SetAtomPosition(k, xyz)
    conformer.Set3D(True)
    molecule.AddConformer(conformer)
    labels = xtb.label(MolBlock(Chem.MolToV3KMolBlock(molecule)), optimise=False)
    assert labels.energy == pytest.approx(start.energy, abs=1e-4) and labels.steps == 0


@pytest.mark.parametrize(
    ("structure", "reason"),
    [
        ("C(", "can't read"),
        ("", "no atoms"),
        (Geometry(np.zeros(0, dtype=np.uint8), np.zeros((0, 3))), "no atoms"),
        (Geometry(np.array([1, 1], dtype=np.uint8), np.zeros((2, 3))), "apart"),
        (Geometry(np.array([1], dtype=np.uint8), np.full((1, 3), np.nan)), "finite"),
        (Geometry(np.array([94], dtype=np.uint8), np.zeros((1, 3))), "elements 1 to 86"),
        (Geometry(np.array([6], dtype=np.uint8), np.zeros((1, 3)), cell=np.eye(3), pbc=(True, True, True)), "periodic"),
        ("*C", "dummy|can't|element"),
    ],
)
def test_reasons(structure: str | Geometry, reason: str) -> None:
    with pytest.raises(StructureError, match=reason):
        xtb.label(structure)


def test_a_bond_that_changes_is_noticed() -> None:
    from rdkit import Chem

    acid = xtb.label("C#N")  # C, N, H: with C and N in each other's place, the hydrogen sits on nitrogen
    molecule = Chem.AddHs(Chem.MolFromSmiles("C#N"))
    conformer = Chem.Conformer(3)
    for k, xyz in enumerate(acid.pos[[1, 0, 2]].tolist()):
        conformer.SetAtomPosition(k, xyz)
    conformer.Set3D(True)
    molecule.AddConformer(conformer)
    with pytest.raises(StructureError, match="a bond changed in the optimisation: 1 broken, 1 made"):
        xtb.label(MolBlock(Chem.MolToMolBlock(molecule)))


@pytest.mark.parametrize("smiles", ["O.CCO", "O.O.OCC=O", "CC(=O)[O-].[Na+]", "[Na+].[Cl-]", "C[N+](C)(C)C.[Br-]", "Cl.CN"])
def test_salts_and_hydrates(smiles: str) -> None:
    """Their parts, embedded each around the origin, lie on top of each other."""
    found = xtb.label(smiles)
    assert found.max_force < xtb.FORCE_THRESHOLD and found.smiles.count(".") == smiles.count(".")
    apart = np.linalg.norm(found.pos[:, None] - found.pos[None], axis=2) + 10 * np.eye(len(found.z))
    assert apart.min() > 0.7


def test_a_salt_is_bound_and_a_hydrate_a_little() -> None:
    """Below its parts far apart: a pair of ions by electronvolts, ethanol and water by a hydrogen bond."""
    ions = xtb.label("[Na+]").energy + xtb.label("[Cl-]").energy
    assert xtb.label("[Na+].[Cl-]").energy < ions - 3.0
    apart = xtb.label("O").energy + xtb.label("CCO").energy
    assert apart - 0.6 < xtb.label("O.CCO").energy < apart - 0.05


def test_a_proton_that_moves_is_still_noticed() -> None:
    with pytest.raises(StructureError, match="a bond changed in the optimisation: 1 broken, 1 made"):
        xtb.label("C[NH3+].[Cl-]")


def test_a_limit_of_time() -> None:
    with pytest.raises(StructureError, match=r"no labels within 0\.01 s"):
        xtb.label("CCCCCCCCCC", seconds=0.01)


def test_rings_that_one_way_of_embedding_gives_up_on() -> None:
    assert xtb.label("C1CCCC1", seed=5).max_force < xtb.FORCE_THRESHOLD
    assert xtb.label("OC1CCCC1O").max_force < xtb.FORCE_THRESHOLD


def test_without_tblite_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    with pytest.raises(HeliographError, match=r"pip install 'heliograph\[xtb\]'"):
        xtb.label("C")
