"""Results of make_smallmol.py to the one file that ships: plain arrays, compressed, no pickle, provenance inside."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem

from heliograph.chem import xtb
from heliograph.files import atomic

SHIPPED = Path(__file__).parents[1] / "src" / "heliograph" / "data" / "sets" / "smallmol.npz"
UNITS = {
    "energy, atomization_energy, homo, lumo, gap, atom_energy, frame_energy": "eV",
    "pos, frame_pos, frame_amplitude": "angstrom",
    "frame_forces, max_force": "eV/angstrom",
    "dipole, dipole_vector": "debye",
    "charges": "e",
    "bond_order": "Wiberg bond order",
}


def pack(rows: Sequence[dict[str, Any]], method: dict[str, Any]) -> None:
    """Write SHIPPED from the rows of results; print what is in it."""
    good, dropped = [], Counter(_kind(row["reason"]) for row in rows if row["reason"])
    seen: set[str] = set()
    for row in rows:
        if row["reason"]:
            continue
        if row["smiles"] in seen:
            dropped["the same molecule twice"] += 1
            continue
        if row["gap"] < 0.3:
            dropped["no gap: not a closed-shell molecule"] += 1
            continue
        if xtb.smiles_at(row["smiles"], np.array(row["pos"])) != row["smiles"]:
            dropped["a stereocentre changed in the optimisation"] += 1
            continue
        seen.add(row["smiles"])
        good.append(row)
    arrays = _molecules(good) | _bonds(good) | _frames(good)
    numbers = sorted({int(n) for n in np.unique(arrays["z"])})
    arrays["atom_energy_z"] = np.array(numbers, dtype=np.uint8)
    arrays["atom_energy"] = np.array([xtb.free_atom_energy(n) for n in numbers])
    provenance = method | {
        "date": datetime.date.today().isoformat(),
        "versions": {name: version(name) for name in ("tblite", "rdkit", "numpy", "ase")},
        "molecules_tried": len(rows),
        "molecules": len(good),
        "dropped": dict(dropped),
        "frames_count": len(arrays["frame_energy"]),
        "units": UNITS,
        "rounding": "positions, forces, dipole vectors float32; charges and bond orders to 4 decimals",
        "licence": "MIT, as the package",
    }
    arrays["provenance"] = np.array(json.dumps(provenance))
    with atomic(SHIPPED) as path, path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(json.dumps(provenance, indent=1))
    print(f"{SHIPPED.name}: {SHIPPED.stat().st_size / 1e6:.2f} MB")


def _kind(reason: str) -> str:
    """A reason without its numbers and details."""
    return re.split(r":|\s[\d.]+\b(?!D)", reason)[0].strip()


def _molecules(good: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    out: dict[str, np.ndarray] = {
        "smiles": np.array([row["smiles"].encode() for row in good]),
        "n_atoms": np.array([len(row["z"]) for row in good], dtype=np.uint8),
        "z": np.concatenate([np.array(row["z"], dtype=np.uint8) for row in good]),
        "pos": np.concatenate([np.array(row["pos"], dtype=np.float32) for row in good]),
        "charges": np.concatenate([np.round(row["charges"], 4).astype(np.float32) for row in good]),
        "dipole_vector": np.array([row["dipole_vector"] for row in good], dtype=np.float32),
        "max_force": np.array([row["max_force"] for row in good], dtype=np.float32),
    }
    for name in ("energy", "atomization_energy", "homo", "lumo", "gap", "dipole"):
        out[name] = np.round(np.array([row[name] for row in good], dtype=np.float64), 8)
    return out


def _bonds(good: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    counts, pairs, types, orders, charges = [], [], [], [], []
    for row in good:
        molecule = Chem.AddHs(Chem.MolFromSmiles(row["smiles"]))
        Chem.Kekulize(molecule, clearAromaticFlags=True)
        bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(b.GetBondTypeAsDouble())) for b in molecule.GetBonds()]
        wiberg = np.array(row["wiberg"])
        counts.append(len(bonds))
        pairs += [(i, j) for i, j, _ in bonds]
        types += [order for _, _, order in bonds]
        orders += [round(float(wiberg[i, j]), 4) for i, j, _ in bonds]
        charges += [a.GetFormalCharge() for a in molecule.GetAtoms()]
    return {
        "n_bonds": np.array(counts, dtype=np.uint8),
        "bonds": np.array(pairs, dtype=np.uint8),
        "bond_type": np.array(types, dtype=np.uint8),
        "bond_order": np.array(orders, dtype=np.float32),
        "formal_charge": np.array(charges, dtype=np.int8),
    }


def _frames(good: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    frames = [(k, frame) for k, row in enumerate(good) for frame in row.get("frames", ())]
    return {
        "frame_molecule": np.array([k for k, _ in frames], dtype=np.int32),
        "frame_amplitude": np.array([f["amplitude"] for _, f in frames], dtype=np.float32),
        "frame_energy": np.round(np.array([f["energy"] for _, f in frames], dtype=np.float64), 8),
        "frame_pos": np.concatenate([np.array(f["pos"], dtype=np.float32) for _, f in frames]),
        "frame_forces": np.concatenate([np.array(f["forces"], dtype=np.float32) for _, f in frames]),
    }
