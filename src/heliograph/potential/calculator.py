"""`Calculator("run")`: a potential as ASE wants one."""

from __future__ import annotations

import os
from typing import Any, Literal

import torch

from heliograph.potential.potential import Potential

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def Calculator(path: str | os.PathLike[str] | Potential, dtype: Literal["float32", "float64"] | None = None) -> Any:
    """Return an ASE calculator for a model file, a run folder or a `Potential`; `dtype` converts its weights.

    It gives energy, free_energy, energies, forces, stress (Voigt xx yy zz yz xz xy) and, of an ensemble, `results["energy_std"]`,
    `results["forces_std"]` [N, 3] and `results["forces_committee"]` [M, N, 3]. Units are ASE's: eV, eV/A, eV/A^3.
    """
    from heliograph.chem.calculator import PotentialCalculator

    potential = path if isinstance(path, Potential) else Potential.load(path)
    return PotentialCalculator(potential if dtype is None else potential.to(DTYPES[dtype]))
