"""Frames from the files that ASE reads: .traj, .db, POSCAR, CIF, OUTCAR, vasprun.xml and others."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.data.frames import Frame
from heliograph.errors import DataError


def read(path: Path) -> Iterator[Frame]:
    """Yield the frames of a file in any format that ASE recognises. Raises DataError where it recognises none.

    Energies, forces and stresses come from the calculator that ASE hides them in, as they are: constraints do not zero forces.
    """
    import ase.io
    from ase.io.formats import UnknownFileTypeError

    try:
        source = iter(ase.io.iread(path, index=":"))
        number = 0
        while True:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    atoms = next(source)
            except StopIteration:
                return
            number += 1
            yield from_atoms(atoms, f"frame {number}")
    except UnknownFileTypeError as error:
        raise DataError(f"can't tell the format of {path} ({error}). Give .extxyz, .traj, .db, POSCAR, .cif, ...") from None
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AssertionError,
        AttributeError,
    ) as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"ASE can't read {path}: {what}. Is the file whole, and its name as its format wants?") from error


def from_atoms(atoms: Any, where: str = "") -> Frame:
    """Return ASE `Atoms` as a frame, with the results of its calculator where it holds some."""
    info: dict[str, Any] = dict(atoms.info)
    key_values = info.pop("key_value_pairs", {})  # of an ASE database
    data = info.pop("data", {})
    info |= dict(key_values) | {k: v for k, v in dict(data).items() if k not in info}
    sites = info.get("occupancy")  # of a CIF: site -> element -> share
    shared = isinstance(sites, dict) and any(len(site) > 1 or min(site.values(), default=1) < 1 for site in sites.values())
    info = {k: v for k, v in info.items() if isinstance(v, (str, bool, int, float, list, tuple, np.ndarray, np.generic))}
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions") and v.dtype.kind in "fiub"}
    n = len(atoms)
    for name, value in (getattr(atoms.calc, "results", None) or {}).items():
        array = None if value is None else np.asarray(value)
        if array is None or array.dtype.kind not in "fiub":
            continue
        if name in ("forces", "charges", "magmoms", "energies") and len(array) == n:
            arrays.setdefault(name, array.astype(np.float64))
        else:
            info.setdefault(name, array)
    z = np.asarray(atoms.numbers)
    pos = np.asarray(atoms.positions, dtype=np.float64)
    pbc = tuple(bool(flag) for flag in atoms.pbc)
    cell = np.array(atoms.cell.array, dtype=np.float64)
    reason = ""
    if not n:
        reason = "no atoms"
    elif not np.isfinite(pos).all():
        reason = "positions are not finite"
    elif shared:
        reason = "disordered: a site is shared"
    elif z.min() < 1 or z.max() > 118:
        reason = f"unknown element: {int(z.min() if z.min() < 1 else z.max())}"
    box = cell if cell.any() else None
    return Frame(z.astype(np.uint8), pos, box, (pbc[0], pbc[1], pbc[2]), info, arrays, reason, where)
