"""Tables of nodes and edges of one graph: CSV, TSV (plain or gzipped) and Parquet, or tables in memory.

Cells come as Arrow columns. A row that can't be used keeps its place and gets a reason; ids are compared as text, without the blanks
around them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliograph.data.formats.columns import ENDS
from heliograph.data.formats.table import MISSING
from heliograph.errors import DataError, suggest

ID_COLUMNS = ("id", "node_id", "_id")
END_COLUMNS = (*ENDS, ("edge", "member"), ("hyperedge", "member"), ("hyperedge", "node"))
BLOCK = 1 << 25  # bytes of a text file that are read at a time


@dataclass(frozen=True, eq=False)
class NodeTable:
    """n rows of nodes: `cells` by column, `ids` [n] (text), `reasons` row -> why it can't be used. Usable rows have distinct ids."""

    name: str
    cells: pa.Table
    ids: pa.Array
    id_column: str
    reasons: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def usable(self) -> np.ndarray:
        """The rows that can be used, ascending [n']."""
        keep = np.ones(len(self), bool)
        keep[list(self.reasons)] = False
        return np.flatnonzero(keep)


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """m usable rows of edges between nodes `ids` [N]: `ends` [m, 2] int32 are places among the ids, `cells` the other columns.

    `rows` [m]: which row of the file each is; `reasons`: how many rows were left out, and why; `columns`: the names of the two ends.
    """

    name: str
    ids: pa.Array
    ends: np.ndarray
    cells: pa.Table
    rows: np.ndarray
    read: int
    reasons: Mapping[str, int]
    columns: tuple[str, str]
    first_side: int = 0  # nodes that edges begin at, where both sides have ids of their own


Given = Any  # a path, an Arrow table or a DataFrame


def read_nodes(given: Given, id_column: str | None = None) -> NodeTable:
    """Read a table of nodes from a file, an Arrow table or a DataFrame. Raises DataError where it can't be read, or has no such column.

    The ids are in `id_column`, else in a column called id, node_id or _id (any case), else in the first one.
    """
    name = _name(given)
    parts: list[pa.Table] = []
    bad: dict[int, str] = {}
    read = 0
    for cells, reasons in _blocks(given):
        bad |= {read + row: why for row, why in reasons.items()}
        parts.append(cells)
        read += len(cells)
    cells = pa.concat_tables(parts, promote_options="permissive") if len(parts) > 1 else parts[0]
    cells = cells.combine_chunks()
    column = _id_column(name, cells.column_names, id_column)
    ids = as_text(cells[column])
    reasons = dict(bad)
    seen: set[str] = set()
    texts = ids.to_pylist()
    for row, text in enumerate(texts):
        if row in reasons:
            continue
        if not text:
            reasons[row] = "no id"
        elif text in seen:
            reasons[row] = "an id that came before"
        else:
            seen.add(text)
    if not seen:
        raise DataError(f"{name} has no row that can be used: {_listed(Counter(reasons.values()))}")
    return NodeTable(name, cells, ids, column, dict(sorted(reasons.items())))


def read_edges(
    given: Given,
    ids: pa.Array | None = None,
    end_columns: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    known_as: str = "the table of nodes",
    two_sides: bool = False,
) -> EdgeTable:
    """Read a table of edges, block by block. `ids`: the nodes there are (None: those that the edges name, in order of appearance).

    The ends are in `end_columns`, else in a known pair (source target, src dst, from to, head tail, u v ...), else in the first two
    columns. `keep`: the other columns that are wanted (None: all of them). `two_sides`: the ends are of two kinds (users and items), an
    id of one is no id of the other; the second kind's nodes are numbered after the first's. Raises DataError.
    """
    interned = Ids(ids)
    sides = (interned, Ids(None)) if two_sides else (interned, interned)
    table = read_between(given, sides, end_columns, keep, (known_as, known_as))
    if not two_sides:
        return table
    first_side = len(interned.known)
    table.ends[:, 1] += first_side
    return replace(table, ids=pa.concat_arrays([interned.known, sides[1].known]), first_side=first_side)


def read_between(
    given: Given,
    sides: tuple[Ids, Ids],
    end_columns: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    known_as: tuple[str, str] = ("the table of nodes", "the table of nodes"),
) -> EdgeTable:
    """Read a table of edges whose ends are places among the ids of each side; `ids` are the first side's. As `read_edges` else."""
    name = _name(given)
    counts: Counter[str] = Counter()
    ends, others, rows = [], [], []
    read = 0
    columns: tuple[str, str] = ("", "")
    for cells, bad in _blocks(given):
        columns = _end_columns(name, cells.column_names, end_columns)
        wanted = [c for c in cells.column_names if c not in columns and (keep is None or c in keep)]
        if keep is not None:
            for column in keep:
                if column not in cells.column_names:
                    raise DataError(f"{name} has no column {column!r}; {suggest(column, cells.column_names)}")
        both = [as_text(cells[c]) for c in columns]
        blank = np.array(pc.or_(pc.equal(both[0], ""), pc.equal(both[1], "")))
        damaged = np.zeros(len(cells), bool)
        damaged[list(bad)] = True
        counts.update(bad.values())
        counts["an end is blank"] += int((blank & ~damaged).sum())
        places = [side(text, ~(blank | damaged)) for side, text in zip(sides, both, strict=True)]
        unknown = ((places[0] < 0) | (places[1] < 0)) & ~(blank | damaged)
        first = int((places[0][unknown] < 0).sum())
        counts[f"an end is not in {known_as[0]}"] += first
        counts[f"an end is not in {known_as[1]}"] += int(unknown.sum()) - first
        good = np.flatnonzero(~(blank | damaged | unknown))
        ends.append(np.stack([p[good] for p in places], axis=1))
        others.append(cells.select(wanted).take(pa.array(good)) if len(good) < len(cells) else cells.select(wanted))
        rows.append(good + read)
        read += len(cells)
    if not sum(map(len, ends)):
        raise DataError(f"{name}: none of its {read:,} rows is an edge: {_listed(counts) or 'it is empty'}")
    together = pa.concat_tables(others, promote_options="permissive")
    found = {reason: n for reason, n in counts.items() if n}
    return EdgeTable(name, sides[0].known, np.concatenate(ends), together, np.concatenate(rows), read, found, columns)


def read_cells(given: Given) -> pa.Table:
    """Read any table whole, damaged rows as blank ones. Raises DataError."""
    parts = [cells for cells, _ in _blocks(given)]
    return pa.concat_tables(parts, promote_options="permissive").combine_chunks()


def as_text(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Cells as text without blanks around; what is missing is ""."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if not pa.types.is_string(flat.type):
        flat = flat.cast(pa.string())
    return pc.utf8_trim_whitespace(pc.fill_null(flat, ""))


def missing(text: pa.Array) -> np.ndarray:
    """Which cells say that something is missing (blank, NaN, NA, null ...), [n] bool."""
    return np.array(pc.is_in(pc.utf8_lower(text), value_set=pa.array(sorted(MISSING))))


class Ids:
    """Places of ids: among those that are given, or in the order in which they appear."""

    def __init__(self, given: pa.Array | None):
        self.fixed = given is not None
        self.known = given if given is not None else pa.array([], pa.string())

    def __call__(self, text: pa.Array, usable: np.ndarray) -> np.ndarray:
        """[n] int32, -1 where the id is not known."""
        encoded = text.dictionary_encode()
        names, codes = encoded.dictionary, np.asarray(encoded.indices)
        if not self.fixed:
            used = np.zeros(len(names), bool)
            used[codes[usable]] = True
            new = names.filter(pa.array(used))
            new = new.filter(pc.invert(pc.is_in(new, value_set=self.known)))
            self.known = pa.concat_arrays([self.known, new])
        place = np.asarray(pc.fill_null(pc.index_in(names, value_set=self.known), -1)).astype(np.int32)
        return place[codes] if len(codes) else np.zeros(0, np.int32)


def _name(given: Given) -> str:
    return Path(given).name if isinstance(given, str | os.PathLike) else "the table"


def _id_column(name: str, columns: Sequence[str], asked: str | None) -> str:
    if asked is not None:
        if asked not in columns:
            raise DataError(f"{name} has no column {asked!r} of ids; {suggest(asked, columns)}")
        return asked
    return next((c for known in ID_COLUMNS for c in columns if c.strip().lower() == known), columns[0])


def _end_columns(name: str, columns: Sequence[str], asked: Sequence[str] | None) -> tuple[str, str]:
    if asked is not None:
        if len(asked) != 2 or asked[0] == asked[1]:
            raise DataError(f"the ends of an edge are in two columns; got {' '.join(asked) or 'none'}")
        for column in asked:
            if column not in columns:
                raise DataError(f"{name} has no column {column!r}; {suggest(column, columns)}")
        return asked[0], asked[1]
    lower = {c.strip().lower(): c for c in reversed(columns)}
    for a, b in END_COLUMNS:
        if a in lower and b in lower:
            return lower[a], lower[b]
    if len(columns) < 2:
        raise DataError(f"{name} has one column only ({columns[0]!r}); an edge needs two: where it begins and where it ends")
    return columns[0], columns[1]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in counts.items() if n)


# ---- blocks of rows ----

Block = tuple[pa.Table, dict[int, str]]


def _blocks(given: Given) -> Iterator[Block]:
    """Rows in pieces, with reasons for those of a piece that are damaged. Raises DataError."""
    if isinstance(given, pa.Table):
        yield given, {}
        return
    if not isinstance(given, str | os.PathLike):
        yield _from_frame(given), {}
        return
    path = Path(given)
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            yield from _parquet(path)
        else:
            yield from _text(path)
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}") from error


def _from_frame(given: Any) -> pa.Table:
    if hasattr(given, "to_arrow"):  # polars
        return given.to_arrow()
    try:
        return pa.Table.from_pandas(given, preserve_index=False)
    except (AttributeError, TypeError, pa.ArrowInvalid) as error:
        raise DataError(f"a table is a file, a DataFrame or an Arrow table; got {type(given).__name__} ({error})") from None


def _parquet(path: Path) -> Iterator[Block]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1 << 20):
                yield pa.Table.from_batches([batch]), {}
            if not file.metadata.num_rows:
                yield file.schema_arrow.empty_table(), {}
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file, or is damaged: {str(error).splitlines()[0]}") from error


def _text(path: Path) -> Iterator[Block]:
    """Arrow's reader where it can; where a block is damaged beyond that, ours, which gives up a line and not the rest."""
    first = _header(path)
    delimiter = max((",", "\t", ";"), key=first.count)
    columns = _unique_columns(path, first, delimiter)
    done = 0
    if not _plain(path):
        yield from _slowly(path, delimiter, columns, 0)
        return
    try:
        for cells, bad in _arrow_csv(path, delimiter, columns):
            yield cells, bad
            done += len(cells)
    except pa.ArrowInvalid:
        yield from _slowly(path, delimiter, columns, done)


def _plain(path: Path) -> bool:
    """Whether all of it is UTF-8 and each line closes its quotes: Arrow's reader would take what follows for one long field."""
    import codecs
    import gzip

    from heliograph.data.formats.text import is_gzip

    decoder, quotes = codecs.getincrementaldecoder("utf-8")(), False
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
                quotes |= b'"' in block
            decoder.decode(b"", final=True)
            file.seek(0)
            return not (quotes and any(line.count(b'"') % 2 for line in file))
    except (UnicodeDecodeError, EOFError):
        return False


def _header(path: Path) -> str:
    from heliograph.data.formats.text import lines

    first = next((line for line in lines(path)), None)
    if first is None or not first.strip():
        raise DataError(f"{path.name} has no header line: the first line names the columns, for instance id,label or source,target")
    return first


def _unique_columns(path: Path, first: str, delimiter: str) -> list[str]:
    import csv

    from heliograph.data.formats.table import unique

    return list(unique([name.strip() for name in next(csv.reader([first], delimiter=delimiter))]))


def _arrow_csv(path: Path, delimiter: str, columns: list[str]) -> Iterator[Block]:
    from pyarrow import csv

    wrong: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        wrong.append((row.number, f"{row.actual_columns} fields, the header has {row.expected_columns}"))
        return "skip"

    reader = csv.open_csv(
        path,
        csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=columns, skip_rows=1),
        csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip, ignore_empty_lines=False),
        csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False),
    )
    physical = 2  # the number of the line that comes next
    for batch in reader:
        table = pa.Table.from_batches([batch])
        here: list[tuple[int, str]] = []
        while wrong and wrong[0][0] < physical + len(table) + len(here) + 1:
            here.append(wrong.pop(0))
        bad: dict[int, str] = {}
        if here:
            table, bad = _with_gaps(table, [(number - physical, why) for number, why in here])
        physical += len(table)
        yield table, bad


def _with_gaps(table: pa.Table, gaps: list[tuple[int, str]]) -> Block:
    """The table with a blank row at each place that a damaged one had."""
    n = len(table) + len(gaps)
    take = np.full(n, -1)
    at = np.array([place for place, _ in gaps])
    keep = np.ones(n, bool)
    keep[at] = False
    take[keep] = np.arange(len(table))
    index = pa.array(take, mask=take < 0)
    return table.take(index), {int(place): why for place, why in gaps}


def _slowly(path: Path, delimiter: str, columns: list[str], skip: int) -> Iterator[Block]:
    from heliograph.data.formats.delimited import open_delimited

    source = open_delimited(path, delimiter, None)
    cells: list[list[str]] = []
    bad: dict[int, str] = {}
    for number, row in enumerate(source.rows()):
        if number < skip:
            continue
        reason = "" if row.reason == "empty structure" else row.reason
        if reason:
            bad[len(cells)] = reason
        cells.append([row.cells[c].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for c in source.columns])
        if len(cells) == 100_000:
            yield _columns(columns, cells), bad
            cells, bad = [], {}
    if cells or not skip:
        yield _columns(columns, cells), bad


def _columns(columns: list[str], cells: list[list[str]]) -> pa.Table:
    by_column = list(zip(*cells, strict=True)) if cells else [()] * len(columns)
    return pa.table({name: pa.array(values, pa.string()) for name, values in zip(columns, by_column, strict=True)})
