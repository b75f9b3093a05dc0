"""Relaxation of structures, and of their cells, with any ASE calculator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.filters import FrechetCellFilter

from heliograph.errors import UsageError

STIFFNESS = 70.0  # eV/A^2 of the first step
LONGEST = 0.2  # angstrom that an atom may move in a step
HALVINGS = 12  # of a step that leads up
NOISE = 1e-7  # eV an atom: differences of energies that rounding may make


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

    BFGS whose steps are shortened until the energy falls; the cell by the logarithm of its deformation (ASE's Frechet filter), scaled
    by the root of the number of atoms. All of it is the same for a supercell as for its primitive cell, so both end at the same
    minimum where there are several. Raises UsageError where a cell is to be relaxed that is not periodic along three axes.
    """
    if cell and not all(atoms.pbc):
        raise UsageError("--cell needs a structure that is periodic along three axes")
    target = FrechetCellFilter(atoms, exp_cell_factor=len(atoms) ** 0.5) if cell else atoms
    done, (force, virial) = 0, _largest(atoms, cell)
    path = _Descent(target, len(atoms), cell)
    while max(force, virial) > fmax and done < steps and path.step():
        force, virial = _largest(atoms, cell)
        done += 1
    return Relaxed(max(force, virial) <= fmax, done, force, float(atoms.get_potential_energy()), virial)


class _Descent:
    """Quasi-Newton steps of ASE `Atoms`, or of a filter around them."""

    def __init__(self, target: Any, n: int, cell: bool):
        self.target, self.n = target, n
        self.strain = 2.0 / n**0.5 if cell else 1.0  # angstrom in which the cell's rows count: a step is a tenth of strain at most
        self.cell = cell
        self.x, self.energy, self.gradient = self._here()
        self.inverse: np.ndarray | None = None  # of the Hessian

    def _here(self) -> tuple[np.ndarray, float, np.ndarray]:
        x, forces = self.target.get_positions(), self.target.get_forces()
        return x.ravel().copy(), float(self.target.get_potential_energy()), -forces.ravel()

    def step(self) -> bool:
        """Move to a place of lower energy, or of the same with a smaller slope. False where none is found."""
        for inverse in (self.inverse, None):  # where a direction fails, the Hessian is forgotten
            direction = -self.gradient / STIFFNESS if inverse is None else -inverse @ self.gradient
            if direction @ self.gradient < 0 and self._along(direction):
                return True
            self.inverse = None
        return False

    def _along(self, direction: np.ndarray) -> bool:
        slope, before = float(direction @ self.gradient), (self.x, self.energy, self.gradient)
        rows = np.linalg.norm(direction.reshape(-1, 3), axis=1)
        if self.cell:
            rows[-3:] *= self.strain
        t = min(1.0, LONGEST / float(rows.max()))
        for _ in range(HALVINGS):
            self.target.set_positions((before[0] + t * direction).reshape(-1, 3))
            x, energy, gradient = self._here()
            falls = energy <= before[1] + 1e-4 * t * slope
            flat = energy <= before[1] + NOISE * self.n and direction @ gradient <= -0.9 * slope
            if np.isfinite(energy) and (falls or flat):
                self._learn(t * direction, gradient - before[2])
                self.x, self.energy, self.gradient = x, energy, gradient
                return True
            t *= 0.5
        self.target.set_positions(before[0].reshape(-1, 3))
        return False

    def _learn(self, moved: np.ndarray, change: np.ndarray) -> None:
        """The update of Broyden, Fletcher, Goldfarb and Shanno, where the curvature along the step is positive."""
        curvature = float(moved @ change)
        if curvature <= 1e-10 * float(np.linalg.norm(moved) * np.linalg.norm(change)):
            return
        if self.inverse is None:
            self.inverse = np.eye(len(moved)) * (curvature / float(change @ change))
        product = self.inverse @ change
        outer = np.outer(product, moved)
        self.inverse += (1 + change @ product / curvature) * np.outer(moved, moved) / curvature - (outer + outer.T) / curvature


def _largest(atoms: Any, cell: bool) -> tuple[float, float]:
    """The largest force [eV/A], constraints applied, and component of stress times volume per atom [eV]."""
    force = float(np.linalg.norm(atoms.get_forces(), axis=1).max()) if len(atoms) else 0.0
    virial = float(np.abs(atoms.get_stress()).max()) * atoms.get_volume() / len(atoms) if cell else 0.0
    return force, virial


def to_atoms(frame: Any) -> Any:
    """Return a frame as ASE `Atoms`."""
    from ase import Atoms

    return Atoms(numbers=frame.z, positions=frame.pos, cell=frame.cell, pbc=frame.pbc)
