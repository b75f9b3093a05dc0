"""Sets by their name: those that come with the package, read like a file of the same rows, and those that were fetched."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from heliograph.data.formats.table import Row, Source


def open_shipped(name: str) -> Source | None:
    """The set called `name`: a module of `heliograph.data.sets` with `COLUMNS`, `KIND` and `records()`; None where there is none."""
    if not name.isidentifier() or find_spec(f"heliograph.data.sets.{name}") is None:
        return None
    module = import_module(f"heliograph.data.sets.{name}")
    if not hasattr(module, "records"):
        return None
    columns = tuple(module.COLUMNS)

    def rows() -> Iterator[Row]:
        for record in module.records():
            yield Row(record.structure, {column: record.meta.get(column, "") for column in columns}, record.reason)

    return Source(name, module.KIND, columns, rows, units=getattr(module, "UNITS", {}))


def fetched(name: str) -> tuple[Path, str | None] | None:
    """File and structure column of the public set called `name`; None where no set has that name.

    Raises DataError for a set that was not fetched yet, with the command that fetches it.
    """
    from heliograph.data import sets

    one = next((one for one in sets.catalogue() if one.name == name and not one.shipped), None)
    return (sets.path_of(name), one.smiles_column) if one is not None else None
