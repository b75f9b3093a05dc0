"""Files from public addresses: whole and checked, or not there. A download that broke off goes on where it stopped.

While it comes, a file is `.NAME.part` beside its place; only a complete and checked file gets its name. Mirrors are tried in turn.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from heliograph.data.sets.listing import RemoteFile
from heliograph.errors import DataError, HeliographError

Progress = Callable[[str, int, int | None], None]  # file name, bytes so far, bytes in all where known

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # s without a byte
_TRIES = 3  # at one address, as long as each try brings bytes


class _Damaged(Exception):
    """What came is not the file; its text says how that was seen."""


def download(file: RemoteFile, folder: Path, progress: Progress | None = None) -> Path:
    """`folder/file.name`, downloaded and checked. DataError says for each address what happened."""
    target, part = folder / file.name, folder / f".{file.name}.part"
    failures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f".{file.name}.lock"):
            for address in file.addresses:
                if target.is_file():  # another process brought it meanwhile
                    return target
                try:
                    _get(address, file, part, progress)
                except (_Damaged, urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                    failures.append(f"{address}: {_why(error)}")
                else:
                    os.replace(part, target)
                    return target
            raise DataError(_failed(file, failures))
    except OSError as error:
        raise HeliographError(f"can't write {part}: {error.strerror or error}. Free some space or choose another folder.") from error


def _failed(file: RemoteFile, failures: list[str]) -> str:
    tried = "\n  ".join(failures)
    return (
        f"{file.name} could not be downloaded:\n  {tried}\nTry again (it goes on where it stopped), or download it elsewhere and put it "
        f"into a folder that HELIOGRAPH_OFFLINE names."
    )


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time, where the system has file locks; the others wait. The lock file goes away with success only: while
    nothing is there to be found, a new one beside a lock that is held would let two in.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with lock.open("w") as file:
        with suppress(OSError):  # a network file system may have none
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
        lock.unlink(missing_ok=True)


def take(file: RemoteFile, offline: Path, folder: Path) -> Path:
    """`folder/file.name`, copied from the folder `offline` with the same checks. DataError where it is not there or damaged."""
    source, part = offline / file.name, folder / f".{file.name}.part"
    if not source.is_file():
        raise DataError(f"no {file.name} in the offline folder {offline}. Download it from {file.addresses[0]} and put it there.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        _check(file, part)
        os.replace(part, folder / file.name)
    except _Damaged as damage:
        raise DataError(f"{source} is not the file that was published: {damage}") from damage
    except OSError as error:
        raise HeliographError(f"can't copy {source} to {folder}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return folder / file.name


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _get(address: str, file: RemoteFile, part: Path, progress: Progress | None) -> None:
    """`part`, whole and checked, from one address; anew from the first byte where what was resumed proves damaged."""
    while True:
        resumed = part.exists()
        _persist(address, file, part, progress)
        try:
            _check(file, part)
            return
        except _Damaged:
            part.unlink(missing_ok=True)
            if not resumed:
                raise


def _persist(address: str, file: RemoteFile, part: Path, progress: Progress | None) -> None:
    for attempt in range(_TRIES):
        before = part.stat().st_size if part.exists() else 0
        try:
            _receive(address, file, part, progress)
            return
        except (http.client.HTTPException, ConnectionError, TimeoutError):
            gained = (part.stat().st_size if part.exists() else 0) - before
            if attempt == _TRIES - 1 or gained <= 0:
                raise


def _receive(address: str, file: RemoteFile, part: Path, progress: Progress | None) -> None:
    """Add to `part` what is missing (HTTP Range), or start anew where the server does not do ranges."""
    have = part.stat().st_size if part.exists() else 0
    if have and not (file.sha256 or file.md5):  # no way to see whether both halves are of one file
        have = 0
    if file.size is not None and have >= file.size:  # nothing missing; the check says whether it is the file
        return
    headers = {"User-Agent": "heliograph", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if have and error.code == 416:  # nothing comes after what is here; the check says whether it is the file
            return
        raise
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else file.size
        with part.open("ab" if resumed else "wb") as out:
            while block := response.read(_CHUNK):
                out.write(block)
                have += len(block)
                if progress is not None:
                    progress(file.name, have, total)
    if total is not None and have < total:  # http.client says nothing when a connection closes early
        raise ConnectionError(f"the connection closed after {have:,} of {total:,} bytes")


def _check(file: RemoteFile, part: Path) -> None:
    """Compare with the published size and checksums, or with the SHA-256 of the first download where none was published."""
    size = part.stat().st_size
    if size == 0 or (file.size is not None and size != file.size):
        raise _Damaged(f"{size:,} bytes came, {file.size:,} were published" if file.size is not None else "an empty file came")
    for algorithm, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected is not None:
            found = digest(part, algorithm)
            if found != expected:
                raise _Damaged(f"{algorithm} is {found}, published is {expected}")
            return
    record, found = part.with_name(f"{file.name}.sha256"), digest(part)
    if not record.exists():
        record.write_text(f"{found}  {file.name}\n")
    elif (first := record.read_text().split()[0]) != found:
        raise _Damaged(f"sha256 is {found}, the first download had {first} (delete {record} to accept the new file)")


def _why(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    reason = getattr(error, "reason", error)
    return str(reason) or type(error).__name__
