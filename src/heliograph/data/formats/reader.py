"""From a name to a table: which reader reads it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from heliograph.data.formats.table import Source, Table, resolve
from heliograph.errors import DataError

KINDS = (".csv", ".tsv", ".txt", ".smi", ".parquet", ".sdf", ".xyz")  # or any of the text ones with .gz
_ALIASES = {
    ".tab": ".tsv",
    ".smiles": ".smi",
    ".ism": ".smi",
    ".can": ".smi",
    ".pq": ".parquet",
    ".sd": ".sdf",
    ".mol": ".sdf",
    ".extxyz": ".xyz",
}
_GZIP_ENDINGS = (".gz", ".bgz", ".gzip")


def read(
    path: str | os.PathLike[str],
    *,
    smiles_column: str | None = None,
    target_columns: Sequence[str] | None = None,
    weight_column: str | None = None,
    splits_column: str | None = None,
) -> Table:
    """Open a file, or a shipped or fetched set by its name, as a table of records.

    The structure column is `smiles` (any case), else the first; targets are every other numeric column (found from the first 1,000
    rows; columns of weights, splits, identifiers and row numbers left out), unless named. `target_columns=()` asks for none.
    Raises DataError: no such file, an unknown ending, no header, a column that isn't there, a damaged gzip file.
    """
    source = _open(path, smiles_column)
    return resolve(source, target_columns, weight_column, splits_column)


def ending(path: Path) -> str:
    """Which reader: one of `KINDS`, by the name's ending, `.gz` set aside. Raises DataError."""
    name = path.name.lower()
    for gzip_ending in _GZIP_ENDINGS:
        name = name.removesuffix(gzip_ending)
    suffix = Path(name).suffix
    suffix = _ALIASES.get(suffix, suffix)
    if suffix not in KINDS:
        known = ", ".join(sorted((*KINDS, *_ALIASES)))
        raise DataError(f"can't tell the format of {path.name}: expected a name that ends in one of {known}, with or without .gz")
    return suffix


def _open(name: str | os.PathLike[str], smiles_column: str | None) -> Source:
    from heliograph.data.formats.shipped import fetched, open_shipped

    path = Path(name)
    if path.suffix == ".npz" or not path.is_file():
        shipped = open_shipped(path.stem if path.suffix == ".npz" else os.fspath(name))
        if shipped is not None:
            return shipped
    if not path.is_file():
        public = fetched(os.fspath(name))
        if public is None and path.is_dir():
            raise DataError(f"{path} is a folder; expected a file of molecules")
        if public is None:
            raise DataError(f"no such file: {path} (and no data set of that name; `heliograph data` lists them)")
        path, column = public
        smiles_column = smiles_column or (column if ending(path) not in (".sdf", ".xyz") else None)
    try:
        return _open_file(path, smiles_column)
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}") from error


def _open_file(path: Path, smiles_column: str | None) -> Source:
    kind = ending(path)
    if kind in (".sdf", ".xyz") and smiles_column is not None:
        raise DataError(f"{path.name} holds structures itself: a SMILES column ({smiles_column!r}) can't be named for it")
    match kind:
        case ".smi":
            from heliograph.data.formats.delimited import open_smi

            return open_smi(path, smiles_column)
        case ".parquet":
            from heliograph.data.formats.parquet import open_parquet

            return open_parquet(path, smiles_column)
        case ".sdf":
            from heliograph.data.formats.sdf import open_sdf

            return open_sdf(path)
        case ".xyz":
            from heliograph.data.formats.xyz import open_xyz

            return open_xyz(path)
        case _:
            from heliograph.data.formats.delimited import open_delimited

            return open_delimited(path, {".csv": None, ".tsv": "\t"}.get(kind), smiles_column)
