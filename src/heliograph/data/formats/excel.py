"""Excel workbooks (.xlsx): the first sheet, its first filled row as the header."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from heliograph.data.formats.columns import LOOKED_AT, structure_column
from heliograph.data.formats.table import Row, Source, renamed, unique
from heliograph.errors import DataError, HeliographError


def open_excel(path: Path, smiles_column: str | None, usual: str | None = None) -> Source:
    """Cells as text, as the workbook last showed their values (formulas are not computed). Raises DataError."""
    first = next(((number, cells) for number, cells in _cells(path) if any(cells)), None)
    if first is None:
        raise DataError(f"{path.name}: its first sheet is empty")
    begin, header = first
    while header and not header[-1]:
        header = header[:-1]
    names = [" ".join(name.split()) for name in header]
    columns = unique(names)
    n = len(columns)

    def rows(structure: str) -> Iterator[Row]:
        blank: list[int] = []
        for number, found in islice(_cells(path), begin, None):
            if not any(found):
                blank.append(number)  # rows below the table are no rows
                continue
            yield from (Row(None, dict.fromkeys(columns, ""), "blank line", f"row {k}") for k in blank)
            blank.clear()
            cells = dict(zip(columns, [*found, *[""] * n], strict=False))
            reason = "wrong number of fields: a cell beyond the header" if any(found[n:]) else ""
            text = cells.get(structure, "").strip()
            yield Row(None if reason else text or None, cells, reason or ("" if text else "empty structure"), f"row {number}")

    def probe() -> list[Mapping[str, str]]:
        return [row.cells for row in islice(rows(""), LOOKED_AT)]

    structure, why = structure_column(path.name, columns, probe, smiles_column, usual)
    return Source(
        path.name, "smiles", columns, lambda: rows(structure), structure, notes=tuple(filter(None, (renamed(names, columns), why)))
    )


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number from 1, texts) of each row of the first sheet."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise HeliographError(f"{path.name}: reading .xlsx needs openpyxl: pip install 'heliograph[excel]', or save it as .csv") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with path.open("rb") as file, closing(load_workbook(file, read_only=True, data_only=True, keep_links=False)) as book:
                for number, row in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
                    yield number, [_text(value) for value in row]
    except DataError:
        raise
    except Exception as error:  # whatever a damaged archive makes its reader say
        raise DataError(f"{path.name} is no Excel workbook, or is damaged: {type(error).__name__} {str(error)[:80]}") from None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
