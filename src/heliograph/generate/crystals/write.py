"""Crystals to files: CIF and extended XYZ with all of them, or a folder with a POSCAR each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from heliograph.chem.elements import SYMBOLS, formula
from heliograph.errors import UsageError
from heliograph.generate.crystals.data import Crystals

ENDINGS = (".cif", ".xyz", ".extxyz")


def check(path: Path) -> None:
    """Raise UsageError where the name's ending is none that can be written; a name without one is a folder."""
    if path.suffix.lower() not in (*ENDINGS, ""):
        raise UsageError(f"-o {path}: crystals are written as {', '.join(ENDINGS)}, or as POSCAR into a folder (a name without an ending).")


def entries(samples: Iterable[Crystals], kind: str) -> Iterator[str]:
    """Yield one entry a crystal, in order: `kind` ".cif", ".xyz", ".extxyz", or "" for a POSCAR."""
    write, number = {".cif": cif, ".xyz": extxyz, ".extxyz": extxyz, "": poscar}[kind], 0
    for batch in samples:
        for k in range(len(batch)):
            number += 1
            at = batch.atoms(k)
            yield write(batch.z[at], batch.frac[at], batch.cells[k], f"sample_{number}")


def parameters(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths [3] in angstrom and angles [3] in degrees."""
    lengths = np.linalg.norm(cell, axis=1)
    cosines = [cell[a] @ cell[b] / (lengths[a] * lengths[b]) for a, b in ((1, 2), (0, 2), (0, 1))]
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def cif(z: np.ndarray, frac: np.ndarray, cell: np.ndarray, name: str) -> str:
    """A data block without symmetry (P 1)."""
    lengths, angles = parameters(cell)
    lines = [f"data_{name}", f"_chemical_formula_sum '{' '.join(_parts(z))}'"]
    lines += [f"_cell_length_{x} {v:.8f}" for x, v in zip("abc", lengths, strict=True)]
    lines += [f"_cell_angle_{x} {v:.8f}" for x, v in zip(("alpha", "beta", "gamma"), angles, strict=True)]
    lines += ["_space_group_name_H-M_alt 'P 1'", "_space_group_IT_number 1", "loop_", "  _space_group_symop_operation_xyz", "  'x, y, z'"]
    lines += ["loop_", *(f"  _atom_site_{x}" for x in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy"))]
    for k, (e, (x, y, w)) in enumerate(zip(z.tolist(), frac.tolist(), strict=True), 1):
        lines.append(f"  {SYMBOLS[e]}{k} {SYMBOLS[e]} {x:.8f} {y:.8f} {w:.8f} 1")
    return "\n".join(lines) + "\n\n"


def extxyz(z: np.ndarray, frac: np.ndarray, cell: np.ndarray, name: str) -> str:
    """A frame of extended XYZ."""
    lattice = " ".join(f"{v:.8f}" for v in cell.ravel())
    lines = [str(len(z)), f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T" name={name}']
    lines += [f"{SYMBOLS[e]:<2s} {x:14.8f} {y:14.8f} {w:14.8f}" for e, (x, y, w) in zip(z.tolist(), (frac @ cell).tolist(), strict=True)]
    return "\n".join(lines) + "\n"


def poscar(z: np.ndarray, frac: np.ndarray, cell: np.ndarray, name: str) -> str:
    """A file of VASP 5; atoms are put together by element."""
    order = np.argsort(z, kind="stable")
    kinds = np.unique(z)
    lines = [f"{name} {formula(z)}", "1.0", *(" ".join(f"{v:.10f}" for v in row) for row in cell.tolist())]
    lines += [" ".join(SYMBOLS[int(k)] for k in kinds), " ".join(str(int((z == k).sum())) for k in kinds), "Direct"]
    return "\n".join([*lines, *(" ".join(f"{v:.10f}" for v in row) for row in frac[order].tolist())]) + "\n"


def _parts(z: np.ndarray) -> list[str]:
    return [f"{SYMBOLS[int(k)]}{int((z == k).sum())}" for k in np.unique(z)]
