"""What a reader yields: one row of the input, usable or not, in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Atoms in space: `z` [n] uint8 atomic numbers, `pos` [n, 3] float64 angstrom; `cell` [3, 3] rows in angstrom."""

    z: np.ndarray
    pos: np.ndarray
    charge: int = 0
    cell: np.ndarray | None = None
    pbc: tuple[bool, bool, bool] = (False, False, False)


@dataclass(frozen=True, slots=True)
class MolBlock:
    """One molecule in MDL format (an SDF entry without its data fields)."""

    text: str


Structure = str | MolBlock | Geometry  # a str is a SMILES


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One row: `structure` is None where even the row could not be read, and `reason` says why.

    `targets` holds what the row has for the target columns asked for: text as it stood in the file, or a number;
    blank = missing = absent. `meta` holds every input column as text, in the file's order, so that a prediction can give
    it all back.
    """

    id: str
    structure: Structure | None
    targets: Mapping[str, str | float] = field(default_factory=dict)
    weight: float = 1.0
    meta: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
