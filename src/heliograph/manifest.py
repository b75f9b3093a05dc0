"""Which files of a folder a command wrote. Nothing else in a folder is ever replaced or deleted.

`manifest.json` names, relative to its folder, each file that a run writes, before the run writes the first one, and its SHA-256 once
the run is finished. A folder that holds anything and no manifest is refused. So is a file that the manifest does not name, or that is
no longer what the run wrote, where a run would replace it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from re import Pattern

from heliograph.errors import HeliographError, UsageError
from heliograph.files import atomic

FILE = "manifest.json"
_KEY, _VERSION = "heliograph", 1
_MOST = 2**26  # bytes; a longer manifest is none


@dataclass(frozen=True)
class Kind:
    """What a folder is of: its name in words, as "a training"; a pattern for every relative name that a run may write."""

    name: str
    names: Pattern[str]


def held(folder: Path, kind: Kind) -> dict[str, str | None] | None:
    """Relative name -> SHA-256 of what a run wrote into `folder` (None: it was not finished); None where there is nothing.

    Raises UsageError where the folder is a file, holds anything without a manifest, or is of another kind.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"--output-dir {folder} is a file; give a folder")
    there = sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []
    if not there:
        return None
    found = _read(folder)
    if found is None:
        some = ", ".join(there[:4]) + (", ..." if len(there) > 4 else "")
        raise UsageError(
            f"{folder} is not empty ({some}) and has no {FILE} that says a run of heliograph wrote it. Nothing was changed. "
            "Choose another --output-dir."
        )
    what, files = found
    if what != kind.name or not all(_ours(name, kind) for name in files):
        raise UsageError(f"{folder} does not hold {kind.name}: its {FILE} is of {what[:40]}. Choose another --output-dir.")
    return files


def refuse(folder: Path, kind: Kind, names: Iterable[str], *, replace: bool, inputs: Iterable[Path] = ()) -> None:
    """Say before anything is changed whether a run may write `names` into `folder`; with `replace`, in place of what the manifest names.

    `inputs`: what the run reads. Raises UsageError as `held` does, and for each file in the way that is not the run's.
    """
    files = held(folder, kind) or {}
    touched = {*names, *(files if replace else ())}
    strange = [name for name in sorted(touched) if os.path.lexists(folder / name) and not _vouched(folder, name, files)]
    if strange:
        raise UsageError(
            f"{folder} holds {', '.join(strange[:4])}{', ...' if len(strange) > 4 else ''}, which a run of heliograph did not write or "
            f"which was changed since. Nothing was changed. Move it away, or choose another --output-dir."
        )
    places = {os.path.realpath(folder / name) for name in touched}
    for path in inputs:
        if os.path.realpath(path) in places:
            raise UsageError(f"{path} is read by this run, which would replace it. Choose another --output-dir.")


def claim(folder: Path, kind: Kind, names: Iterable[str], *, replace: bool, keep: Iterable[str] = ()) -> None:
    """Write down that a run writes `names`, after `refuse` has asked; with `replace`, delete first what the manifest names but for `keep`.

    Raises UsageError as `refuse` does; HeliographError where the folder can't be written.
    """
    names = list(names)
    refuse(folder, kind, names, replace=replace)
    files = held(folder, kind) or {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if replace:
            kept = {name: files[name] for name in keep if name in files}
            _delete(folder, [name for name in files if name not in kept])
            files = kept
        _write(folder, kind.name, files | dict.fromkeys(names))
    except OSError as error:
        raise HeliographError(f"can't write the folder {folder}: {error.strerror or error}. Choose another --output-dir.") from error


def seal(folder: Path, names: Iterable[str] | None = None) -> None:
    """Write down what the finished files are (`names`; None: all): from now on a changed one is the user's."""
    if (found := _read(folder)) is None:
        return
    kind, files = found
    known = [name for name in (files if names is None else names) if name in files]
    _write(folder, kind, files | {name: _sum(folder / name) for name in known if _plain(folder, name)})


def vouched(folder: Path, name: str) -> bool:
    """Whether `name` in `folder` is as a run wrote it, or not there at all."""
    found = _read(folder)
    return not os.path.lexists(folder / name) or (found is not None and _vouched(folder, name, found[1]))


def _vouched(folder: Path, name: str, files: Mapping[str, str | None]) -> bool:
    return name in files and _plain(folder, name) and (files[name] is None or files[name] == _sum(folder / name))


def _plain(folder: Path, name: str) -> bool:
    """Whether it is a file that is really in this folder: nothing on the way is a link."""
    place = folder
    for part in PurePosixPath(name).parts:
        place = place / part
        if place.is_symlink():
            return False
    return place.is_file()


def _sum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ours(name: str, kind: Kind) -> bool:
    """Whether a manifest may say it: a stranger's could name anything."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name and str(path) == name
    return inside and kind.names.fullmatch(name) is not None


def _read(folder: Path) -> tuple[str, dict[str, str | None]] | None:
    """What the folder is of and its files; None where there is no manifest that can be read."""
    path = folder / FILE
    try:
        if not _plain(folder, FILE) or path.stat().st_size > _MOST:
            return None
        document = json.loads(path.read_text(encoding="utf-8"))
        kind, files = document["kind"], document["files"]
        fits = document[_KEY] == _VERSION and isinstance(kind, str) and all(isinstance(v, str | None) for v in files.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return (kind, dict(files)) if fits else None


def _write(folder: Path, kind: str, files: Mapping[str, str | None]) -> None:
    with atomic(folder / FILE) as temporary:
        text = json.dumps({_KEY: _VERSION, "kind": kind, "files": dict(sorted(files.items()))}, indent=1)
        temporary.write_text(text, encoding="utf-8")


def _delete(folder: Path, files: Iterable[str]) -> None:
    """The named files, and folders that are empty then."""
    above = set()
    for name in files:
        (folder / name).unlink(missing_ok=True)
        above |= {parent for parent in PurePosixPath(name).parents if parent.parts}
    for parent in sorted(above, key=lambda p: -len(p.parts)):
        with suppress(OSError):  # something of the user's is in it
            (folder / parent).rmdir()
