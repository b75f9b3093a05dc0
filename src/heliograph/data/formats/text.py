"""Lines of a text file, plain or compressed, whatever bytes it holds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from heliograph.errors import DataError

_GZIP = b"\x1f\x8b"
MAX_LINE = 2**24  # characters: memory is bounded by a line, and a longer one is no row of a table
SEP_LINE = re.compile(r'"?sep=(.|\\t)"?', re.IGNORECASE)  # what Excel writes and reads on the first line
_LOOK = 2**20  # bytes looked at to tell encoding and line ends
_FOREIGN = (  # what a file that is no text begins with
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls): save it as .xlsx or .csv"),
    (b"PAR1", "a Parquet file: give it a name that ends in .parquet"),
    (b"%PDF", "a PDF document: export the table as .csv"),
    (b"\x93NUMPY", "a NumPy array, not a table"),
    (b"SQLite format 3", "an SQLite database: export the table as .csv"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file: export the table as .csv or .parquet"),
    (b"\x80\x04\x95", "a pickle, which is not opened: it may run code. Write the table as .csv or .parquet"),
    (b"{\\rtf", "a document in Rich Text Format: export the table as .csv"),
)
_WRITTEN = (  # and other notations of text, after blanks
    ((b'{"', b"[{", b"[ {", b"[["), "JSON, not a table: write it as .csv (in pandas: read_json, then to_csv)"),
    ((b"<?xml",), "XML, not a table: export the table as .csv"),
)


def is_gzip(path: Path) -> bool:
    """By its first two bytes, not its name."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """The bytes of a file, unpacked by what it is (gzip, bzip2, xz, a zip of one file), not by its name.

    Raises DataError for a workbook, a web page and other files that are no text, by what they are.
    """
    with path.open("rb") as file:
        start = file.read(8)
    source: Any  # a file of bytes of one of these libraries
    if start.startswith(_GZIP):
        source = gzip.open(path, "rb")  # noqa: SIM115
    elif start.startswith(b"BZh"):
        source = bz2.open(path, "rb")  # noqa: SIM115
    elif start.startswith(b"\xfd7zXZ"):
        source = lzma.open(path, "rb")  # noqa: SIM115
    elif start.startswith(b"PK\x03\x04"):
        source = _of_zip(path)
    else:
        source = path.open("rb")
    with source as unpacked:
        buffered = io.BufferedReader(unpacked, _LOOK)
        _refuse_foreign(path, buffered.peek(512)[:512])
        yield buffered


def _of_zip(path: Path) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is a damaged zip archive: {error}") from None
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if any(name.startswith("xl/") for name in names):
        raise DataError(f"{path.name} is an Excel workbook, whatever its name says: call it {path.stem}.xlsx, or save it as .csv")
    if len(names) != 1:
        raise DataError(f"{path.name} is a zip archive of {len(names)} files; unpack it and give one of them")
    return archive.open(names[0])


def _refuse_foreign(path: Path, start: bytes) -> None:
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise DataError(f"{path.name} is {what}")
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head")):
        raise DataError(f"{path.name} is a web page (HTML), not a table: open its address in a browser and download the file itself")
    for marks, what in _WRITTEN:
        if head.startswith(marks):
            raise DataError(f"{path.name} is {what}")
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{path.name} is a pointer of Git LFS, not the file itself: fetch it with git lfs pull")


def _encoding(start: bytes) -> str:
    """UTF-16 by its mark or its zeros; UTF-8; cp1252 where the header, or most letters beyond ASCII, are no UTF-8."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(start) > 3 and start[0] and not start[1] and start[2] and not start[3]:
        return "utf-16-le"
    if len(start) > 3 and not start[0] and start[1] and not start[2] and start[3]:
        return "utf-16-be"
    if start.isascii() or start.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    try:
        start.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.start >= len(start) - 4:  # cut within a letter
            return "utf-8"
    filled = (line.strip(b" ") for line in start.replace(b"\r", b"\n").split(b"\n") if line.strip())
    header = next((line for line in filled if not SEP_LINE.fullmatch(line.decode("latin-1"))), b"")  # below Excel's hint
    if not header.isascii():  # the names of the columns say it
        return "cp1252" if _letters(header)[1] else "utf-8"
    good, bad = _letters(start)
    return "cp1252" if bad > good else "utf-8"


def _letters(data: bytes) -> tuple[int, int]:
    """How many letters beyond ASCII are UTF-8, and how many bytes are none."""
    text = data.decode("utf-8", "surrogateescape")
    bad = sum("\udc80" <= c <= "\udcff" for c in text)
    return sum(c > "\x7f" for c in text) - bad, bad


def lines(path: Path) -> Iterator[str]:
    r"""Lines without their ending (`\n`, `\r\n`; `\r` alone where no `\n` is there), a byte-order mark dropped.

    Bytes that are not UTF-8 are read as cp1252 where the header says so, or most of the first megabyte; else they come as surrogates.
    UTF-16 is read as such. Raises DataError on a compressed file that is cut or damaged.
    """
    number = 0
    try:
        with opened(path) as binary:
            start = binary.peek(_LOOK)
            encoding = _encoding(start)
            alone = b"\r" in start and b"\n" not in start
            with io.TextIOWrapper(binary, encoding=encoding, errors="surrogateescape", newline="\r" if alone else "\n") as text:
                while line := text.readline(MAX_LINE):
                    number += 1
                    if len(line) == MAX_LINE:
                        raise DataError(
                            f"{path}, line {number}: more than {MAX_LINE:,} characters without an end of line. Is this a table? "
                            "Each molecule needs a line of its own."
                        )
                    if number == 1:
                        line = line.removeprefix("\ufeff")
                    yield line.removesuffix("\n").removesuffix("\r")
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, UnicodeError) as error:
        raise DataError(f"{path} is damaged after line {number}: {error}. Fetch or compress it again.") from error
    except OSError as error:
        if error.errno is None:  # bz2's word for a damaged file
            raise DataError(f"{path} is damaged after line {number}: {error}. Fetch or compress it again.") from error
        raise
