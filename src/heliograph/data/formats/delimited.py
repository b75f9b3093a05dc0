"""CSV, TSV and other delimited tables with a header, and SMI files without one."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from heliograph.data.formats.table import Row, Source, unique
from heliograph.data.formats.text import lines
from heliograph.errors import DataError, suggest

_MAX_QUOTED_LINES = 64  # a quoted field that isn't closed by then was never meant to span lines
_SMI_COLUMNS = ("smiles", "name")


def open_delimited(path: Path, delimiter: str | None, smiles_column: str | None) -> Source:
    """A table with a header line; `delimiter` None finds out (comma, tab, semicolon). Raises DataError."""
    header = next((line for line in lines(path)), None)
    if header is None or not header.strip():
        raise DataError(f"{path.name} has no header line: the first line names the columns, for instance smiles,y")
    if delimiter is None:
        delimiter = max((",", "\t", ";"), key=header.count)
    names, _ = _loose(header, delimiter)
    columns = unique([name.strip() for name in names])
    structure = _structure_column(path, columns, smiles_column)

    def rows() -> Iterator[Row]:
        return _rows(path, delimiter, columns, structure)

    return Source(path.name, "smiles", columns, rows, structure)


def open_smi(path: Path, smiles_column: str | None) -> Source:
    """Lines `SMILES [name]`, no header (one that says `smiles` is skipped)."""
    if smiles_column not in (None, "smiles"):
        raise DataError(f"{path.name}: an SMI file has the columns smiles and name; got --smiles-columns {smiles_column!r}")
    first = next((line for line in lines(path)), "").split()
    skip = 1 if first and first[0].lower() in ("smiles", "smile") else 0

    def rows() -> Iterator[Row]:
        for number, line in islice(enumerate(lines(path), 1), skip, None):
            parts = line.split(None, 1)
            cells = {"smiles": parts[0] if parts else "", "name": parts[1].strip() if len(parts) > 1 else ""}
            yield Row(cells["smiles"] or None, cells, "" if parts else "blank line", f"line {number}")

    return Source(path.name, "smiles", _SMI_COLUMNS, rows, "smiles")


def _structure_column(path: Path, columns: tuple[str, ...], asked: str | None) -> str:
    if asked is not None:
        if asked not in columns:
            raise DataError(f"{path.name} has no column {asked!r}; {suggest(asked, columns)}")
        return asked
    return next((name for name in columns if name.lower() == "smiles"), columns[0])


def _rows(path: Path, delimiter: str, columns: tuple[str, ...], structure: str) -> Iterator[Row]:
    n = len(columns)
    empty = dict.fromkeys(columns, "")
    reader = RowReader(lines(path))
    reader.next_row(delimiter, n)  # the header
    while (row := reader.next_row(delimiter, n)) is not None:
        fields, reason = row
        where = f"line {reader.number}"
        if not any(field.strip() for field in fields):
            yield Row(None, empty, "blank line", where)
            continue
        if len(fields) != n and not reason:
            reason = f"wrong number of fields: {len(fields)}, header has {n}"
        if len(fields) > n:  # what is too much stays in the last column, so that nothing of the row is lost
            fields = [*fields[: n - 1], delimiter.join(fields[n - 1 :])]
        cells = {**empty, **dict(zip(columns, fields, strict=False))} if len(fields) < n else dict(zip(columns, fields, strict=True))
        text = cells[structure].strip()
        yield Row(None if reason else text or None, cells, reason or ("" if text else "empty structure"), where)


class RowReader:
    """Rows out of lines, where a quoted field may span some. A quote that is never closed costs its own line, not the rest."""

    def __init__(self, source: Iterator[str]):
        self._source = source
        self._ahead: deque[str] = deque()
        self.taken = 0
        self.number = 0  # of the line on which the row began, from 1

    def _next(self) -> str | None:
        return self._ahead.popleft() if self._ahead else next(self._source, None)

    def next_row(self, delimiter: str, n: int) -> tuple[list[str], str] | None:
        """Fields and, where they could not be told apart, the reason; None at the end."""
        line = self._next()
        if line is None:
            return None
        self.number = self.taken + 1
        self.taken += 1
        if '"' not in line:
            return line.split(delimiter), ""
        try:
            return _quoted(line, delimiter), ""
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                return _loose(line, delimiter)
        return self._spanning(line, delimiter, n) or (line.split(delimiter), "unclosed quote")

    def _spanning(self, line: str, delimiter: str, n: int) -> tuple[list[str], str] | None:
        """The row that begins on `line` and ends some lines later, if there is one with `n` fields; else nothing is taken."""
        more: list[str] = []
        while len(more) < _MAX_QUOTED_LINES and (following := self._next()) is not None:
            more.append(following)
            if '"' not in following:
                continue
            try:
                fields = _quoted("\n".join([line, *more]), delimiter)
            except csv.Error:
                continue
            if len(fields) == n and not _looks_like_rows(more[:-1], delimiter, n):
                self.taken += len(more)
                return fields, ""
        self._ahead.extendleft(reversed(more))
        return None


def _looks_like_rows(between: list[str], delimiter: str, n: int) -> bool:
    """Lines between two quotes that are rows themselves, most of them: then the quotes are two damaged rows, not one long field."""
    return len(between) > 1 and sum(line.count(delimiter) == n - 1 for line in between) > len(between) / 2


def _quoted(text: str, delimiter: str) -> list[str]:
    """Fields of one row, quotes by the book. Raises csv.Error, also where a quote is not closed."""
    return next(csv.reader([text], delimiter=delimiter, strict=True), [""])


def _loose(line: str, delimiter: str) -> tuple[list[str], str]:
    """Fields where something follows a closing quote: what the csv module makes of it."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [""]), ""
    except csv.Error as error:
        return line.split(delimiter), f"unreadable row: {error}"
