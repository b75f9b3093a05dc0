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
    """`converged`: the largest force (and, of the cell, stress times volume) is below what was asked for; `force` is that largest force."""

    converged: bool
    steps: int
    force: float
    energy: float


def relax(atoms: Any, fmax: float = 0.01, steps: int = 500, cell: bool = False) -> Relaxed:
    """Move `atoms` (with a calculator) in place until no force exceeds `fmax` [eV/A]; `cell`: the cell too.

    Raises UsageError where a cell is to be relaxed that is not periodic along three axes.
    """
    if cell and not all(atoms.pbc):
        raise UsageError("--cell needs a structure that is periodic along three axes")
    target = FrechetCellFilter(atoms) if cell else atoms
    optimizer = BFGS(target, logfile=None)
    converged = bool(optimizer.run(fmax=fmax, steps=steps))
    force = float(np.linalg.norm(atoms.get_forces(), axis=1).max()) if len(atoms) else 0.0
    return Relaxed(converged, int(optimizer.nsteps), force, float(atoms.get_potential_energy()))


def to_atoms(frame: Any) -> Any:
    """Return a frame as ASE `Atoms`."""
    from ase import Atoms

    return Atoms(numbers=frame.z, positions=frame.pos, cell=frame.cell, pbc=frame.pbc)
