"""A library cut into shards: byte ranges of text that end where a row ends, row groups of Parquet.

Where a shard begins depends on the file and `size` alone, never on who works on it. Gzip can't be cut: such a file is unpacked once into
the folder of the screening.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heliograph.data.formats.delimited import RowReader
from heliograph.data.formats.reader import ending
from heliograph.data.formats.text import is_gzip
from heliograph.errors import DataError
from heliograph.files import atomic

QUOTED = 64 * 1024  # bytes before a cut that must be free of quotes, else rows are read one by one to find where they end
_BLOCK = 2**20


@dataclass(frozen=True)
class File:
    """One file of a library, unpacked. `name` as the user gave it; `kind` its format, like ".csv"; `digest` SHA-256 of the packed bytes."""

    name: str
    path: Path
    kind: str
    digest: str
    header: bytes = b""


@dataclass(frozen=True)
class Shard:
    """Bytes `start` to `end` of a file, or for Parquet row groups."""

    number: int
    file: int
    start: int
    end: int


def check(path: Path) -> None:
    """Say whether screening reads this file. Raises DataError."""
    kind = ending(path)
    if kind in (".xyz", ".xlsx"):
        what = "an XYZ file" if kind == ".xyz" else "a workbook"
        raise DataError(f"{path}: screening reads csv, tsv, smi, sdf and parquet; {what} goes through `heliograph predict`")
    if not path.is_file():
        raise DataError(f"no such file: {path}")


def unpacked_name(path: Path) -> str | None:
    """What `open_file` calls the unpacked file; None where nothing is unpacked."""
    return f"{_digest(path)[:16]}{ending(path)}" if ending(path) != ".parquet" and is_gzip(path) else None


def open_file(path: Path, folder: Path) -> File:
    """Find the format and unpack into `folder` where it is gzipped. Raises DataError."""
    check(path)
    kind = ending(path)
    try:
        digest = _digest(path)
        plain = _unpacked(path, folder / f"{digest[:16]}{kind}") if kind != ".parquet" and is_gzip(path) else path
        if kind == ".parquet":
            return File(path.name, plain, kind, digest)
        with open(plain, "rb") as file:
            first = file.readline()
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}") from error
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path} is UTF-16, which can't be cut into shards: write it as UTF-8 first")
    odd = first.lower().startswith((b"sep=", b'"sep=')) or first.count(b'"') % 2 or b"\r" in first.rstrip()
    if kind in (".csv", ".tsv", ".txt") and odd:
        raise DataError(f"{path} can't be cut into shards: its header is not one line (sep=, a line break in quotes, CR line ends)")
    if first.startswith((b"PK\x03\x04", b"BZh", b"\xfd7zXZ")):
        raise DataError(f"{path} is packed other than by gzip, which can't be cut into shards: unpack it first")
    word = first.split(maxsplit=1)[0].lower() if first.strip() else b""
    has_header = kind in (".csv", ".tsv", ".txt") or (kind == ".smi" and (b"smiles" in word or word in (b"smile", b"smi")))
    if has_header and not first.endswith(b"\n"):
        first += b"\n"
    return File(path.name, plain, kind, digest, first if has_header else b"")


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _unpacked(path: Path, target: Path) -> Path:
    if target.is_file():
        return target
    try:
        with atomic(target) as temporary, gzip.open(path, "rb") as source, open(temporary, "wb") as file:
            shutil.copyfileobj(source, file, _BLOCK)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: {error}. Fetch or compress it again.") from error
    return target


def shards(files: list[File], size: int) -> list[Shard]:
    """All shards in order; text in pieces of about `size` bytes."""
    found: list[Shard] = []
    for k, file in enumerate(files):
        for start, end in _groups(file, size) if file.kind == ".parquet" else _ranges(file, size):
            found.append(Shard(len(found), k, start, end))
    return found


def _groups(file: File, size: int) -> Iterator[tuple[int, int]]:
    """Row groups, as many together as come to `size` bytes."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file.path) as table:
        sizes = [table.metadata.row_group(k).total_byte_size for k in range(table.metadata.num_row_groups)]
    start, held = 0, 0
    for k, one in enumerate(sizes):
        held += one
        if held >= size or k == len(sizes) - 1:
            yield start, k + 1
            start, held = k + 1, 0


def _ranges(file: File, size: int) -> Iterator[tuple[int, int]]:
    total, start = file.path.stat().st_size, len(file.header)
    with open(file.path, "rb") as stream:
        while start < total:
            end = _cut(stream, file, start, start + size, total)
            yield start, end
            start = end


def _cut(stream: io.BufferedReader, file: File, start: int, wanted: int, total: int) -> int:
    """The first end of a row at or after `wanted`, of a range that begins with a row at `start`."""
    if wanted >= total:
        return total
    stream.seek(wanted - 1)
    if file.kind == ".sdf":
        for line in stream:
            if line.startswith(b"$$$$"):
                return stream.tell()
        return total
    end = wanted - 1 + len(stream.readline())
    if file.kind == ".smi":
        return end
    begin = max(start, end - QUOTED)
    stream.seek(begin)
    return end if b'"' not in stream.read(end - begin) else _row_end(stream, file, start, wanted, total)


def _row_end(stream: io.BufferedReader, file: File, start: int, wanted: int, total: int) -> int:
    """The same, by reading rows from `start`: a quoted cell may hold line ends."""
    stream.seek(start)
    ends = [start]

    def taken() -> Iterator[str]:
        for line in stream:
            ends.append(ends[-1] + len(line))
            yield line.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")

    header = file.header.decode("utf-8", "surrogateescape")
    delimiter = "\t" if file.kind == ".tsv" else max((",", "\t", ";", "|"), key=header.count)
    rows, columns = RowReader(taken()), header.count(delimiter) + 1
    while rows.next_row(delimiter, columns) is not None:
        if ends[rows.taken] >= wanted:
            return ends[rows.taken]
    return total


def content(file: File, shard: Shard) -> bytes:
    """A shard as a small file of the same format."""
    if file.kind == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(file.path) as table:
            sink = io.BytesIO()
            pq.write_table(table.read_row_groups(list(range(shard.start, shard.end))), sink)
            return sink.getvalue()
    with open(file.path, "rb") as stream:
        stream.seek(shard.start)
        return file.header + stream.read(shard.end - shard.start)
