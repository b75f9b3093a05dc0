"""From a name to a table: which reader reads it."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from heliograph.data.formats.table import Source, Table, resolve
from heliograph.errors import DataError

KINDS = (".csv", ".tsv", ".txt", ".smi", ".parquet", ".sdf", ".xyz", ".xlsx")  # text ones also with .gz, .bz2, .xz or .zip
_ALIASES = {
    ".tab": ".tsv",
    ".smiles": ".smi",
    ".ism": ".smi",
    ".can": ".smi",
    ".pq": ".parquet",
    ".sd": ".sdf",
    ".mol": ".sdf",
    ".extxyz": ".xyz",
    ".xlsm": ".xlsx",
}
_PACKED = (".gz", ".bgz", ".gzip", ".bz2", ".xz", ".zip")


def read(
    path: str | os.PathLike[str],
    *,
    smiles_column: str | None = None,
    target_columns: Sequence[str] | None = None,
    weight_column: str | None = None,
    splits_column: str | None = None,
    usual_column: str | None = None,
    missing: Sequence[str] = (),
) -> Table:
    """Open a file, or a shipped or fetched set by its name, as a table of records.

    The structure column is the one named, `usual_column` (training's), `smiles` in any case, a name that means it, or the column whose
    cells are molecules; `Table.notes` says which. Targets are every other column of numbers or of two classes in words (found from the
    first 1,000 rows), unless named; `Table.left_out` says why the others are not. `target_columns=()` asks for none. `missing`: marks
    for missing cells beside the usual ones. "-" reads a CSV table from standard input.
    Raises DataError: no such file, an unknown ending, no header, a column that isn't there, a damaged archive.
    """
    source = _open(path, smiles_column, usual_column)
    return resolve(source, target_columns, weight_column, splits_column, missing)


def ending(path: Path) -> str:
    """Which reader: one of `KINDS`, by the name's ending, `.gz` set aside. Raises DataError."""
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    suffix = Path(name).suffix
    suffix = _ALIASES.get(suffix, suffix)
    if suffix not in KINDS:
        known = ", ".join(sorted((*KINDS, *_ALIASES)))
        packed = ", ".join(_PACKED)
        raise DataError(f"can't tell the format of {path.name}: expected a name that ends in one of {known}, with or without {packed}")
    return suffix


@cache
def standard_input() -> Path:
    """Standard input as a file, which is removed when the process ends: a table is read several times."""
    folder = tempfile.mkdtemp(prefix="heliograph-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "stdin.csv"
    with path.open("xb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _open(name: str | os.PathLike[str], smiles_column: str | None, usual: str | None) -> Source:
    from heliograph.data.formats.shipped import fetched, open_shipped

    path = standard_input() if os.fspath(name) == "-" else Path(name)
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
        return _open_file(path, smiles_column, usual)
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}") from error


def _open_file(path: Path, smiles_column: str | None, usual: str | None) -> Source:
    kind = ending(path)
    if kind in (".sdf", ".xyz") and smiles_column is not None:
        raise DataError(f"{path.name} holds structures itself: a SMILES column ({smiles_column!r}) can't be named for it")
    match kind:
        case ".smi":
            from heliograph.data.formats.delimited import open_smi

            return open_smi(path, smiles_column)
        case ".parquet":
            from heliograph.data.formats.parquet import open_parquet

            return open_parquet(path, smiles_column, usual)
        case ".xlsx":
            from heliograph.data.formats.excel import open_excel

            return open_excel(path, smiles_column, usual)
        case ".sdf":
            from heliograph.data.formats.sdf import open_sdf

            return open_sdf(path)
        case ".xyz":
            from heliograph.data.formats.xyz import open_xyz

            return open_xyz(path)
        case _:
            from heliograph.data.formats.delimited import open_delimited

            return open_delimited(path, {".csv": None, ".tsv": "\t"}.get(kind), smiles_column, usual)
