"""`smallmol`: small organic molecules of H C N O F S Cl at GFN2-xTB geometries, with labels. Made by `scripts/make_smallmol.py`.

    from heliograph.data.sets import smallmol
    molecules = smallmol.load()
    molecules.geometry(0), molecules.smiles[0], molecules.energy[0], molecules.charges_of(0)

Every molecule is relaxed to a stationary point of GFN2-xTB (one conformer; see `load().provenance` for method, thresholds, versions
and what was dropped). A few hundred molecules also have displaced geometries with energies and forces: `frames()`.
Atom i of a molecule is atom i of `AddHs(MolFromSmiles(smiles))`. Positions, forces, charges and bond orders are rounded to float32
(charges and bond orders to four decimals); a dipole is the norm of `dipole_vector`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from heliograph.data.record import Geometry, MolBlock, Record, Structure
from heliograph.errors import DataError, UsageError, suggest

PATH = Path(__file__).with_name("smallmol.npz")
KIND = "sdf"  # records hold bonds and positions together, as the entries of an SDF do
COLUMNS = ("smiles", "atomization_energy", "energy", "homo", "lumo", "gap", "dipole")
UNITS: Mapping[str, str] = {
    "atomization_energy": "eV",
    "energy": "eV",
    "homo": "eV",
    "lumo": "eV",
    "gap": "eV",
    "dipole": "D",
}
_SYMBOLS = {1: "H", 6: "C", 7: "N", 8: "O", 9: "F", 16: "S", 17: "Cl"}


class Frame(NamedTuple):
    """One displaced geometry: row of the molecule, z [n] uint8, pos and forces [n, 3], energy; angstrom, eV, eV/angstrom.

    `amplitude` is the standard deviation of the Gaussian displacement of each coordinate from the relaxed geometry, angstrom.
    """

    molecule: int
    amplitude: float
    z: np.ndarray
    pos: np.ndarray
    energy: float
    forces: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class SmallMol:
    """M molecules, N atoms and B bonds in all, F displaced geometries with NF atoms in all. Energies eV, lengths angstrom."""

    smiles: np.ndarray  # [M] str, canonical, with stereo as in the geometry
    z: np.ndarray  # [N] uint8
    formal_charge: np.ndarray  # [N] int8
    pos: np.ndarray  # [N, 3] float32
    charges: np.ndarray  # [N] float32, partial charges, e
    atom_offsets: np.ndarray  # [M + 1] int64, atoms of molecule m are atom_offsets[m] : atom_offsets[m + 1]
    bonds: np.ndarray  # [B, 2] uint8, atoms counted within their molecule
    bond_type: np.ndarray  # [B] uint8: 1, 2, 3 (Kekule)
    bond_order: np.ndarray  # [B] float32, Wiberg
    bond_offsets: np.ndarray  # [M + 1] int64
    atomization_energy: np.ndarray  # [M] float64, E(molecule) - sum E(free atom): negative
    energy: np.ndarray  # [M] float64
    homo: np.ndarray  # [M] float64
    lumo: np.ndarray  # [M] float64
    gap: np.ndarray  # [M] float64
    dipole: np.ndarray  # [M] float64, debye
    dipole_vector: np.ndarray  # [M, 3] float32, debye
    max_force: np.ndarray  # [M] float32, largest force component that was left by the optimisation, eV/angstrom
    frame_molecule: np.ndarray  # [F] int32
    frame_amplitude: np.ndarray  # [F] float32
    frame_energy: np.ndarray  # [F] float64
    frame_pos: np.ndarray  # [NF, 3] float32
    frame_forces: np.ndarray  # [NF, 3] float32, eV/angstrom
    frame_offsets: np.ndarray  # [F + 1] int64
    atom_energy: Mapping[int, float]  # energy of the free atom by atomic number, eV
    provenance: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.smiles)

    def atoms(self, row: int) -> slice:
        """Where the atoms of molecule `row` are in `z`, `pos`, `charges`, `formal_charge`."""
        return slice(int(self.atom_offsets[row]), int(self.atom_offsets[row + 1]))

    def bonds_at(self, row: int) -> slice:
        """Where the bonds of molecule `row` are in `bonds`, `bond_type`, `bond_order`."""
        return slice(int(self.bond_offsets[row]), int(self.bond_offsets[row + 1]))

    def geometry(self, row: int) -> Geometry:
        """Atoms in space of molecule `row`."""
        at = self.atoms(row)
        return Geometry(self.z[at], self.pos[at].astype(np.float64), int(self.formal_charge[at].sum()))

    def charges_of(self, row: int) -> np.ndarray:
        """[n] partial charges, e."""
        return self.charges[self.atoms(row)]

    def bonds_of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """[m, 2] atoms and [m] Wiberg bond orders of the bonds."""
        at = self.bonds_at(row)
        return self.bonds[at], self.bond_order[at]

    def block(self, row: int) -> MolBlock:
        """Molecule `row` with bonds and positions as an MDL V3000 block (six decimals)."""
        at, of = self.atoms(row), self.bonds_at(row)
        z, pos, charge = self.z[at].tolist(), self.pos[at].tolist(), self.formal_charge[at].tolist()
        lines = [str(self.smiles[row]), "  heliograph        3D", "", "  0  0  0     0  0            999 V3000", "M  V30 BEGIN CTAB"]
        lines += [f"M  V30 COUNTS {len(z)} {of.stop - of.start} 0 0 0", "M  V30 BEGIN ATOM"]
        for k, (number, xyz, formal) in enumerate(zip(z, pos, charge, strict=True), 1):
            tail = f" CHG={formal}" if formal else ""
            lines.append(f"M  V30 {k} {_SYMBOLS[number]} {xyz[0]:.6f} {xyz[1]:.6f} {xyz[2]:.6f} 0{tail}")
        lines += ["M  V30 END ATOM", "M  V30 BEGIN BOND"]
        for k, ((i, j), order) in enumerate(zip(self.bonds[of].tolist(), self.bond_type[of].tolist(), strict=True), 1):
            lines.append(f"M  V30 {k} {order} {i + 1} {j + 1}")
        lines += ["M  V30 END BOND", "M  V30 END CTAB", "M  END", ""]
        return MolBlock("\n".join(lines))

    def frames(self) -> Iterator[Frame]:
        """The displaced geometries, molecule by molecule."""
        for k, row in enumerate(self.frame_molecule.tolist()):
            at = slice(int(self.frame_offsets[k]), int(self.frame_offsets[k + 1]))
            yield Frame(
                molecule=row,
                amplitude=float(self.frame_amplitude[k]),
                z=self.z[self.atoms(row)],
                pos=self.frame_pos[at].astype(np.float64),
                energy=float(self.frame_energy[k]),
                forces=self.frame_forces[at].astype(np.float64),
            )


@lru_cache(maxsize=1)
def load() -> SmallMol:
    """The set in memory (about 10 MB; read-only arrays). Raises DataError where the shipped file is damaged or not there."""
    try:
        with np.load(PATH, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"the shipped data set {PATH} can't be read: {error}. Install the package again.") from error
    provenance = json.loads(str(arrays.pop("provenance")))
    numbers, energies = arrays.pop("atom_energy_z"), arrays.pop("atom_energy")
    arrays["smiles"] = arrays["smiles"].astype(str)
    arrays["atom_offsets"] = _offsets(arrays.pop("n_atoms"))
    arrays["bond_offsets"] = _offsets(arrays.pop("n_bonds"))
    arrays["frame_offsets"] = _offsets(np.diff(arrays["atom_offsets"])[arrays["frame_molecule"]])
    for array in arrays.values():
        array.flags.writeable = False
    atom_energy = dict(zip(numbers.tolist(), energies.tolist(), strict=True))
    return SmallMol(**arrays, atom_energy=atom_energy, provenance=provenance)


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def records(targets: Sequence[str] = COLUMNS[1:], structure: Literal["block", "geometry", "smiles"] = "block") -> Iterator[Record]:
    """One record a molecule, lazily. `meta` holds all COLUMNS as text; `targets` those asked for as numbers.

    The structure is a MDL block (bonds and positions: fits models of either kind), the bare geometry, or the SMILES.
    UsageError for a target that is not there.
    """
    for name in targets:
        if name not in UNITS:
            raise UsageError(f"smallmol has no target {name!r}; {suggest(name, UNITS)}")
    molecules = load()
    values = {name: getattr(molecules, name).tolist() for name in UNITS}
    for row, smiles in enumerate(molecules.smiles.tolist()):
        what: Structure = smiles
        if structure == "block":
            what = molecules.block(row)
        elif structure == "geometry":
            what = molecules.geometry(row)
        meta = {"smiles": smiles} | {name: repr(values[name][row]) for name in UNITS}
        yield Record(id=str(row), structure=what, targets={name: values[name][row] for name in targets}, meta=meta)
