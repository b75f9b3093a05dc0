"""What was asked of samples against what GFN2-xTB computes of them, where they lie: nothing is relaxed, a failure is a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from heliograph.errors import StructureError
from heliograph.generate.data import Molecules
from heliograph.learn.progress import Progress, silent

UNITS: Mapping[str, str] = {"gap": "eV", "homo": "eV", "lumo": "eV", "dipole": "D", "energy": "eV", "atomization_energy": "eV"}


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """One property: `asked` [n] and `got` [n], NaN where it could not be computed.

    `mae` over what was computed; `shuffled` is the mean error if the targets were dealt out at random (over all pairs), so mae / shuffled
    is 0 for a perfect generator and 1 for one that does not listen.
    """

    name: str
    unit: str
    asked: np.ndarray
    got: np.ndarray

    @property
    def failures(self) -> int:
        """Samples without a value."""
        return int((~np.isfinite(self.got)).sum())

    @property
    def mae(self) -> float:
        """NaN of nothing."""
        error = np.abs(self.asked - self.got)[np.isfinite(self.got)]
        return float(error.mean()) if len(error) else float("nan")

    @property
    def shuffled(self) -> float:
        """The mean of |asked_i - got_j| over all i, j."""
        got = self.got[np.isfinite(self.got)]
        return float(np.abs(self.asked[:, None] - got[None]).mean()) if len(got) else float("nan")


def check(samples: Molecules, asked: Mapping[str, np.ndarray], progress: Progress | None = None) -> tuple[list[Asked], dict[str, int]]:
    """Compute every property that was asked for and that GFN2-xTB knows, and count failures by reason.

    `asked`: name -> [n], NaN where a sample was not asked. A molecule with an odd number of electrons is computed as a radical.
    """
    from heliograph.chem.xtb import XTB

    progress, names = progress or silent(), [name for name in asked if name in UNITS]
    got = {name: np.full(len(samples), np.nan) for name in names}
    reasons: dict[str, int] = {}
    for k in range(len(samples) if names else 0):
        at = samples.atoms(k)
        try:
            labels = XTB(samples.z[at], int(samples.charge[at].sum())).labels(samples.pos[at])
            for name in names:
                got[name][k] = getattr(labels, name)
        except StructureError as error:
            why = str(error).partition(":")[0]
            reasons[why] = reasons.get(why, 0) + 1
        progress("GFN2-xTB", k + 1, len(samples))
    found = []
    for name in names:
        there = np.isfinite(asked[name])
        found.append(Asked(name, UNITS[name], asked[name][there], got[name][there]))
    return found, reasons
