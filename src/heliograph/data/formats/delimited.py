"""CSV, TSV and other delimited tables with a header, and SMI files without one."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from pathlib import Path

from heliograph.data.formats.cells import as_number
from heliograph.data.formats.columns import LOOKED_AT, STRUCTURES, structure_column
from heliograph.data.formats.table import Row, Source, renamed, unique
from heliograph.data.formats.text import SEP_LINE, lines
from heliograph.errors import DataError

_MAX_QUOTED_LINES = 64  # a quoted field that isn't closed by then was never meant to span lines
_SMI_COLUMNS = ("smiles", "name")
_SEPARATORS = (",", "\t", ";", "|")


def open_delimited(path: Path, delimiter: str | None, smiles_column: str | None, usual: str | None = None) -> Source:
    """A table with a header, by the rules of CSV; `delimiter` None finds out (comma, tab, semicolon, pipe). Raises DataError."""
    said = SEP_LINE.fullmatch(next(lines(path), "").strip(" \r\n"))
    if said:
        delimiter = said[1].replace("\\t", "\t")
    reader = RowReader(lines(path))
    if said:
        reader.skip()
    header, separator = reader.header(delimiter)
    if not any(name.strip() for name in header):
        raise DataError(f"{path.name} has no header line: the first line names the columns, for instance smiles,y")
    names = [" ".join(name.split()) for name in header]
    columns = unique(names)
    _check_header(path, columns)
    if sum(bool(name) for name in columns) == 1:
        _check_single(path, header)

    def rows(structure: str) -> Iterator[Row]:
        return _rows(path, separator, bool(said), columns, structure)

    def probe() -> list[Mapping[str, str]]:
        return [row.cells for row in islice(rows(""), LOOKED_AT) if not row.reason or row.reason == "empty structure"]

    structure, why = structure_column(path.name, columns, probe, smiles_column, usual)
    notes = tuple(filter(None, (renamed(names, columns), why)))
    return Source(path.name, "smiles", columns, lambda: rows(structure), structure, separator=separator, notes=notes)


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    """A first line that is a row: a molecule and a number. Raises DataError."""
    if not any(as_number(name) is not None for name in columns):
        return
    from heliograph.chem.parse import bonds_in

    if any(bonds_in(name) for name in columns):
        shown = ", ".join(columns)[:80]
        raise DataError(f"{path.name} has no header line: it begins with a row ({shown}). Put the columns' names above it, like smiles,y")


def _check_single(path: Path, header: list[str]) -> None:
    """A first line with one name, though there are more columns: a title above the header, or blanks between. Raises DataError."""
    near = list(islice((line for line in lines(path) if line.strip()), 20))
    name = next(name.strip() for name in header if name.strip())
    for number, (line, following) in enumerate(pairwise(near[1:]), 2):
        separator = max(_SEPARATORS, key=line.count)
        names = [field.strip() for field in line.split(separator)]
        like = len(names) > 1 and following.count(separator) == len(names) - 1
        if like and any(pattern.fullmatch(name) for pattern in STRUCTURES for name in names):
            shown = ", ".join(names)[:60]
            raise DataError(
                f"{path.name} begins with {name[:40]!r}, which names no columns; line {number} does ({shown}). Delete what is above it"
            )
    words, single = len(name.split()), not any(separator in line for separator in _SEPARATORS for line in near)
    if single and words > 1 and len(near) > 2 and all(len(line.split()) == words for line in near[1:]):
        raise DataError(f"{path.name} has blanks between its columns ({name[:60]!r}); write a comma or a tab there")


def open_smi(path: Path, smiles_column: str | None) -> Source:
    """Lines `SMILES [name]`, a blank or a comma between them, no header (one that says smiles is skipped)."""
    if smiles_column not in (None, "smiles"):
        raise DataError(f"{path.name}: an SMI file has the columns smiles and name; got --smiles-columns {smiles_column!r}")
    first = _of_smi(next((line for line in lines(path)), ""))[0].lower()
    skip = 1 if "smiles" in first or first in ("smile", "smi") else 0

    def rows() -> Iterator[Row]:
        for number, line in islice(enumerate(lines(path), 1), skip, None):
            text, name = _of_smi(line)
            yield Row(text or None, {"smiles": text, "name": name}, "" if line.strip() else "blank line", f"line {number}")

    return Source(path.name, "smiles", _SMI_COLUMNS, rows, "smiles")


def _of_smi(line: str) -> tuple[str, str]:
    """SMILES and name; a CXSMILES part (` |...|`) belongs to the SMILES, a comma or a semicolon never does."""
    text, _, rest = line.strip().partition(" ")
    if rest.startswith("|") and (end := rest.find("|", 1)) > 0:
        return f"{text} {rest[: end + 1]}", rest[end + 1 :].strip()
    found = re.match(r"([^\s,;]*)[\s,;]*(.*)", line.strip())
    assert found is not None
    return found[1], found[2].strip()


def _rows(path: Path, delimiter: str, said: bool, columns: tuple[str, ...], structure: str) -> Iterator[Row]:
    n = len(columns)
    empty = dict.fromkeys(columns, "")
    reader = RowReader(lines(path))
    if said:
        reader.skip()
    reader.header(delimiter)
    while (row := reader.next_row(delimiter, n)) is not None:
        fields, reason = row
        where = f"line {reader.number}"
        if not any(field.strip() for field in fields):
            yield Row(None, empty, "blank line", where)
            continue
        if len(fields) > n and not any(field.strip() for field in fields[n:]):  # separators at the end of the line
            fields = fields[:n]
        if len(fields) != n and not reason:
            reason = f"wrong number of fields: {len(fields)}, header has {n}"
            if any(field.startswith("InChI=") for field in fields):
                reason += " (InChI holds commas: it must be quoted, and is not SMILES)"
        if len(fields) > n:  # what is too much stays in the last column, so that nothing of the row is lost
            fields = [*fields[: n - 1], delimiter.join(fields[n - 1 :])]
        cells = {**empty, **dict(zip(columns, fields, strict=False))} if len(fields) < n else dict(zip(columns, fields, strict=True))
        text = cells.get(structure, "").strip()
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

    def skip(self) -> None:
        """Pass over one line."""
        self._next()
        self.taken += 1

    def header(self, delimiter: str | None) -> tuple[list[str], str]:
        """Names of the columns, which may span lines within quotes, and the separator: as given, or the most frequent outside quotes."""
        text = line = self._next() or ""
        more: list[str] = []
        while text.count('"') % 2 and len(more) < _MAX_QUOTED_LINES and (following := self._next()) is not None:
            more.append(following)
            text = "\n".join([line, *more])
        if text.count('"') % 2:  # never closed: the first line alone
            self._ahead.extendleft(reversed(more))
            text, more = line, []
        self.taken += 1 + len(more)
        if delimiter is None:
            delimiter = max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", text).count)
        names = text.split(delimiter)
        if '"' in text:
            with contextlib.suppress(csv.Error):
                names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [""])
        return names, delimiter

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
