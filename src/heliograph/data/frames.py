"""Frames: atoms in space with whatever their file says about them, one by one.

    for frame in read("trajectory.extxyz"):
        frame.z, frame.pos, frame.cell, frame.info["energy"], frame.arrays["forces"]

Extended XYZ is read here; .traj, .db, POSCAR, CIF and what else ASE knows through `heliograph.chem.ase_frames`. Values are taken as
the file has them: no constraint changes a force, no calculator is asked. A frame that can't be used keeps its place with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.chem.elements import SYMBOLS
from heliograph.data.formats import xyz
from heliograph.errors import DataError, StructureError

XYZ = (".xyz", ".extxyz")
TABLES = (".csv", ".tsv", ".smi", ".parquet")  # of molecules


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One structure: `z` [n] uint8, `pos` [n, 3] float64 angstrom, `cell` [3, 3] rows or None.

    `info`: values of the whole structure, text or numbers. `arrays`: numbers of each atom, [n] or [n, k]. `reason` is not empty
    where the frame can't be used, `where` says where it stands ("line 12", "frame 3").
    """

    z: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    pos: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    cell: np.ndarray | None = None
    pbc: tuple[bool, bool, bool] = (False, False, False)
    info: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    reason: str = ""
    where: str = ""


def is_xyz(path: Path) -> bool:
    """Whether a name ends as (extended) XYZ does, with or without .gz."""
    name = path.name.lower()
    return name.removesuffix(".gz").endswith(XYZ)


def read(path: str | Path) -> Iterator[Frame]:
    """Yield the frames of a file, lazily. Raises DataError where there is no such file, or its format is not known."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no such file: {path}. Give frames as .extxyz, .traj, .db, POSCAR, .cif, ...")
    if is_xyz(path):
        return _read_xyz(path)
    if path.name.lower().removesuffix(".gz").endswith(TABLES):
        raise DataError(
            f"{path} is a table of molecules by its name; frames are .extxyz, .traj, .db, POSCAR, .cif, ... "
            "For a table, `heliograph predict` with a model of molecules."
        )
    from heliograph.chem import ase_frames

    return ase_frames.read(path)


def _read_xyz(path: Path) -> Iterator[Frame]:
    for number, comment, body, reason in xyz.frames(path):
        where = f"line {number}"
        if reason:
            yield Frame(reason=reason, where=where)
            continue
        try:
            yield _frame(xyz.info(comment), body, where)
        except StructureError as error:
            yield Frame(reason=str(error), where=where)


def _frame(info: dict[str, str], body: list[str], where: str) -> Frame:
    if not body:
        raise StructureError("no atoms")
    folded = {key.lower(): value for key, value in info.items()}
    columns = _columns(folded.get("properties", "species:S:1:pos:R:3"))
    tokens = [line.split() for line in body]
    width = max(stop for _, stop, _ in columns.values())
    for k, row in enumerate(tokens):
        if len(row) < width:
            raise StructureError(f"atom {k + 1} can't be read: {body[k].strip()[:60]!r}")
    element = next((n for n in ("species", "symbols", "z", "numbers") if n in columns), None)
    place = next((n for n in ("pos", "positions") if n in columns), None)
    if element is None or place is None:
        raise StructureError(f"Properties names no species or no pos: {folded.get('properties', '')[:60]}")
    start = columns[element][0]
    z = np.array([xyz.element(row[start]) for row in tokens], dtype=np.uint8)
    arrays: dict[str, np.ndarray] = {}
    for name, (a, b, kind) in columns.items():
        if name == element or kind == "S":
            continue
        arrays[name] = _numbers([row[a:b] for row in tokens], name, kind)
    pos = arrays.pop(place).reshape(len(z), -1)
    if pos.shape[1] != 3 or not np.isfinite(pos).all():
        raise StructureError("positions are not finite")
    cell, pbc = xyz.cell(folded)
    return Frame(z, pos, cell, pbc, info, arrays, where=where)


def _columns(properties: str) -> dict[str, tuple[int, int, str]]:
    """Return name -> (first column, one past the last, kind) from `species:S:1:pos:R:3:...`."""
    parts = properties.split(":")
    found: dict[str, tuple[int, int, str]] = {}
    at = 0
    for name, kind, width in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        if not width.isdigit():
            raise StructureError(f"Properties can't be read: {properties[:60]!r}")
        key = name.lower() if name.lower() in ("species", "pos", "z", "symbols", "positions") else name
        found[key] = (at, at + int(width), kind.upper())
        at += int(width)
    return found


def _numbers(rows: list[list[str]], name: str, kind: str) -> np.ndarray:
    """Return one column group of all atoms as numbers, [n] where it is one column wide, else [n, k]."""
    try:
        if kind == "L":
            values = np.array([[t.lower() in ("t", "true", "1") for t in row] for row in rows], float)
        else:
            values = np.array(rows, dtype=np.float64)
    except ValueError:
        try:  # Fortran's exponents, and *^ as Mathematica writes them
            fixed = [[t.replace("*^", "e").replace("D", "e").replace("d", "e") for t in row] for row in rows]
            values = np.array(fixed, dtype=np.float64)
        except ValueError:
            raise StructureError(f"{name} is not a number in every atom's line") from None
    return values[:, 0] if values.shape[1] == 1 else values


def numbers(value: Any) -> np.ndarray:
    """Return a value of `info` as numbers [k]: text of numbers apart by blanks or commas, as ASE's `_JSON [[...]]`, a number, an array.

    Raises StructureError where it is something else.
    """
    try:
        if isinstance(value, str):
            text = value.removeprefix("_JSON").replace(",", " ").replace("[", " ").replace("]", " ")
            return np.array([float(part) for part in text.split()])
        return np.asarray(value, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise StructureError(f"not a number: {str(value)[:40]!r}") from None


def text_of(frame: Frame) -> str:
    """Return a frame as extended XYZ: `info` in the comment, `arrays` as columns. Text and numbers only; a frame without atoms is kept."""
    columns = [f"{name}:{_kind(values)}:{1 if values.ndim == 1 else values.shape[1]}" for name, values in frame.arrays.items()]
    head = [f"Properties={':'.join(['species:S:1:pos:R:3', *columns])}"]
    if frame.cell is not None:
        head.insert(0, f'Lattice="{_joined(frame.cell)}"')
    head += [f"{_quoted(name)}={_value(value)}" for name, value in frame.info.items() if name.lower() not in _OF_THE_FRAME]
    head.append(f'pbc="{" ".join("FT"[flag] for flag in frame.pbc)}"')
    lines = [str(len(frame.z)), " ".join(head)]
    blocks = [frame.pos, *(values.reshape(len(frame.z), -1) for values in frame.arrays.values())]
    for k, z in enumerate(frame.z):
        lines.append(f"{SYMBOLS[int(z)]:<2} " + " ".join(_joined(block[k]) for block in blocks))
    return "\n".join(lines) + "\n"


_OF_THE_FRAME = ("lattice", "properties", "pbc")


def _kind(values: np.ndarray) -> str:
    return "I" if values.dtype.kind in "iub" else "R"


def _joined(values: np.ndarray) -> str:
    if np.asarray(values).dtype.kind in "iub":
        return " ".join(str(int(v)) for v in np.ravel(values))
    return " ".join(f"{v:.12g}" for v in np.ravel(values))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'") + '"' if any(c in text for c in " =\"'{}[],\t") or not text else text


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value.replace("\n", " "))
    if isinstance(value, bool | np.bool_):
        return "T" if value else "F"
    array = np.asarray(value)
    if array.dtype.kind not in "iufb":
        return _quoted(str(value).replace("\n", " "))
    return _joined(array) if array.ndim == 0 or array.size == 1 else f'"{_joined(array)}"'
