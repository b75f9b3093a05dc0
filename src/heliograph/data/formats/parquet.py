"""Parquet tables, one batch of rows in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heliograph.data.formats.table import Row, Source, unique
from heliograph.data.formats.text import is_gzip
from heliograph.errors import DataError, suggest

_BATCH = 4096


def open_parquet(path: Path, smiles_column: str | None) -> Source:
    """Columns as the file names them; cells as text, null as "". Raises DataError."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowInvalid

    if is_gzip(path):
        raise DataError(f"{path.name}: Parquet is compressed inside; unpack the .gz first (gunzip {path.name})")
    try:
        with pq.ParquetFile(path) as file:
            columns = unique(file.schema_arrow.names)
    except ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file, or is damaged: {str(error).splitlines()[0]}") from error
    if not columns:
        raise DataError(f"{path.name} has no columns")
    if smiles_column is not None and smiles_column not in columns:
        raise DataError(f"{path.name} has no column {smiles_column!r}; {suggest(smiles_column, columns)}")
    structure = smiles_column or next((name for name in columns if name.lower() == "smiles"), columns[0])

    def rows() -> Iterator[Row]:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                values = [column.to_pylist() for column in batch.columns]
                for cells in zip(*values, strict=True):
                    number += 1
                    row = dict(zip(columns, map(_text, cells), strict=True))
                    text = row[structure].strip()
                    yield Row(text or None, row, "" if text else "empty structure", f"row {number}")

    return Source(path.name, "smiles", columns, rows, structure)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)
