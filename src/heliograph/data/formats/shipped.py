"""The sets that come with the package, read like a file of the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from heliograph.data.formats.table import Row, Source


def open_shipped(name: str) -> Source | None:
    """The set called `name`: a module of `heliograph.data.sets` with `COLUMNS` and `records()`; None where there is none."""
    if not name.isidentifier() or find_spec(f"heliograph.data.sets.{name}") is None:
        return None
    module = import_module(f"heliograph.data.sets.{name}")
    if not hasattr(module, "records"):
        return None
    columns = tuple(module.COLUMNS)

    def rows() -> Iterator[Row]:
        for record in module.records():
            cells = {column: str(record.meta.get(column, record.targets.get(column, ""))) for column in columns}
            yield Row(record.structure, cells, record.reason)

    return Source(name, "xyz", columns, rows)
