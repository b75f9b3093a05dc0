"""Folders of arrays that were computed once: whole or not there, and safe with several processes.

A cache sits in `$HELIOGRAPH_CACHE`, else in `~/.cache/heliograph` (`$XDG_CACHE_HOME/heliograph`). It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from heliograph.errors import HeliographError

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.[a-z0-9_]{8}\.part")  # as mkdtemp names what `cached` fills
_STALE = 24 * 3600.0  # s after which a build that never ended is litter


def cache_dir() -> Path:
    """The folder of all caches; not created here."""
    if folder := os.environ.get("HELIOGRAPH_CACHE"):
        return Path(folder)
    return own_cache_dir()


def own_cache_dir() -> Path:
    """The user's own cache folder, wherever HELIOGRAPH_CACHE points: one that others share holds no secret."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "heliograph"


def key_of(what: Mapping[str, Any]) -> str:
    """SHA-256 of `what` (JSON data: digests of content, columns, featurizer ...), of the versions and of the code that shape the arrays."""
    made_by = {name: _version(name) for name in ("heliograph", "rdkit", "numpy")} | {"code": _code()}
    text = json.dumps({"made_by": made_by, **what}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _code() -> str:
    """Digest of the code that turns structures into arrays: its version says nothing while it is being worked on."""
    digest = hashlib.sha256()
    for file in sorted((Path(__file__).parents[1] / "chem").glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """The folder for key `name`: as it is, or made by `build(folder)`, which fills an empty folder given to it.

    The folder appears only once it is whole: it is built beside its place and renamed. Two processes that build at once both succeed;
    one result stays. Raises HeliographError where the cache folder can't be written.
    """
    target = cache_dir() / name[:2] / name
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name[:16]}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise HeliographError(
            f"can't write the cache folder {target.parent}: {error.strerror or error}. Set HELIOGRAPH_CACHE to another folder."
        ) from error
    try:
        build(temporary)
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():  # else another process was first: the same content
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _sweep(folder: Path) -> None:
    """Remove what killed builds left behind long ago."""
    for part in folder.glob(".*.part"):
        try:
            if not _TEMPORARY.fullmatch(part.name) or part.is_symlink() or not part.is_dir():
                continue
            if time.time() - part.stat().st_mtime > _STALE:
                shutil.rmtree(part, ignore_errors=True)
        except OSError:
            continue


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
