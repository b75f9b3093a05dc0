"""SDF: MDL blocks, each followed by its properties and `$$$$`; a MOL file is one block."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from heliograph.data.formats.table import PROBE_ROWS, Row, Source
from heliograph.data.formats.text import lines
from heliograph.data.record import MolBlock

_MAX_LINES = 200_000  # of one entry: beyond it `$$$$` is missing and the rest is not kept in memory


def open_sdf(path: Path) -> Source:
    """Columns are the property names seen in the first 1,000 entries, and the title line as `name` where there are titles."""
    columns: dict[str, None] = {}
    titled = False
    for row in islice(_rows(path, None), PROBE_ROWS):
        columns.update(dict.fromkeys(row.cells))
        titled = titled or bool(row.cells.get("name"))
    if not titled:
        columns.pop("name", None)
    names = tuple(columns)
    return Source(path.name, "sdf", names, lambda: _rows(path, names))


def _rows(path: Path, columns: tuple[str, ...] | None) -> Iterator[Row]:
    """One row per entry; `columns` None gives each entry's own."""
    for number, entry in _entries(path):
        cells, block, reason = _parse(entry)
        if columns is not None:
            cells = {name: cells.get(name, "") for name in columns}
        yield Row(None if reason else MolBlock(block), cells, reason, f"line {number}")


def _entries(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, lines without `$$$$`) of each entry."""
    entry: list[str] = []
    begin = 1
    for number, line in enumerate(lines(path), 1):
        if line.startswith("$$$$"):
            yield begin, entry
            entry, begin = [], number + 1
        elif len(entry) < _MAX_LINES:
            entry.append(line)
    if any(line.strip() for line in entry):
        yield begin, entry


def _parse(entry: list[str]) -> tuple[dict[str, str], str, str]:
    """(properties, MDL block, reason why not). The end of the block is `M  END`, or the first property where that is missing."""
    if len(entry) >= _MAX_LINES:
        return {}, "", f"entry is too long: more than {_MAX_LINES} lines without $$$$"
    end = next((k for k, line in enumerate(entry) if line.startswith("M  END")), None)
    at = next((k for k, line in enumerate(entry) if line.startswith(">")), len(entry)) if end is None else end + 1
    cells: dict[str, str] = {"name": entry[0].strip() if entry else ""}
    cells.update(_properties(entry[at:]))
    block = "\n".join(entry[:at]) + "\n"
    if not any(line.strip() for line in entry):
        return cells, block, "empty structure"
    return cells, block, "" if end is not None else "MDL block has no end: line `M  END` is missing"


def _properties(tail: list[str]) -> dict[str, str]:
    """`> <NAME>` lines, each followed by its value up to a blank line; several lines are kept with their line breaks."""
    out: dict[str, str] = {}
    name = ""
    value: list[str] = []
    for line in [*tail, ""]:
        if line.startswith(">") and not value and "<" in line:
            name = line[line.index("<") + 1 : line.rindex(">") if line.rindex(">") > line.index("<") else len(line)]
            out[name] = ""
        elif name and line.strip():
            value.append(line)
            out[name] = "\n".join(value)
        elif not line.strip():
            value = []
            name = ""
    return out
