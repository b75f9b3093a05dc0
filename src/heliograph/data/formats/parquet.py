"""Parquet tables, one batch of rows in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from heliograph.data.formats.columns import LOOKED_AT, structure_column
from heliograph.data.formats.table import Row, Source, renamed, unique
from heliograph.data.formats.text import is_gzip
from heliograph.errors import DataError

_BATCH = 4096


def open_parquet(path: Path, smiles_column: str | None, usual: str | None = None) -> Source:
    """Columns as the file names them; cells as text, null as "". Raises DataError."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowInvalid

    if is_gzip(path):
        raise DataError(f"{path.name}: Parquet is compressed inside; unpack the .gz first (gunzip {path.name})")
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            columns = unique(names)
    except ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file, or is damaged: {str(error).splitlines()[0]}") from error
    if not columns:
        raise DataError(f"{path.name} has no columns")

    def rows(structure: str) -> Iterator[Row]:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                values = [column.to_pylist() for column in batch.columns]
                for cells in zip(*values, strict=True):
                    number += 1
                    row = dict(zip(columns, map(_text, cells), strict=True))
                    text = row.get(structure, "").strip()
                    yield Row(text or None, row, "" if text else "empty structure", f"row {number}")

    def probe() -> list[Mapping[str, str]]:
        return [row.cells for row in islice(rows(""), LOOKED_AT)]

    structure, why = structure_column(path.name, columns, probe, smiles_column, usual)
    return Source(
        path.name, "smiles", columns, lambda: rows(structure), structure, notes=tuple(filter(None, (renamed(names, columns), why)))
    )


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)
