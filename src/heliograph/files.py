"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from heliograph.errors import DataError, HeliographError, UsageError

SHOWN = 40  # characters of a file's name in the name of its temporary one, which has to stay below 255 bytes


def umask() -> int:
    """Return the permissions that new files of this process are without."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextmanager
def atomic(path: str | os.PathLike[str], replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there on success, remove it on failure.

    The temporary file is made here, exclusively, under a name that nobody can guess: nothing that lies there is written into.
    `replace` False keeps a file that came to `path` meanwhile. Raises UsageError for that one, HeliographError, naming the file,
    where the disk is full or the folder can't be written.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name[:SHOWN]}.{secrets.token_hex(8)}.part")
    made = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        made = True
        yield temporary
        temporary.chmod(0o666 & ~umask())  # some writers make files that only their owner may read
        os.replace(temporary, target) if replace else _put(temporary, target)
    except OSError as error:
        raise HeliographError(f"can't write {target}: {error.strerror or error}. Free some space or choose another folder.") from error
    finally:
        if made:
            temporary.unlink(missing_ok=True)


def _put(temporary: Path, target: Path) -> None:
    """Give a file its name, unless there is one. A second name that is not there yet is what only a link can ask for."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise UsageError(f"{target} exists since this began. Give --overwrite to replace it, or another name.") from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV):
            raise
        if os.path.lexists(target):  # a file system without links
            raise UsageError(f"{target} exists since this began. Give --overwrite to replace it, or another name.") from None
        os.replace(temporary, target)


def hold(path: Path) -> IO[bytes] | None:
    """Lock the file `path`, which is made if need be, until what is returned is closed or this process ends; None if another holds it.

    Where the system or a network file system has no locks, nothing is locked.
    """
    file = open(path, "ab")  # noqa: SIM115 (open is what holds it)
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except (ImportError, OSError):
        pass
    return file


class JsonLines:
    """A file of one JSON value a line, each written to the disk before `append` returns.

    A program that is killed leaves at most one broken line at the end, which `read` cuts off.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; none where there is no file. Raises DataError where one of them is damaged."""
        if not self.path.is_file():
            return []
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            with open(self.path, "r+b") as file:
                file.truncate(len(whole))
        try:
            return [json.loads(line) for line in whole.decode().splitlines()]
        except ValueError as error:
            raise DataError(f"{self.path} is damaged ({error}). Begin again with --overwrite.") from None

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line. Raises HeliographError where the disk is full."""
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            why = error.strerror or error
            raise HeliographError(f"can't write {self.path}: {why}. Free some space, then go on with --resume.") from error
