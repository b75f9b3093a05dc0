"""Lines of a text file, plain or gzipped, whatever bytes it holds."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from heliograph.errors import DataError

_GZIP = b"\x1f\x8b"


def is_gzip(path: Path) -> bool:
    """By its first two bytes, not its name."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def lines(path: Path) -> Iterator[str]:
    r"""Lines without their ending (`\n` or `\r\n`), a byte-order mark dropped; bytes that are not UTF-8 come as surrogates.

    Only `\n` ends a line: a lone `\r` in a damaged line doesn't shift the rows. UTF-16 with its mark is read as such.
    Raises DataError on a gzip file that is cut or damaged.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if is_gzip(path) else path.open("rb") as binary:
            encoding = "utf-16" if binary.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
            with io.TextIOWrapper(binary, encoding=encoding, errors="surrogateescape", newline="\n") as text:
                for line in text:
                    number += 1
                    if number == 1:
                        line = line.removeprefix("\ufeff")
                    yield line.removesuffix("\n").removesuffix("\r")
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise DataError(f"{path} is damaged after line {number}: {error}. Fetch or compress it again.") from error
