"""Labels of frames beside energies, forces and stress: a name in the file, and what kind of property it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliograph.errors import DataError, StructureError, UsageError, suggest

if TYPE_CHECKING:
    from heliograph.data.frames import Frame

OF_ATOMS = ("atom", "charges")
SHAPES: dict[str, tuple[int, ...]] = {  # of one structure's label, or of one atom's
    "mean": (1,), "sum": (1,), "atom": (1,), "charges": (1,), "dipole": (3,), "polarizability": (3, 3), "extent": (1,),
}  # fmt: skip
MOLECULAR = ("dipole", "polarizability", "extent")  # about the atoms' mean position, which a periodic structure has not
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class Property:
    """`name` in the file; `kind`: mean, sum, atom, charges, dipole, polarizability or extent."""

    name: str
    kind: str

    @property
    def column(self) -> str:
        return f"{'atoms' if self.kind in OF_ATOMS else 'frame'}:{self.name}"

    def of(self, frame: Frame) -> np.ndarray:
        """Return the frame's label, NaN where it has none: [n, 1] of atoms, else as SHAPES has it. Raises StructureError."""
        n, shape = len(frame.z), SHAPES[self.kind]
        if self.kind in OF_ATOMS:
            if self.name not in frame.arrays:
                return np.full((n, 1), np.nan)
            values = np.asarray(frame.arrays[self.name], np.float64).reshape(n, -1)
            if values.shape[1] != 1:
                raise StructureError(f"{self.name} is {values.shape[1]} numbers an atom, not one")
            return np.where(np.isfinite(values), values, np.nan)
        if self.name not in frame.info or (any(frame.pbc) and self.kind in MOLECULAR):
            return np.full(shape, np.nan)
        found = _numbers(frame.info[self.name])
        if self.kind == "polarizability" and len(found) == 6:
            full = np.zeros((3, 3))
            for value, (a, b) in zip(found, VOIGT, strict=True):
                full[a, b] = full[b, a] = value
            found = full.ravel()
        if not len(found):
            return np.full(shape, np.nan)
        if len(found) != math.prod(shape):
            raise StructureError(f"{self.name} is {len(found)} numbers, not {math.prod(shape)} as a {self.kind}")
        values = found.reshape(shape)
        values = 0.5 * (values + values.T) if shape == (3, 3) else values
        return values if np.isfinite(values).all() else np.full(shape, np.nan)


def _numbers(value: object) -> np.ndarray:
    from heliograph.data.frames import numbers

    return numbers(value)


def find(asked: Iterable[str], frames: Iterable[Frame], file: str) -> tuple[Property, ...]:
    """Return the properties that `NAME` or `NAME=KIND` ask for; without a kind it follows from the shape in the first frame that has it.

    One number an atom is `atom`, one number `mean`, three are `dipole`, six or nine `polarizability`.
    Raises UsageError for an unknown kind, DataError for a name that no frame has.
    """
    wanted = [text.partition("=")[::2] for text in asked]
    for name, kind in wanted:
        if kind and kind not in SHAPES:
            raise UsageError(f"--properties {name}={kind}: {suggest(kind, SHAPES)}")
    kinds, there = dict(wanted), Counter[str]()
    if wanted:
        for frame in frames:
            there.update([*frame.info, *frame.arrays])
            for name, kind in kinds.items():
                if not kind and (name in frame.info or name in frame.arrays):
                    kinds[name] = _kind(name, frame)
            if all(kind and there[name] for name, kind in kinds.items()):
                break
    for name, kind in kinds.items():
        if not there[name]:
            raise DataError(f"no frame of {file} has {name!r}; {suggest(name, there)}")
        if not kind:
            raise DataError(f"{name} has no numbers in the first frames of {file}: say what it is, as {name}=mean or {name}=dipole")
    return tuple(Property(name, kind) for name, kind in kinds.items())


def _kind(name: str, frame: Frame) -> str:
    if name in frame.arrays:
        return "atom"
    try:
        return {1: "mean", 3: "dipole", 6: "polarizability", 9: "polarizability"}.get(len(_numbers(frame.info[name])), "")
    except StructureError:
        return ""
