"""Who labels a molecule: GFN2-xTB, a column that is there, or a command of one's own, which is run as a list of arguments, by no shell."""

from __future__ import annotations

import csv
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from heliograph.data.formats import as_number
from heliograph.errors import DataError, StructureError, UsageError, suggest

Label = tuple[float | None, str]  # a number, or the reason why there is none
Oracle = Callable[[Sequence[int]], list[Label]]  # rows of a table -> a label each
PROPERTIES = ("gap", "homo", "lumo", "energy", "atomization_energy", "dipole")


def oracle(text: str, smiles: Sequence[str], cells: Sequence[Mapping[str, str]], timeout: float, option: str = "--oracle") -> Oracle:
    """The oracle that `text` says; `option` is for error texts. Raises UsageError."""
    kind, _, name = text.partition(":")
    if kind == "label" and "{" not in text:
        if name not in PROPERTIES:
            raise UsageError(f"{option} {text}: GFN2-xTB has no {name!r}; {suggest(name, PROPERTIES)}")
        return lambda rows: [_xtb(smiles[k], name) for k in rows]
    if kind == "column" and "{" not in text:
        if not cells or name not in cells[0]:
            raise UsageError(f"{option} {text}: the table has no column {name!r}; {suggest(name, cells[0] if cells else ())}")
        return lambda rows: [_number(cells[k][name]) for k in rows]
    words = _words(text, option)
    return lambda rows: _command(words, [smiles[k] for k in rows], timeout, option)


def _xtb(smiles: str, name: str) -> Label:
    from heliograph.chem.xtb import label

    try:
        return float(getattr(label(smiles), name)), ""
    except StructureError as error:
        return None, str(error)


def _number(cell: object) -> Label:
    value = as_number(cell) if isinstance(cell, str) else None
    return (value, "") if value is not None and np.isfinite(value) else (None, "no label")


def _words(text: str, option: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}") from None
    if not any("{in}" in word for word in words) or not any("{out}" in word for word in words):
        raise UsageError(f"{option} {text!r}: expected label:PROPERTY, column:NAME, or a command that names {{in}} and {{out}}")
    return words


def _command(words: Sequence[str], smiles: Sequence[str], timeout: float, option: str) -> list[Label]:
    """Write a CSV with `smiles`, run the command, read a CSV with `smiles,y` (and perhaps `reason`). Raises DataError where it fails."""
    with tempfile.TemporaryDirectory(prefix="heliograph-oracle-") as folder:
        given, answer = Path(folder) / "in.csv", Path(folder) / "out.csv"
        with open(given, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([["smiles"], *([text] for text in smiles)])
        command = [word.replace("{in}", str(given)).replace("{out}", str(answer)) for word in words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            return [(None, f"the oracle took more than {timeout:g} s")] * len(smiles)
        except OSError as error:
            raise UsageError(f"{option}: {command[0]} can't be run: {error.strerror or error}") from None
        if done.returncode or not answer.is_file():
            said = (done.stderr.strip().splitlines() or ["it wrote no {out}"])[-1][:200]
            raise DataError(f"the oracle {command[0]} ended with {done.returncode}: {said}. What was done is kept: go on with --resume.")
        with open(answer, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    found = {row.get("smiles", ""): row for row in rows}
    labels = []
    for text in smiles:
        row = found.get(text)
        value, why = _number((row or {}).get("y", ""))
        labels.append((value, "" if value is not None else (row or {}).get("reason") or ("no answer" if row is None else why)))
    return labels
