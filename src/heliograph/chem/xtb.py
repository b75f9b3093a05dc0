"""GFN2-xTB labels for a molecule: energies, orbitals, dipole, charges, bond orders, at a relaxed geometry.

The method: C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019), doi:10.1021/acs.jctc.8b01176, in the
implementation of tblite (extra `[xtb]`), with its defaults: electronic temperature 300 K, no solvent. GFN2-xTB has no
spin polarisation, so a spin multiplicity enters through the occupation of the orbitals alone.

Units: eV, angstrom, eV/angstrom, debye, elementary charges. Sign of the atomization energy: E(molecule) minus the sum of
E(free atom), so it is negative for a bound molecule (as in QM9's `u0_atom`) and zero for atoms far apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from heliograph.data.record import Geometry, MolBlock, Structure
from heliograph.errors import HeliographError, StructureError

HARTREE = 27.211386245988  # eV, CODATA 2018
BOHR = 0.529177210903  # angstrom, CODATA 2018
DEBYE = 2.541746473  # debye in one e bohr
METHOD = "GFN2-xTB"
FORCE_THRESHOLD = 0.002  # eV/angstrom, largest component of the force on any atom at a stationary point
MAX_STEPS = 300
CONTACTS = (3, 11, 19, 37, 55, 12, 20, 38, 56)  # alkali and alkaline earth metals: what lies beside their ions is not bonded to them
BONDED = 0.5  # a Wiberg bond order from here on counts as a bond in the check that none was made or broken
ACCURACY = 0.1  # of tblite's SCC; 1.0 leaves noise of about 1e-3 eV/angstrom in the forces


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What GFN2-xTB says about one structure. Atoms stand in the order of `z`."""

    smiles: str  # canonical, with the stereo of the geometry; "" where only a geometry was given
    z: np.ndarray  # [n] uint8
    pos: np.ndarray  # [n, 3] float64, angstrom
    energy: float  # eV, total
    atomization_energy: float  # eV, E(molecule) - sum E(free atom)
    homo: float  # eV
    lumo: float  # eV
    gap: float  # eV
    dipole: float  # debye
    dipole_vector: np.ndarray  # [3] debye
    charges: np.ndarray  # [n] e
    wiberg: np.ndarray  # [n, n] bond orders
    forces: np.ndarray  # [n, 3] eV/angstrom
    steps: int  # of the optimisation, 0 without one

    @property
    def max_force(self) -> float:
        """Largest absolute component of the forces, eV/angstrom."""
        return float(np.abs(self.forces).max())


def _tblite() -> Any:
    try:
        import tblite.interface as interface
    except ImportError as error:
        raise HeliographError(
            f"labels come from GFN2-xTB, which needs tblite, and that can't be imported ({error}). Run: pip install 'heliograph[xtb]'"
        ) from error
    return interface


class XTB:
    """GFN2-xTB of one molecule; each evaluation starts from the wave function of the one before.

    `z` [n]; `unpaired` is the number of unpaired electrons, None for the lowest that the electron count allows
    (for a single neutral atom: its ground state).
    """

    def __init__(self, z: np.ndarray, charge: int = 0, unpaired: int | None = None) -> None:
        self.z = np.asarray(z, dtype=np.int64)
        self.charge = charge
        self.unpaired = _unpaired(self.z, charge) if unpaired is None else unpaired
        if (int(self.z.sum()) - charge - self.unpaired) % 2:
            raise StructureError(
                f"charge {charge} leaves {int(self.z.sum()) - charge} electrons, which can't have {self.unpaired} unpaired ones"
            )
        self._calculator: Any = None
        self._result: Any = None

    def __call__(self, pos: np.ndarray) -> tuple[float, np.ndarray]:
        """`pos` [n, 3] angstrom -> energy (eV), forces [n, 3] (eV/angstrom). StructureError where the SCC does not converge."""
        interface = _tblite()
        bohr = np.ascontiguousarray(pos, dtype=np.float64) / BOHR
        try:
            if self._calculator is None:
                self._calculator = interface.Calculator(METHOD, self.z, bohr, charge=float(self.charge), uhf=self.unpaired)
                self._calculator.set("verbosity", 0)
                self._calculator.set("accuracy", ACCURACY)
            else:
                self._calculator.update(bohr)
            self._result = self._calculator.singlepoint(self._result)
        except Exception as error:  # tblite has several kinds, and says what is wrong in the text
            self._calculator = self._result = None
            raise StructureError(f"GFN2-xTB failed: {' '.join(str(error).split())}") from error
        energy, gradient = self._result["energy"], self._result["gradient"]
        if not (np.isfinite(energy) and np.isfinite(gradient).all()):
            self._calculator = self._result = None
            raise StructureError("GFN2-xTB failed: the energy or a force is not a number")
        return float(energy) * HARTREE, -np.asarray(gradient) * (HARTREE / BOHR)

    def labels(self, pos: np.ndarray, smiles: str = "", steps: int = 0) -> Labels:
        """Everything at one geometry `pos` [n, 3] angstrom."""
        energy, forces = self(pos)
        result = self._result
        orbitals = np.sort(np.asarray(result["orbital-energies"]).ravel()) * HARTREE
        electrons = round(float(np.sum(result["orbital-occupations"])))
        alpha = (electrons + self.unpaired) // 2  # orbitals that hold at least one electron
        homo = float(orbitals[alpha - 1]) if alpha else float("nan")
        lumo = float(orbitals[alpha]) if alpha < len(orbitals) else float("nan")
        vector = np.asarray(result["dipole"], dtype=np.float64) * DEBYE
        n = len(self.z)
        return Labels(
            smiles=smiles,
            z=self.z.astype(np.uint8),
            pos=np.array(pos, dtype=np.float64),
            energy=energy,
            atomization_energy=energy - sum(free_atom_energy(int(number)) for number in self.z),
            homo=homo,
            lumo=lumo,
            gap=lumo - homo,
            dipole=float(np.linalg.norm(vector)),
            dipole_vector=vector,
            charges=np.array(result["charges"], dtype=np.float64),
            wiberg=np.array(result["bond-orders"], dtype=np.float64).ravel()[: n * n].reshape(n, n),  # an open shell's spin part follows
            forces=forces,
            steps=steps,
        )


def _unpaired(z: np.ndarray, charge: int) -> int:
    if len(z) == 1 and charge == 0:
        from ase.data import ground_state_magnetic_moments

        return round(float(ground_state_magnetic_moments[int(z[0])]))
    return int((int(z.sum()) - charge) % 2)


@cache
def free_atom_energy(number: int) -> float:
    """GFN2-xTB energy (eV) of the neutral atom with atomic number `number` in the multiplicity of its ground state."""
    return XTB(np.array([number]))(np.zeros((1, 3)))[0]


def relax(evaluate: Callable[[np.ndarray], tuple[float, np.ndarray]], pos: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, int]:
    """Quasi-Newton (BFGS) from `pos` [n, 3] to a stationary point, with a model `hessian` [3n, 3n] (eV/angstrom^2) to begin with.

    Steps go downhill along every mode (absolute curvatures), are cut at 0.3 angstrom or less, and taken back where the
    energy rises. Returns positions and steps; StructureError where MAX_STEPS do not suffice.
    """
    pos, trust = np.array(pos, dtype=np.float64), 0.3
    energy, forces = evaluate(pos)
    for step in range(MAX_STEPS):
        if np.abs(forces).max() < FORCE_THRESHOLD:
            return pos, step
        values, modes = np.linalg.eigh(hessian)
        move = modes @ ((modes.T @ forces.ravel()) / np.maximum(np.abs(values), 0.5))
        longest = np.linalg.norm(move.reshape(-1, 3), axis=1).max()
        move *= min(1.0, trust / longest)
        new_pos = pos + move.reshape(-1, 3)
        new_energy, new_forces = evaluate(new_pos)
        change, curved = (forces - new_forces).ravel(), hessian @ move
        if move @ change > 1e-3 * (move @ move):  # else the update would make a curvature vanish or turn
            hessian = hessian + np.outer(change, change) / (move @ change) - np.outer(curved, curved) / (move @ curved)
        if new_energy > energy + 1e-3:
            trust = max(0.02, 0.4 * min(trust, longest))
            evaluate(pos)
            continue
        trust = min(0.3, 1.5 * trust)
        pos, energy, forces = new_pos, new_energy, new_forces
    raise StructureError(f"no stationary point in {MAX_STEPS} steps: the largest force is still {np.abs(forces).max():.3g} eV/angstrom")


def model_hessian(z: np.ndarray, pos: np.ndarray) -> np.ndarray:
    """[3n, 3n] eV/angstrom^2: a spring between every two atoms, as stiff as a bond up to the sum of the covalent radii and
    exponentially softer beyond. Only the way to the stationary point depends on it, never the point.
    """
    from ase.data import covalent_radii

    n, radii = len(z), covalent_radii[np.asarray(z, dtype=int)]
    away = pos[:, None] - pos[None]  # [n, n, 3]
    length = np.linalg.norm(away, axis=2) + np.eye(n)
    unit = away / length[:, :, None]
    stiffness = 35.0 * np.exp(-4.0 * np.maximum(length / (radii[:, None] + radii[None]) - 1.0, 0.0)) * (1 - np.eye(n))
    springs = stiffness[:, :, None, None] * (unit[..., :, None] * unit[..., None, :] + 0.02 * np.eye(3))  # [n, n, 3, 3]
    hessian = -springs.transpose(0, 2, 1, 3)  # [n, 3, n, 3]
    hessian[np.arange(n), :, np.arange(n), :] = springs.sum(axis=1)
    return hessian.reshape(3 * n, 3 * n)


def label(structure: Structure, *, optimise: bool = True, seed: int = 0, unpaired: int | None = None, seconds: float = math.inf) -> Labels:
    """GFN2-xTB labels of a SMILES, an MDL block, or atoms in space.

    A SMILES (or a flat block) is embedded first: the lowest of five ETKDG conformers after MMFF94, drawn with `seed`.
    With `optimise`, atoms move until no force component exceeds FORCE_THRESHOLD; where the bonds are known, it is checked that
    none was made or broken. Atoms of a molecule with bonds are in the order of `AddHs(MolFromSmiles(labels.smiles))`.
    StructureError says why a structure can't be labelled, also where it takes longer than `seconds` (asked between two steps);
    HeliographError where tblite is missing.
    """
    _tblite()
    end = time.monotonic() + seconds
    if isinstance(structure, Geometry):
        if any(structure.pbc):
            raise StructureError("GFN2-xTB labels are for molecules; this structure is periodic")
        z, pos, charge = np.asarray(structure.z), np.asarray(structure.pos, dtype=np.float64), structure.charge
        bonds: set[tuple[int, int]] | None = None
        smiles = ""
    else:
        smiles, z, pos, charge, radicals, bonds = _molecule(structure, seed)
        unpaired = radicals if unpaired is None else unpaired
    _check(z, pos)
    xtb = XTB(z, charge, unpaired)

    def evaluate(pos: np.ndarray) -> tuple[float, np.ndarray]:
        if time.monotonic() > end:
            raise StructureError(f"no labels within {seconds:g} s")
        return xtb(pos)

    labels, steps = None, 0
    while labels is None or (optimise and labels.max_force > FORCE_THRESHOLD):  # the SCC's noise may lift a force that just passed
        if optimise and len(z) > 1:
            pos, more = relax(evaluate, pos, model_hessian(z, pos))
            steps += more
        if steps > MAX_STEPS or (labels is not None and len(z) == 1):
            raise StructureError(f"no stationary point in {MAX_STEPS} steps")
        labels = xtb.labels(pos, smiles, steps)
    if optimise and bonds is not None:
        found = {(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(labels.wiberg > BONDED, 1)), strict=True)}
        found -= {(i, j) for i, j in found - bonds if z[i] in CONTACTS or z[j] in CONTACTS}  # ions side by side are a salt, as before
        if found != bonds:
            raise StructureError(f"a bond changed in the optimisation: {len(bonds - found)} broken, {len(found - bonds)} made")
        if (now := smiles_at(smiles, labels.pos)) != smiles:
            raise StructureError(f"a stereocentre changed in the optimisation: {smiles} became {now}")
    return labels


def smiles_at(smiles: str, pos: np.ndarray) -> str:
    """`smiles` (as in Labels) with the stereo that it has at the positions [n, 3] of its atoms, hydrogens counted."""
    from rdkit import Chem

    if not any(mark in smiles for mark in "@/\\"):
        return smiles
    molecule: Any = Chem.AddHs(Chem.MolFromSmiles(smiles))
    conformer = Chem.Conformer(molecule.GetNumAtoms())
    conformer.Set3D(True)
    conformer.SetPositions(np.ascontiguousarray(pos, dtype=np.float64))
    molecule.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(molecule)
    return str(Chem.MolToSmiles(Chem.RemoveHs(molecule)))


def _check(z: np.ndarray, pos: np.ndarray) -> None:
    if len(z) == 0:
        raise StructureError("no atoms")
    if z.max() > 86 or z.min() < 1:
        raise StructureError(f"GFN2-xTB knows the elements 1 to 86, here is {int(z.max() if z.max() > 86 else z.min())}")
    if pos.shape != (len(z), 3) or not np.isfinite(pos).all():
        raise StructureError(f"positions must be {len(z)} x 3 finite numbers")
    if len(z) > 1:
        length = np.linalg.norm(pos[:, None] - pos[None], axis=2) + 10 * np.eye(len(z))
        if length.min() < 0.3:
            raise StructureError(f"two atoms are {length.min():.2g} angstrom apart")


def _molecule(structure: str | MolBlock, seed: int) -> tuple[str, np.ndarray, np.ndarray, int, int, set[tuple[int, int]]]:
    """SMILES of the geometry, z, pos, charge, unpaired electrons and bonds, atoms in the order of that SMILES."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    molecule: Any = Chem.MolFromSmiles(structure) if isinstance(structure, str) else Chem.MolFromMolBlock(structure.text, removeHs=False)
    if molecule is None:
        raise StructureError("RDKit can't read the molecule")
    if molecule.GetNumAtoms() == 0:
        raise StructureError("no atoms")
    flat = molecule.GetNumConformers() == 0 or not molecule.GetConformer().Is3D()
    molecule = Chem.AddHs(molecule, addCoords=not flat)
    if flat:
        _embed(molecule, seed)
    pos = molecule.GetConformer().GetPositions()
    for atom in molecule.GetAtoms():
        atom.SetIntProp("given", atom.GetIdx())
    Chem.AssignStereochemistryFrom3D(molecule)
    bare = Chem.RemoveHs(molecule)
    smiles = Chem.MolToSmiles(bare)
    order = [bare.GetAtomWithIdx(i).GetIntProp("given") for i in bare.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]]
    kept = set(order)
    for parent in list(order):
        hydrogens = (a.GetIdx() for a in molecule.GetAtomWithIdx(parent).GetNeighbors())
        order += [h for h in hydrogens if h not in kept]
    ordered = Chem.AddHs(Chem.MolFromSmiles(smiles))
    z = np.array([a.GetAtomicNum() for a in ordered.GetAtoms()], dtype=np.uint8)
    if [molecule.GetAtomWithIdx(i).GetAtomicNum() for i in order] != z.tolist():
        raise StructureError(f"the atoms can't be put in the order of the SMILES {smiles}")
    bonds = {tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))) for b in ordered.GetBonds()}
    radicals = sum(a.GetNumRadicalElectrons() for a in molecule.GetAtoms())
    return smiles, z, pos[order], Chem.GetFormalCharge(molecule), radicals, bonds  # type: ignore[return-value]


def _embed(molecule: Any, seed: int) -> None:
    """Give an RDKit molecule with hydrogens one conformer: the lowest of five after MMFF94 (UFF where MMFF lacks a type)."""
    energies: dict[int, float] = {}
    for small_rings, anywhere in ((True, False), (True, True), (False, False), (False, True)):
        try:
            energies = _conformers(molecule, seed, small_rings, anywhere)
        except RuntimeError:  # RDKit's optimiser ends with an invariant violation for some small rings
            continue
        if energies:
            break
    else:
        raise StructureError("no 3D conformer found (ETKDG)")
    best = min(energies, key=lambda i: energies[i])
    for other in energies:
        if other != best:
            molecule.RemoveConformer(other)


def _conformers(molecule: Any, seed: int, small_rings: bool, anywhere: bool) -> dict[int, float]:
    """Conformer id -> force field energy of up to five relaxed conformers, added to the molecule in place of what it had."""
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    from heliograph.chem.conformer import line_up

    options: Any = rdDistGeom.ETKDGv3()
    options.randomSeed = seed
    options.useSmallRingTorsions = small_rings
    options.useRandomCoords = anywhere
    ids = list(rdDistGeom.EmbedMultipleConfs(molecule, 5, options))
    if not ids or molecule.GetNumAtoms() == 1:
        return dict.fromkeys(ids, 0.0)
    several = [line_up(molecule, i) for i in ids]  # of a salt or a hydrate, all lie on top of each other
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
        found = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(molecule, maxIters=1000, ignoreInterfragInteractions=not several[0])
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule):
        found = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(molecule, maxIters=1000, ignoreInterfragInteractions=not several[0])
    else:
        found = [(0, 0.0)] * len(ids)
    return {i: energy for i, (_, energy) in zip(ids, found, strict=True)}
