"""Writers of a table row by row: CSV and TSV (plain or gzipped) and Parquet. They don't close half-way: the caller renames."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from heliograph.errors import UsageError

FORMULA = "=+-@＝＋－＠"  # what makes a spreadsheet run a cell, with the wide forms that some programs take for them
PARQUET_ROWS = 20_000
KINDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


def check_output(out: Path, inputs: Iterable[Path], overwrite: bool) -> None:
    """Say before the work whether `out` may be written.

    Raises UsageError for a folder, for one of the inputs, and for what is there already where `overwrite` is not given.
    """
    if out.is_dir():
        raise UsageError(f"-o {out} is a folder. Give the name of a file, like {out / 'table.csv'}.")
    if any(os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path) for path in inputs):
        raise UsageError(f"-o {out} is the input itself. Give another name.")
    if os.path.lexists(out) and not overwrite:
        raise UsageError(f"{out} exists. Give --overwrite to replace it, or another name with -o.")


class Writer(Protocol):
    def row(self, cells: Sequence[str], answers: Sequence[Any], reason: str) -> None:
        """One row: the input's cells as they stood, the answers (None = none), the reason."""


@contextmanager
def open_writer(path: Path, name: str, columns: Sequence[str], numeric: Set[str], safe: bool = False) -> Iterator[Writer]:
    """A writer to `path` in the format that the final `name` says. Raises UsageError for a format there is none for.

    `safe`: in text formats, cells that a spreadsheet would run as a formula begin with an apostrophe (`harmless`).
    """
    if name.endswith(".parquet"):
        writer = ParquetRows(path, columns, numeric)
        try:
            yield writer
        except BaseException:
            writer.close(flush=False)
            raise
        writer.close()
        return
    plain = name.removesuffix(".gz")
    if not plain.endswith((".csv", ".tsv", ".txt")):
        raise UsageError(f"-o {name}: can't tell the format. Give a name that ends in {', '.join(KINDS)}.")
    with _open_text(path, name.endswith(".gz")) as file:
        yield TextRows(file, columns, "," if plain.endswith(".csv") else "\t", safe)


def _open_text(path: Path, zipped: bool) -> io.TextIOWrapper:
    raw = gzip.open(path, "wb", compresslevel=6) if zipped else open(path, "wb")  # noqa: SIM115 (the caller closes it)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")


class TextRows:
    """Comma- or tab-separated; bytes of the input that are no UTF-8 come out as they went in."""

    def __init__(self, file: io.TextIOWrapper, columns: Sequence[str], delimiter: str, safe: bool = False):
        self._write: Callable[[Sequence[str]], object] = csv.writer(file, delimiter=delimiter, lineterminator="\n").writerow
        self._safe = safe
        self._row(columns)

    def row(self, cells: Sequence[str], answers: Sequence[Any], reason: str) -> None:
        self._row([*cells, *map(_text, answers), reason])

    def _row(self, cells: Sequence[str]) -> None:
        self._write([harmless(cell) for cell in cells] if self._safe else cells)


def harmless(cell: str) -> str:
    """Return a cell's text, with an apostrophe before `=`, `+`, `-`, `@` (and their wide forms) where it is no number: no formula then."""
    if cell.lstrip()[:1] not in FORMULA or not cell.strip():
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


class ParquetRows:
    """Input columns as strings, answers as doubles (a class as a string), in row groups."""

    def __init__(self, path: Path, columns: Sequence[str], numeric: Set[str]):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pa = pa
        self._schema = pa.schema([(name, pa.float64() if name in numeric else pa.string()) for name in columns])
        self._writer = pq.ParquetWriter(path, self._schema)
        self._rows: list[list[Any]] = []

    def row(self, cells: Sequence[str], answers: Sequence[Any], reason: str) -> None:
        self._rows.append([*map(_utf8, cells), *answers, _utf8(reason)])
        if len(self._rows) >= PARQUET_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        arrays = [self._pa.array(list(c), kind.type) for c, kind in zip(zip(*self._rows, strict=True), self._schema, strict=True)]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()

    def close(self, flush: bool = True) -> None:
        if flush:
            self._flush()
        self._writer.close()


def _utf8(text: str) -> str:
    """Parquet's strings are UTF-8: other bytes become \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") if not text.isascii() else text
