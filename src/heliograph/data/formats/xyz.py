"""XYZ and extended XYZ: frames of `count`, `comment`, then one line per atom.

An extended comment holds `key=value` pairs: they become columns (`Lattice`, `Properties` and `pbc` describe the frame instead).
A plain comment becomes the column `comment`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from heliograph.chem.elements import NUMBERS, SYMBOLS
from heliograph.data.formats.table import PROBE_ROWS, Row, Source
from heliograph.data.formats.text import lines
from heliograph.data.record import Geometry
from heliograph.errors import StructureError

_PAIR = re.compile(r"""([A-Za-z_][\w.\-/()\[\]]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|\{([^}]*)\}|(\S+))""")
_OF_THE_FRAME = ("lattice", "properties", "pbc")
_TRUE = ("t", "true", "1")


def open_xyz(path: Path) -> Source:
    """Columns are the keys seen in the comments of the first 1,000 frames."""
    columns: dict[str, None] = {}
    for row in islice(_rows(path, None), PROBE_ROWS):
        columns.update(dict.fromkeys(row.cells))
    names = tuple(columns)
    return Source(path.name, "xyz", names, lambda: _rows(path, names))


def _rows(path: Path, columns: tuple[str, ...] | None) -> Iterator[Row]:
    for number, comment, body, reason in frames(path):
        found = info(comment)
        geometry = None
        if not reason:
            try:
                geometry = _geometry(found, body)
            except StructureError as error:
                reason = str(error)
        cells = {key: value for key, value in found.items() if key.lower() not in _OF_THE_FRAME}
        if columns is not None:
            cells = {name: cells.get(name, "") for name in columns}
        yield Row(geometry, cells, reason, f"line {number}")


def frames(path: Path) -> Iterator[tuple[int, str, list[str], str]]:
    """(line, comment, atom lines, reason) of each frame. After a damaged one, reading goes on at the next line that is a count alone."""
    source = enumerate(lines(path), 1)
    item = next(source, None)
    while item is not None:
        number, line = item
        if not line.strip():
            item = next(source, None)
            continue
        if not _is_count(line):
            yield number, "", [], "not a frame: expected the number of atoms alone on its line"
            while (item := next(source, None)) is not None and not _is_count(item[1]):
                pass
            continue
        comment = next(source, (0, ""))[1]
        body: list[str] = []
        item = next(source, None)
        while item is not None and len(body) < int(line) and not _is_count(item[1]):
            body.append(item[1])
            item = next(source, None)
        reason = "" if len(body) == int(line) else f"frame is cut: {len(body)} atom lines, {int(line)} announced"
        yield number, comment, body, reason


def _is_count(line: str) -> bool:
    text = line.strip()
    return text.isascii() and text.isdigit() and len(text) < 9


def info(comment: str) -> dict[str, str]:
    pairs = _PAIR.findall(comment)
    if not pairs:
        return {"comment": comment.strip()} if comment.strip() else {}
    return {key: quoted or single or braced or bare for key, quoted, single, braced, bare in pairs}


def _geometry(info: dict[str, str], body: list[str]) -> Geometry:
    if not body:
        raise StructureError("no atoms")
    folded = {key.lower(): value for key, value in info.items()}
    species, position = _columns(folded.get("properties", "species:S:1:pos:R:3"))
    z = np.empty(len(body), dtype=np.uint8)
    pos = np.empty((len(body), 3))
    for k, line in enumerate(body):
        parts = line.split()
        try:
            z[k] = element(parts[species])
            pos[k] = [float(text.replace("*^", "e")) for text in parts[position : position + 3]]
        except (IndexError, ValueError):
            raise StructureError(f"atom {k + 1} can't be read: {line.strip()[:60]!r}") from None
    if not np.isfinite(pos).all():
        raise StructureError("positions are not finite")
    box, pbc = cell(folded)
    return Geometry(z, pos, _charge(folded), box, pbc)


def _columns(properties: str) -> tuple[int, int]:
    """First column of the element and of the position, from `species:S:1:pos:R:3:...`."""
    parts = properties.split(":")
    at, found = 0, {}
    for name, _, width in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        found[name.lower()] = at
        at += int(width) if width.isdigit() else 0
    element = found.get("species", found.get("z", found.get("numbers")))
    position = found.get("pos", found.get("positions"))
    if element is None or position is None:
        raise StructureError(f"Properties names no species or no pos: {properties[:60]}")
    return element, position


def element(text: str) -> int:
    """Atomic number from a symbol in any case, with or without a label (`C`, `CL`, `C12`), or from a number."""
    if text.isascii() and text.isdigit():
        z = int(text)
    else:
        letters = re.match(r"[A-Za-z]{1,2}", text)
        symbol = letters.group().capitalize() if letters else ""
        z = NUMBERS.get(symbol, NUMBERS.get(symbol[:1], 0))
    if not 0 < z < len(SYMBOLS):
        raise StructureError(f"unknown element: {text[:20]!r}")
    return z


def _charge(folded: dict[str, str]) -> int:
    try:
        return round(float(folded.get("charge", "0")))
    except (ValueError, OverflowError):
        raise StructureError(f"charge is not a number: {folded['charge'][:20]!r}") from None


def cell(folded: dict[str, str]) -> tuple[np.ndarray | None, tuple[bool, bool, bool]]:
    if "lattice" not in folded:
        return None, (False, False, False)
    try:
        cell = np.array([float(text) for text in folded["lattice"].split()]).reshape(3, 3)
    except ValueError:
        raise StructureError(f"Lattice is not nine numbers: {folded['lattice'][:60]!r}") from None
    flags = [text.lower() in _TRUE for text in folded.get("pbc", "T T T").split()]
    if len(flags) != 3:
        raise StructureError(f"pbc is not three flags: {folded['pbc'][:20]!r}")
    return cell, (flags[0], flags[1], flags[2])
