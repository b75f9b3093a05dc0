"""A table of structures: its columns, which of them are targets, and its rows as records, read anew at each iteration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from heliograph.data.formats.cells import MISSING, Convention, as_number, bound, convention, is_missing, plain, two_words
from heliograph.data.formats.columns import Targets, choose_targets
from heliograph.data.record import Record, Structure
from heliograph.errors import DataError, suggest

__all__ = ["MISSING", "PROBE_ROWS", "Row", "Source", "Table", "as_number", "is_missing", "resolve", "unique"]

_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
PROBE_ROWS = 1000  # rows looked at to find out which columns are numeric


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
    separator: str | None = None  # between cells, where there is one
    notes: tuple[str, ...] = ()  # what was decided, in sentences


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a file as records; iterate as often as you like, each time from the start and lazily.

    `columns`: input columns in order (an SDF's property names, the keys of an extended XYZ comment). `targets`: the target columns,
    as asked for or every numeric column that is not the structure, a weight, a split, an identifier or a count of the rows.
    `smiles_column` is None for SDF and XYZ. `kind` is "smiles", "sdf" or "xyz". `name` is the file's, for messages.
    `units`: of the columns whose unit the source knows. `left_out`: why a column is no target, where nobody named the targets.
    `notes`: what was decided about the table, in sentences. `missing`: marks beside the usual ones. Targets and weights are handed out
    as a program writes numbers, whatever the table's decimal mark.
    """

    columns: tuple[str, ...]
    targets: tuple[str, ...]
    smiles_column: str | None
    kind: str
    name: str
    _rows: Callable[[], Iterator[Row]] = field(repr=False)
    _weight_column: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    _conventions: Mapping[str, Convention] = field(default_factory=dict)
    _words: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # two classes in words: "-" may be one of them

    def __iter__(self) -> Iterator[Record]:
        for number, row in enumerate(self._rows()):
            yield self._record(number, row)

    def _record(self, number: int, row: Row) -> Record:
        how = self._conventions
        targets = {
            name: plain(cell, how[name]) if name in how else cell
            for name in self.targets
            if (cell := row.cells.get(name, "")) and (not is_missing(cell, self.missing) or cell.strip() in self._words.get(name, ()))
        }
        structure, reason, weight = row.structure, row.reason, 1.0
        if structure is None and not reason:
            reason = "empty structure"
        if self._weight_column is not None and not reason:
            cell = row.cells.get(self._weight_column, "")
            number_read = as_number(plain(cell, how.get(self._weight_column, "plain")))
            if number_read is None or not 0.0 <= number_read < float("inf"):
                reason, structure = f"weight is not a number >= 0: {cell[:40]!r}", None
            else:
                weight = number_read
        if reason and row.where:
            reason += f"{',' if ':' in reason else ':'} {row.where}"
        return Record(str(number), structure, targets, weight, row.cells, reason)


def resolve(
    source: Source,
    target_columns: Sequence[str] | None,
    weight_column: str | None,
    splits_column: str | None,
    missing: Sequence[str] = (),
) -> Table:
    """Check the columns asked for and find the default targets. Raises DataError naming the columns that there are."""
    asked = [*(target_columns or ()), *(name for name in (weight_column, splits_column) if name is not None)]
    for name in asked:
        if name not in source.columns:
            raise DataError(f"{source.name} has no column {name!r}; {suggest(name, source.columns)}")
    if target_columns is not None and source.smiles_column in target_columns:
        raise DataError(f"{source.name}: the structure column {source.smiles_column!r} can't be a target as well")
    if target_columns is not None and len(set(target_columns)) < len(target_columns):
        raise DataError(f"{source.name}: a target column is named twice in {', '.join(target_columns)}")
    whole = Table(
        source.columns, tuple(target_columns or ()), source.smiles_column, source.kind, source.name, source.rows, weight_column,
        source.units, notes=source.notes, missing=tuple(missing),
    )  # fmt: skip
    if target_columns is not None and not target_columns and weight_column is None:
        return whole
    cells = [row.cells for row in islice(source.rows(), PROBE_ROWS) if not row.reason]
    targets = Targets(whole.targets)
    if target_columns is None:
        set_aside = {source.smiles_column, weight_column, splits_column}
        candidates = [name for name in source.columns if name not in set_aside]
        targets = choose_targets(candidates, cells, source.separator, source.kind, missing)
    conventions: dict[str, Convention] = {}
    words: dict[str, tuple[str, str]] = {}
    notes = list(source.notes)
    for name in [*targets.names, *([weight_column] if weight_column else [])]:
        everything = [row.get(name, "") for row in cells]
        filled = [cell for cell in everything if not is_missing(cell, missing)]
        pair = two_words(filled) or two_words(cell for cell in everything if cell.strip())
        how = convention(filled, source.separator)
        if pair:
            words[name] = pair
        elif how != "plain":
            conventions[name] = how
            notes.append(_said(name, filled, how))
    notes += _doubtful(targets.names, cells, conventions)
    return replace(whole, targets=targets.names, left_out=targets.left_out, notes=tuple(notes), _conventions=conventions, _words=words)


def _doubtful(names: Sequence[str], cells: Sequence[Mapping[str, str]], conventions: Mapping[str, Convention]) -> list[str]:
    """Columns like 1.234 beside others with a decimal comma: a point, or a mark between thousands."""
    commas = [name for name, how in conventions.items() if how == "comma"]
    notes = []
    for name in names if commas else ():
        filled = [cell.strip() for row in cells if not is_missing(cell := row.get(name, ""))]
        if name not in conventions and filled and all(_THOUSANDS.fullmatch(cell) for cell in filled):
            notes.append(
                f"Numbers of {name!r} like {filled[0]} are read with a decimal point, though {commas[0]!r} has a decimal comma: "
                "if the point stands between thousands, take it out."
            )
    return notes


def _said(name: str, cells: Sequence[str], how: Convention) -> str:
    """How numbers of a column are read, by an example."""
    example = next((cell.strip() for cell in cells if plain(cell, how) != cell.strip()), "")
    what = "a decimal comma" if how == "comma" else "a mark between thousands"
    return f"Numbers of {name!r} are read with {what}: {example!r} is {bound(plain(example, how))[1]}."


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Column names made distinct as pandas does: a, b, a -> a, b, a.1."""
    taken: set[str] = set()
    last: dict[str, int] = {}  # the number that a name came to, so that many of one name take no longer than as many others
    out = []
    for name in names:
        new, k = name, last.get(name, 0)
        while new in taken:
            k += 1
            new = f"{name}.{k}"
        taken.add(new)
        last[name] = k
        out.append(new)
    return tuple(out)


def renamed(names: Sequence[str], columns: Sequence[str]) -> str:
    """What `unique` changed, in a sentence; "" where names that are not blank differ."""
    changed = [f"{new!r}" for name, new in zip(names, columns, strict=True) if name and name != new]
    if not changed:
        return ""
    shown = ", ".join(changed[:4]) + (f" ... ({len(changed):,} in all)" if len(changed) > 4 else "")
    return f"Several columns have one name: the first of them keeps it, the others are read as {shown}."
