"""SDF: MDL blocks, each followed by its properties and `$$$$`; a MOL file is one block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from heliograph.data.formats.table import PROBE_ROWS, Row, Source, unique
from heliograph.data.formats.text import lines
from heliograph.data.record import MolBlock

_ITEM = re.compile(r">[^<]*<(.*)>[^>]*$")  # a line that begins an item, wherever it stands
_MAX_LINES = 200_000  # of one entry: beyond it `$$$$` is missing and the rest is not kept in memory


def open_sdf(path: Path) -> Source:
    """Columns are the property names seen in the first 1,000 entries, and the title line as `name` where there are titles (as `title`
    where a property is called `name`)."""
    columns: dict[str, None] = {}
    there: set[str] = set()
    for row in islice(_rows(path, None), PROBE_ROWS):
        columns.update(dict.fromkeys(row.cells))
        there.update(name for name in ("name", "title") if row.cells.get(name))
    names = tuple(name for name in columns if name not in ("name", "title") or name in there)
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
    found = _properties(entry[at:])
    title = entry[0].strip() if entry else ""
    cells: dict[str, str] = {"title" if "name" in found else "name": title, **found}
    block = "\n".join(entry[:at]) + "\n"
    if not any(line.strip() for line in entry):
        return cells, block, "empty structure"
    return cells, block, "" if end is not None else "MDL block has no end: line `M  END` is missing"


def _properties(tail: list[str]) -> dict[str, str]:
    """`> <NAME>` lines, each followed by its value up to the next such line; several lines are kept with their line breaks."""
    out: dict[str, str] = {}
    name = ""
    value: list[str] = []
    for line in tail:
        if found := _ITEM.match(line):
            name = unique([*out, found[1].strip()])[-1]
            value = []
            out[name] = ""
        elif name:
            value.append(line)
            out[name] = "\n".join(value).strip()
    return out
