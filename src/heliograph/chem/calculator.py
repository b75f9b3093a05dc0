"""The ASE calculator of a potential."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from heliograph.chem.ase_frames import from_atoms
from heliograph.errors import StructureError


class PotentialCalculator(Calculator):
    """Answers for ASE `Atoms` with what `potential(frames)` returns for one frame. Positions go in and forces come out in float64.

    The list of neighbours is made anew for every structure, so there is no skin that could be too thin.
    """

    implemented_properties: ClassVar[list[str]] = [
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "charges",
        "dipole",
    ]

    def __init__(self, potential: Callable[[Sequence[Any]], Sequence[Any]], **kwargs: Any):
        super().__init__(**kwargs)
        self.potential = potential

    def calculate(
        self,
        atoms: Any = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill `results`. Raises StructureError where the structure can't be used."""
        super().calculate(atoms, list(properties), list(system_changes))
        frame = from_atoms(self.atoms)
        answer = self.potential([frame])[0]
        if answer.reason:
            raise StructureError(answer.reason)
        if answer.forces is None:
            raise PropertyNotImplementedError(f"this model gives {', '.join(answer.properties)}, and no energies")
        self.results = dict(answer.properties) | {
            "energy": answer.energy, "free_energy": answer.energy, "energies": answer.energies, "forces": answer.forces,
        }  # fmt: skip
        for name in ("charges", "dipole"):
            if name in properties and name not in self.results:
                raise PropertyNotImplementedError(f"this model was not trained on {name}")
        if np.isfinite(answer.stress).all():
            self.results["stress"] = full_3x3_to_voigt_6_stress(answer.stress)
        elif "stress" in properties:
            raise PropertyNotImplementedError("a stress needs three periodic axes: the structure has none of a volume")
        if len(answer.members) > 1:
            self.results |= {
                "energy_std": answer.energy_std,
                "forces_std": answer.forces_std,
                "forces_committee": answer.members,
            }
