"""How good generated crystals are: shares with intervals, and distances between distributions.

"valid structure": no two atoms, images counted, nearer than 0.5 angstrom, and a volume above 0.1 angstrom^3 (Court et al. 2020; Xie et
al. 2022, arXiv:2110.06197, appendix B). That is a low bar. Matching a reference needs a tool that compares structures, which is not part
of this package (`bench/crystals.py` uses pymatgen's).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
from scipy.stats import wasserstein_distance

from heliograph.chem.elements import formula, masses
from heliograph.generate.crystals.data import Crystals
from heliograph.generate.metrics import Share

NEAREST, SMALLEST_VOLUME = 0.5, 0.1
GRAMS = 1.66053906660  # g/cm3 of one dalton per angstrom^3


@final
@dataclass(frozen=True)
class CrystalFigures:
    """Shares by name; `distances`: Wasserstein distances to the reference by name, in the name's unit; `formulas` of each crystal."""

    shares: Mapping[str, Share]
    distances: Mapping[str, float] = field(default_factory=dict)
    formulas: tuple[str, ...] = ()


def shortest(frac: np.ndarray, cell: np.ndarray) -> float:
    """The least distance [angstrom] between two atoms or an atom and its own image, over two cells in each direction."""
    steps = np.arange(-2, 3)
    shifts = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    apart = (frac[:, None, None] - frac[None, :, None] + shifts) @ cell  # [n, n, 125, 3]
    r = np.linalg.norm(apart, axis=-1)
    r[np.arange(len(frac)), np.arange(len(frac)), len(shifts) // 2] = np.inf
    return float(r.min())


def valid_structure(frac: np.ndarray, cell: np.ndarray) -> bool:
    """Whether atoms keep apart and the cell has a volume."""
    whole = np.isfinite(frac).all() and np.isfinite(cell).all() and abs(np.linalg.det(cell)) > SMALLEST_VOLUME
    return bool(whole) and shortest(frac, cell) > NEAREST


def density(z: np.ndarray, cell: np.ndarray) -> float:
    """g/cm3."""
    return float(masses()[0][z].sum() * GRAMS / abs(np.linalg.det(cell)))


def crystals(samples: Crystals, reference: Crystals | None = None) -> CrystalFigures:
    """Score crystals, beside those of a reference where there is one."""
    n, at = len(samples), [samples.atoms(k) for k in range(len(samples))]
    formulas = tuple(formula(samples.z[a]) for a in at)
    shares = {
        "valid structure": Share(sum(valid_structure(samples.frac[a], samples.cells[k]) for k, a in enumerate(at)), n),
        "formulas that differ": Share(len(set(formulas)), n),
    }
    if reference is None:
        return CrystalFigures(shares, {}, formulas)
    known = {formula(reference.z[reference.atoms(k)]) for k in range(len(reference))}
    shares["formulas that are new, of those"] = Share(len(set(formulas) - known), len(set(formulas)))
    pairs = {"density, g/cm3": _densities, "elements": _elements, "volume per atom, A^3": _volumes}
    return CrystalFigures(shares, {name: float(wasserstein_distance(f(samples), f(reference))) for name, f in pairs.items()}, formulas)


def _densities(c: Crystals) -> np.ndarray:
    return np.array([density(c.z[c.atoms(k)], c.cells[k]) for k in range(len(c))])


def _elements(c: Crystals) -> np.ndarray:
    return np.array([len(np.unique(c.z[c.atoms(k)])) for k in range(len(c))])


def _volumes(c: Crystals) -> np.ndarray:
    return np.abs(np.linalg.det(c.cells)) / c.n_atoms
