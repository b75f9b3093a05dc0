"""What the training molecules were made of, and which others a model has no ground to answer for.

Per-element references are fitted by least squares on the atom counts of the training molecules. They say something of a molecule whose
counts are a linear combination of those (in their row space) and nothing of any other: an element that training did not have, or a
mixture of elements that it did not have, gets the value 0 because nothing was fitted, not because 0 was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from heliograph.chem.elements import SYMBOLS, formula
from heliograph.errors import DataError

_SAME = 1e-6  # length of what is left of a composition outside the span, beside its own


@final
@dataclass(frozen=True, eq=False)
class Compositions:
    """`elements` that training had; `basis` [r, elements]: orthonormal rows that span its compositions (None: not recorded)."""

    elements: tuple[int, ...]
    basis: np.ndarray | None = None

    @classmethod
    def of(cls, counts: np.ndarray) -> Compositions:
        """Of the training molecules' atom counts [n, 119], hydrogens included."""
        distinct = np.unique(np.asarray(counts), axis=0)
        elements = np.flatnonzero(distinct.any(0))
        rows = distinct[:, elements].astype(np.float64)
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)
        values, vectors = np.linalg.eigh(rows.T @ rows)
        keep = values > 1e-10 * values.max(initial=0.0)
        return cls(tuple(elements.tolist()), np.ascontiguousarray(vectors[:, keep].T))

    def reasons(self, counts: np.ndarray, span: bool) -> list[str]:
        """Why nothing in training speaks for each of these molecules, "" where something does; `span`: whether mixtures matter, too."""
        counts = np.asarray(counts)
        new = counts.copy()
        new[:, list(self.elements)] = 0
        outside = np.zeros(len(counts), dtype=bool)
        if span and self.basis is not None and len(self.basis) < len(self.elements):
            mine = counts[:, list(self.elements)].astype(np.float64)
            left = np.linalg.norm(mine - mine @ self.basis.T @ self.basis, axis=1)
            outside = left > _SAME * np.maximum(np.linalg.norm(mine, axis=1), 1.0)
        found = [""] * len(counts)
        for k in np.flatnonzero(new.any(1)):
            names = ", ".join(SYMBOLS[z] if z < len(SYMBOLS) else str(z) for z in np.flatnonzero(new[k]))
            found[k] = f"outside training: no molecule there has {names}"
        for k in np.flatnonzero(outside & ~new.any(1)):
            atoms = np.repeat(np.arange(counts.shape[1]), counts[k])
            found[k] = f"outside training: the composition {formula(atoms)} can't be made up of those there"
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"elements": list(self.elements), "basis": None if self.basis is None else self.basis.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Compositions:
        """Read `to_dict` back. Raises DataError where the data are none."""
        try:
            elements, basis = tuple(int(z) for z in data["elements"]), data.get("basis")
            rows = None if basis is None else np.array(basis, dtype=np.float64).reshape(-1, len(elements))
            good = all(0 <= z < 119 for z in elements) and (rows is None or bool(np.isfinite(rows).all()))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise DataError(f"the compositions of training in this file are none: {str(error)[:80]}") from None
        if not good:
            raise DataError("the compositions of training in this file are none: elements or numbers that there are not")
        return cls(elements, rows)
