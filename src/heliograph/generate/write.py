"""Samples to files: an SDF with bonds and charges, an XYZ, and what was asked beside what came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from heliograph.errors import UsageError
from heliograph.generate.metrics import stable_by_bonds, stable_by_lookup
from heliograph.generate.read import ASKED
from heliograph.generate.sampler import Drawn

ENDINGS = (".sdf", ".xyz")


def check(path: Path) -> None:
    """Raise UsageError where the name's ending is none that can be written."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"-o {path}: samples are written as {' or '.join(ENDINGS)}. Give a name that ends so.")


def entries(samples: Iterable[Drawn], kind: str) -> Iterator[str]:
    """Yield one entry of the file a sample, in order, with the fields asked_NAME, formula, charge, stable, valid and reason."""
    from heliograph.chem.atoms import Atoms, judge, sdf_entry
    from heliograph.chem.elements import SYMBOLS

    number = 0
    for drawn in samples:
        batch = drawn.molecules
        for k in range(len(batch)):
            number += 1
            at, part = batch.atoms(k), batch.bonds_of(k)
            one = Atoms(batch.z[at], batch.charge[at], batch.pos[at], batch.bonds[part], batch.order[part])
            verdict = judge(one)
            fine = bool(verdict.smiles) and verdict.connected
            symbols = [SYMBOLS[int(z)] for z in one.z]
            fields = {f"{ASKED}{name}": f"{values[k]:.6g}" for name, values in drawn.asked.items()}
            fields |= {
                "formula": formula(symbols),
                "charge": str(int(one.charge.sum())),
                "stable": _yes(stable_by_bonds(one.z, one.charge, one.bonds, one.order).all()),
                "stable_by_distances": _yes(stable_by_lookup(one.z, one.pos).all()),
                "valid": _yes(fine),
                "smiles": verdict.smiles if fine else "",
                "reason": "" if fine else verdict.reason or "in pieces",
            }
            name = f"sample {number}"
            yield sdf_entry(one, name, fields) if kind == ".sdf" else _xyz(symbols, one.pos, fields)


def formula(symbols: list[str]) -> str:
    """Hill's order: C, H, then the alphabet."""
    counts = {s: symbols.count(s) for s in sorted(set(symbols), key=lambda s: (s != "C", s != "H" or "C" not in symbols, s))}
    return "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())


def _yes(value: bool | np.bool_) -> str:
    return "yes" if value else "no"


def _xyz(symbols: list[str], pos: np.ndarray, fields: dict[str, str]) -> str:
    comment = " ".join(f'{k}="{v}"' if " " in v or not v else f"{k}={v}" for k, v in fields.items())
    lines = [f"{s:<2s} {x:14.8f} {y:14.8f} {z:14.8f}" for s, (x, y, z) in zip(symbols, pos.tolist(), strict=True)]
    return "\n".join([str(len(symbols)), f"Properties=species:S:1:pos:R:3 {comment}", *lines]) + "\n"
