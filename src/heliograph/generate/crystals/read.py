"""Crystals of files to arrays; a structure that can't be used is counted with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heliograph.data import frames
from heliograph.errors import DataError, StructureError
from heliograph.generate.crystals.data import Crystals
from heliograph.learn.progress import Progress, silent

MOST_ATOMS = 200
SMALLEST_VOLUME = 0.1  # angstrom^3


def crystals(path: Path, progress: Progress | None = None) -> tuple[Crystals, dict[str, int]]:
    """Read all usable crystals of a file (extended XYZ, CIF, POSCAR and what ASE knows), or of a folder's files in their order.

    Raises DataError where none can be used.
    """
    progress = progress or silent()
    found: list[frames.Frame] = []
    reasons: Counter[str] = Counter()
    for file in sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]:
        for frame in frames.read(file):
            try:
                _check(frame)
            except StructureError as error:
                reasons[str(error).partition(":")[0]] += 1
                continue
            found.append(frame)
            progress(f"reading {path.name}", len(found))
    if not found:
        counts = ", ".join(f"{n} {why}" for why, n in reasons.most_common()) or "it has no structures"
        raise DataError(f"{path.name} has no crystal that can be used: {counts}.")
    return joined([(f.z, f.pos @ np.linalg.inv(f.cell), f.cell) for f in found if f.cell is not None]), dict(reasons.most_common())


def joined(each: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Crystals:
    """Atomic numbers [n], fractional coordinates [n, 3] and cells [3, 3] of many crystals in one set of arrays."""
    return Crystals(
        z=np.concatenate([z for z, _, _ in each]).astype(np.int64),
        frac=np.concatenate([frac for _, frac, _ in each]) % 1.0,
        cells=np.stack([cell for _, _, cell in each]),
        offsets=np.concatenate([[0], np.cumsum([len(z) for z, _, _ in each])]),
    )


def _check(frame: frames.Frame) -> None:
    """Raise StructureError where a structure teaches nothing."""
    if frame.reason:
        raise StructureError(frame.reason)
    if frame.cell is None or not all(frame.pbc):
        raise StructureError("no cell that is periodic in all directions")
    if not np.isfinite(frame.cell).all() or abs(np.linalg.det(frame.cell)) < SMALLEST_VOLUME:
        raise StructureError("a cell without volume")
    if len(frame.z) > MOST_ATOMS:
        raise StructureError(f"more than {MOST_ATOMS} atoms")
