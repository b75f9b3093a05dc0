"""What energies are measured from: E0 of each element, and a scale.

    E = sum_i (E0[z_i] + scale * eps_i)          eps_i: `heliograph.learn.objectives.forces`, zero for an isolated atom

There is no constant per structure, so n copies of a cell have n times its energy. Where E0 are energies of isolated atoms, eps has a
shift for each element: what an atom has on average beside its neighbours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph.chem.elements import NUMBERS, SYMBOLS
from heliograph.data.sources.structures import CHUNK, Structures
from heliograph.errors import DataError, UsageError
from heliograph.learn.objectives.forces import AtomEnergies

MAX_Z = 118


@dataclass(frozen=True, eq=False)
class References:
    """`E0` [119] in eV by atomic number (NaN: unknown element), `scale` in eV, `origin` ("isolated", "fit" or "given"), and `shift` [119]
    in eV.
    """

    E0: np.ndarray
    scale: float
    origin: str
    shift: np.ndarray

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that have an E0."""
        return tuple(int(z) for z in np.flatnonzero(np.isfinite(self.E0)))

    def of(self, data: Structures) -> np.ndarray:
        """Return sum_i E0[z_i] [G]; NaN where an element is unknown."""
        return data.total(self.E0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        each = {name: {str(z): float(values[z]) for z in self.elements} for name, values in (("E0", self.E0), ("shift", self.shift))}
        return each | {"scale": self.scale, "origin": self.origin}

    def atoms(self, cutoff: float) -> AtomEnergies:
        """Return what turns a network's values into energies of atoms on its scale."""
        return AtomEnergies(self.elements, torch.from_numpy(self.shift / self.scale), cutoff)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> References:
        E0, shift = np.full(MAX_Z + 1, np.nan), np.zeros(MAX_Z + 1)
        for z, value in data["E0"].items():
            E0[int(z)], shift[int(z)] = value, data["shift"][z]
        return cls(E0, float(data["scale"]), str(data["origin"]), shift)


def references(asked: str, data: Structures, train: np.ndarray) -> tuple[References, list[str]]:
    """Return E0s and scale for the training rows, and what was decided, in words. `asked` as `--E0s` says.

    Raises DataError where isolated atoms are asked for and missing, UsageError where values can't be read.
    """
    counts = data.counts(data.elements)[train]
    present = [z for z, there in zip(data.elements, (counts > 0).any(0), strict=True) if there]
    apart = isolated_energies(data)
    missing = [SYMBOLS[z] for z in present if z not in apart]
    if asked == "isolated" and missing:
        raise DataError(f"--E0s isolated: no frame of a single atom with an energy for {', '.join(missing)}. Give values, or --E0s fit.")
    notes = []
    if asked == "isolated" or (asked == "auto" and not missing):
        values, origin = {z: apart[z] for z in present}, "isolated"
        notes.append("E0s: energies of the isolated atoms in the frames.")
    elif asked in ("fit", "auto"):
        values, origin = _fitted(data, train, present, data.columns["energy"]), "fit"
        if asked == "auto":
            notes.append(
                "E0s are fitted to the energies, since the frames have no isolated atom of each element: fine for energies and forces "
                "near these structures; for bonds that break, give --E0s."
            )
    else:
        values, origin = parse(asked), "given"
        absent = [SYMBOLS[z] for z in present if z not in values]
        if absent:
            raise UsageError(f"--E0s gives no value for {', '.join(absent)}, which the training frames contain.")
    E0 = np.full(MAX_Z + 1, np.nan)
    for z, value in values.items():
        E0[z] = value
    shown = ", ".join(f"{SYMBOLS[z]} {E0[z]:.4f}" for z in present[:8])
    notes.append(f"E0s [eV]: {shown}{', ...' if len(present) > 8 else ''}.")
    shift = np.zeros(MAX_Z + 1)
    if origin != "fit":
        above = data.columns["energy"] - data.total(np.nan_to_num(E0))
        for z, value in _fitted(data, train, present, above).items():
            shift[z] = value
    return References(E0, _scale(data, train, E0), origin, shift), notes


def isolated_energies(data: Structures) -> dict[int, float]:
    """Return the energy of each element of which there is a frame of one atom, without periods, with an energy."""
    c = data.columns
    single = (data.n_atoms == 1) & np.isfinite(c["energy"]) & ~c["pbc"].any(1)
    return {int(c["z"][c["offsets"][g]]): float(c["energy"][g]) for g in np.flatnonzero(single)}


def parse(text: str) -> dict[int, float]:
    """Return E0s from `{1: -13.6, 6: -1029.3}`, `{"H": -13.6}` or the path of a .json file. Raises UsageError."""
    if text.endswith(".json"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--E0s {text}: can't be read ({error.strerror})") from None
    quoted = re.sub(r"(?<=[{,\s])([A-Za-z]{1,2}|\d+)\s*:", r'"\1":', text.replace("'", '"'))
    try:
        found = json.loads(quoted)
        values = {int(k) if k.isdigit() else NUMBERS[k]: float(v) for k, v in found.items()}
    except (ValueError, KeyError, AttributeError, TypeError):
        wanted = "expected isolated, fit, or values like '{1: -13.66, 6: -1029.28}'"
        raise UsageError(f"--E0s {text[:60]!r} can't be read; {wanted}") from None
    if any(not 0 < z <= MAX_Z for z in values):
        raise UsageError(f"--E0s {text[:60]!r}: atomic numbers are 1 to {MAX_Z}")
    return values


def _fitted(data: Structures, train: np.ndarray, present: list[int], energies: np.ndarray) -> dict[int, float]:
    """Least squares of `energies` [G] on the composition; of equal fits the smallest values."""
    energy = energies[train]
    there = np.isfinite(energy)
    if not there.any():
        return dict.fromkeys(present, 0.0)
    counts = data.counts(present)[train][there].astype(np.float64)
    values = np.linalg.lstsq(counts, energy[there], rcond=None)[0]
    return {z: float(v) for z, v in zip(present, values, strict=True)}


def _scale(data: Structures, train: np.ndarray, E0: np.ndarray) -> float:
    """The root mean square of the force components; without forces the spread of the energies per atom."""
    square, count = 0.0, 0
    for start in range(0, len(train), CHUNK):
        forces = data.labels(np.sort(train[start : start + CHUNK]))["forces"].numpy()
        square += float(np.square(forces[np.isfinite(forces)]).sum())
        count += int(np.isfinite(forces).sum())
    values = np.array([(square / count) ** 0.5]) if count else np.zeros(0)
    if not count:
        rest = data.columns["energy"][train] - data.total(np.nan_to_num(E0))[train]
        values = rest / data.n_atoms[train]
        values = values[np.isfinite(values)]
        values = values - values.mean() if len(values) > 1 else values
    scale = float(np.sqrt(np.square(values).mean())) if len(values) else 1.0
    return scale if scale > 1e-8 else 1.0
