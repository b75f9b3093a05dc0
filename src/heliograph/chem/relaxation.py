"""Relaxation of structures, and of their cells, with any ASE calculator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from heliograph.errors import UsageError


@dataclass(frozen=True)
class Relaxed:
    """`converged`: no force, and of a cell no component of stress times volume per atom, exceeds what was asked for; `force` [eV/A] is
    the largest force, `virial` [eV] that largest component (zero where the cell was kept).
    """

    converged: bool
    steps: int
    force: float
    energy: float
    virial: float = 0.0


def relax(atoms: Any, fmax: float = 0.01, steps: int = 500, cell: bool = False) -> Relaxed:
    """Move `atoms` (with a calculator) in place until no force exceeds `fmax` [eV/A]; `cell`: the cell too, until no component of stress
    times volume per atom exceeds `fmax` [eV].

    BFGS, the cell by the logarithm of its deformation (ASE's Frechet filter). That is scaled by the root of the number of atoms: then
    a supercell takes the steps of its primitive cell, and both end at the same minimum where there are several.
    Raises UsageError where a cell is to be relaxed that is not periodic along three axes.
    """
    if cell and not all(atoms.pbc):
        raise UsageError("--cell needs a structure that is periodic along three axes")
    target = FrechetCellFilter(atoms, exp_cell_factor=len(atoms) ** 0.5) if cell else atoms
    optimizer = _Steps(target, logfile=None)
    optimizer.per_strain = 2.0 / len(atoms) ** 0.5 if cell else 0.0
    force, virial = _largest(atoms, cell)
    for _ in optimizer.irun(fmax=0.0, steps=steps):
        force, virial = _largest(atoms, cell)
        if max(force, virial) <= fmax:
            break
    return Relaxed(max(force, virial) <= fmax, int(optimizer.nsteps), force, float(atoms.get_potential_energy()), virial)


class _Steps(BFGS):
    """BFGS that does not let a supercell's cell move in shorter steps than its primitive cell's: at most a tenth of strain, too."""

    per_strain = 0.0  # angstrom in which a step of the cell's three rows is counted

    def determine_step(self, dpos: np.ndarray, steplengths: Any) -> np.ndarray:
        rows = np.linalg.norm(dpos.reshape(-1, 3), axis=1)
        if self.per_strain:
            rows[-3:] *= self.per_strain
        return np.asarray(dpos * min(1.0, self.maxstep / max(float(rows.max()), 1e-12)))


def _largest(atoms: Any, cell: bool) -> tuple[float, float]:
    """The largest force [eV/A], constraints applied, and component of stress times volume per atom [eV]."""
    force = float(np.linalg.norm(atoms.get_forces(), axis=1).max()) if len(atoms) else 0.0
    virial = float(np.abs(atoms.get_stress()).max()) * atoms.get_volume() / len(atoms) if cell else 0.0
    return force, virial


def to_atoms(frame: Any) -> Any:
    """Return a frame as ASE `Atoms`."""
    from ase import Atoms

    return Atoms(numbers=frame.z, positions=frame.pos, cell=frame.cell, pbc=frame.pbc)
