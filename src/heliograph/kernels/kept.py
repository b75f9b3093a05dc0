"""Compiled loops that are kept for later runs: in a folder that only its user can write, each with a keyed hash that is checked first.

Numba keeps what it compiled as pickles, and so is what is in them machine code: whoever could write such a file could run code in the
next prediction. Here a file is read only where its HMAC-SHA256 under a key of the user's own is right; until then it is bytes. The key is
not in the folder, so that a folder that is copied, restored or shared brings nothing with it. There is no index: a file's name is the
digest of all that decides its content.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle
import re
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from heliograph.errors import HeliographError
from heliograph.files import atomic

_BYTES = 32  # of the key, and of a hash


class Unsafe(Exception):
    """Why compiled loops can't be kept; its text says it."""


def own_folder(folder: Path) -> Path:
    """Make the folder, or see that only this user can write it. Raises Unsafe where others can, or it can't be made."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _own(folder, stat.S_ISDIR, 0o077)
    except OSError as error:
        raise Unsafe(f"{folder} can't be written ({error.strerror or error})") from None
    return folder


def _own(path: Path, kind: Any, others: int) -> None:
    """Raise Unsafe unless `path` is of this kind, no link, this user's, and without the permissions `others`."""
    found = path.lstat()
    if not kind(found.st_mode):
        raise Unsafe(f"{path} is a link or something else than was made there")
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & others):
        raise Unsafe(f"{path} belongs to somebody else or is open to others (its mode is {stat.S_IMODE(found.st_mode):o})")
    if not os.access(path, os.W_OK):
        raise Unsafe(f"{path} can't be written")


def own_key(path: Path) -> bytes:
    """The user's key: read, or made of 32 random bytes in a file that only the user can read. Raises Unsafe."""
    try:
        own_folder(path.parent)
        if not os.path.lexists(path):
            with suppress(HeliographError), atomic(path, replace=False) as temporary:  # two at once: the first one's stays
                temporary.write_bytes(secrets.token_bytes(_BYTES))
                temporary.chmod(0o600)
            path.chmod(0o600)
        _own(path, stat.S_ISREG, 0o077)
        key = path.read_bytes()
    except OSError as error:
        raise Unsafe(f"{path} can't be used ({error.strerror or error})") from None
    if len(key) != _BYTES:
        raise Unsafe(f"{path} is damaged: delete it")
    return key


class Kept(FunctionCache):
    """What numba asks for a compiled form of one loop, and gives one to. `about`: what else decides the machine code."""

    def __init__(self, loop: Any, folder: Path, key: bytes, about: bytes):
        self._py_func, self._name, self._folder, self._key = loop, repr(loop), folder, key
        self._cache_path = str(folder)
        self._stem = f"{loop.__module__}.{loop.__name__}-{hashlib.sha256(about).hexdigest()[:8]}"
        self.enable()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled form for a signature; None where there is none that this user's key vouches for."""
        target_context.refresh()
        name = self._file(sig, target_context.codegen())
        try:
            with open(self._folder / name, "rb") as file:
                mark, content = file.read(_BYTES), file.read()
        except OSError:
            return None
        if not hmac.compare_digest(mark, self._mark(name, content)):
            return None  # not written by us, or damaged: compiled anew, and replaced
        return CompileResult._rebuild(target_context, *pickle.loads(content))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled form; not one that holds addresses of this process."""
        if data.lifted or data.library.has_dynamic_globals:
            return
        name = self._file(sig, data.codegen)
        content = dumps(data._reduce())
        with suppress(HeliographError), atomic(self._folder / name) as temporary:  # a full disk: compiled anew next time
            temporary.write_bytes(self._mark(name, content) + content)

    def any(self) -> bool:
        """Whether one form at least is there."""
        names = re.compile(re.escape(self._stem) + r"-[0-9a-f]{64}\.loop")
        return any(names.fullmatch(name) for name in os.listdir(self._folder))

    def flush(self) -> None:
        """Nothing is gathered, so nothing is to be written."""

    def _file(self, sig: Any, codegen: Any) -> str:
        """`MODULE.LOOP-SOURCE-DIGEST.loop`; the digest is over source, signature, processor and versions."""
        decides = repr((self._stem, self._index_key(sig, codegen), numba.__version__, sys.version, sys.platform)).encode()
        return f"{self._stem}-{hashlib.sha256(decides).hexdigest()}.loop"

    def _mark(self, name: str, content: bytes) -> bytes:
        """HMAC of a file's name and content: no file can stand in for another."""
        return hmac.digest(self._key, b"heliograph compiled loop\0" + name.encode() + b"\0" + content, "sha256")
