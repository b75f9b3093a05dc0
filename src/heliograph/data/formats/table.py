"""A table of structures: its columns, which of them are targets, and its rows as records, read anew at each iteration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise

from heliograph.data.record import Record, Structure
from heliograph.errors import DataError, suggest

PROBE_ROWS = 1000  # rows looked at to find out which columns are numeric
MISSING = frozenset(("", "nan", "na", "n/a", "#n/a", "null", "none"))  # compared in lower case
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)
_COUNTING = "id|ids|idx|index|no|nr|num|number"  # alone or after one of the next line: a refractive index stays a target
_THING = "mol|molecule|cmpd|compound|chembl|sample|entry|row|record|line|pubchem|cid"
_ID_LIKE = re.compile(rf"(.*[\s_-])?(ids?|idx|cas|cid|inchikey)|(({_THING})[\s_-]*)?({_COUNTING})|row|unnamed: \d+", re.IGNORECASE)
_SPLIT_LIKE = re.compile(r"(.*[\s_-])?(splits?|folds?)", re.IGNORECASE)
_WEIGHT_LIKE = re.compile(r"(sample[\s_-]?)?weights?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as a format reader sees it: the structure if there is one, the cells by column, or the reason why not."""

    structure: Structure | None
    cells: Mapping[str, str]
    reason: str = ""
    where: str = ""  # "line 17"


@dataclass(frozen=True, slots=True)
class Source:
    """What a format reader hands over: columns in the file's order and a function that reads the rows from the start."""

    name: str
    kind: str  # "smiles", "sdf" or "xyz"
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    smiles_column: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)


def is_missing(cell: str) -> bool:
    """Blank, or one of the words that stand for missing (NaN, NA, N/A, null, none)."""
    return cell.strip().lower() in MISSING


def as_number(cell: str) -> float | None:
    """The number in a cell as a table writes one (`1e-3`, `-.5`, `inf`), else None: `1_000` and other alphabets are no numbers."""
    text = cell.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a file as records; iterate as often as you like, each time from the start and lazily.

    `columns`: input columns in order (an SDF's property names, the keys of an extended XYZ comment). `targets`: the target columns,
    as asked for or every numeric column that is not the structure, a weight, a split, an identifier or a count of the rows.
    `smiles_column` is None for SDF and XYZ. `kind` is "smiles", "sdf" or "xyz". `name` is the file's, for messages.
    `units`: of the columns whose unit the source knows.
    """

    columns: tuple[str, ...]
    targets: tuple[str, ...]
    smiles_column: str | None
    kind: str
    name: str
    _rows: Callable[[], Iterator[Row]] = field(repr=False)
    _weight_column: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Record]:
        for number, row in enumerate(self._rows()):
            yield self._record(number, row)

    def _record(self, number: int, row: Row) -> Record:
        targets = {name: cell for name in self.targets if (cell := row.cells.get(name, "")) and not is_missing(cell)}
        structure, reason, weight = row.structure, row.reason, 1.0
        if structure is None and not reason:
            reason = "empty structure"
        if self._weight_column is not None and not reason:
            cell = row.cells.get(self._weight_column, "")
            number_read = as_number(cell)
            if number_read is None or not 0.0 <= number_read < float("inf"):
                reason, structure = f"weight is not a number >= 0: {cell[:40]!r}", None
            else:
                weight = number_read
        if reason and row.where:
            reason += f"{',' if ':' in reason else ':'} {row.where}"
        return Record(str(number), structure, targets, weight, row.cells, reason)


def resolve(source: Source, target_columns: Sequence[str] | None, weight_column: str | None, splits_column: str | None) -> Table:
    """Check the columns asked for and find the default targets. Raises DataError naming the columns that there are."""
    asked = [*(target_columns or ()), *(name for name in (weight_column, splits_column) if name is not None)]
    for name in asked:
        if name not in source.columns:
            raise DataError(f"{source.name} has no column {name!r}; {suggest(name, source.columns)}")
    if target_columns is not None and source.smiles_column in target_columns:
        raise DataError(f"{source.name}: the structure column {source.smiles_column!r} can't be a target as well")
    if target_columns is not None and len(set(target_columns)) < len(target_columns):
        raise DataError(f"{source.name}: a target column is named twice in {', '.join(target_columns)}")
    if target_columns is None:
        set_aside = {source.smiles_column, weight_column, splits_column}
        targets = _numeric(source, [name for name in source.columns if name not in set_aside])
    else:
        targets = tuple(target_columns)
    return Table(source.columns, targets, source.smiles_column, source.kind, source.name, source.rows, weight_column, source.units)


def _numeric(source: Source, candidates: Sequence[str]) -> tuple[str, ...]:
    """Columns whose cells in the first rows are numbers (a few damaged ones in a hundred forgiven)."""
    cells = [row.cells for row in islice(source.rows(), PROBE_ROWS) if not row.reason]
    return tuple(name for name in candidates if not _set_aside(name) and _is_numeric([row.get(name, "") for row in cells]))


def _set_aside(name: str) -> bool:
    text = name.strip()
    return not text or any(pattern.fullmatch(text) for pattern in (_ID_LIKE, _SPLIT_LIKE, _WEIGHT_LIKE))


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if not is_missing(cell)]
    numbers = [number for cell in filled if (number := as_number(cell)) is not None]
    if not numbers or len(numbers) < 0.97 * len(filled):
        return False
    counting = len(numbers) > 20 and all(b - a == 1.0 for a, b in pairwise(numbers))  # 0, 1, 2, ...: row numbers
    return not counting


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Column names made distinct as pandas does: a, b, a -> a, b, a.1."""
    taken: set[str] = set()
    out = []
    for name in names:
        new, k = name, 0
        while new in taken:
            k += 1
            new = f"{name}.{k}"
        taken.add(new)
        out.append(new)
    return tuple(out)
