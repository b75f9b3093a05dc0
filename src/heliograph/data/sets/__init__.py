"""Data sets: what ships, what can be fetched, and where it is on this machine.

from heliograph.data import sets
[one.name for one in sets.catalogue()]
sets.fetch("esol")                # download, check, convert
heliograph.data.formats.read(sets.path_of("esol"))
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from heliograph.data.cache import cache_dir
from heliograph.data.sets import download as _download
from heliograph.data.sets.download import Progress
from heliograph.data.sets.listing import DataSet, RemoteFile, catalogue, find
from heliograph.errors import DataError, UsageError

__all__ = ["DataSet", "Progress", "RemoteFile", "catalogue", "fetch", "fetched", "find", "folder_of", "path_of"]


def folder_of(name: str) -> Path:
    """Where the files of a fetched set are: `sets/NAME` in the cache folder ($HELIOGRAPH_CACHE, else ~/.cache/heliograph)."""
    return cache_dir() / "sets" / find(name).name


def fetched(name: str) -> bool:
    """True where the set can be read at once: it ships, or it was fetched."""
    one = find(name)
    return one.shipped or (folder_of(name) / one.file).is_file()


def path_of(name: str) -> Path:
    """The file of a set, ready for the readers. UsageError for an unknown name, DataError for one that was not fetched."""
    one = find(name)
    path = Path(__file__).parent / one.file if one.shipped else folder_of(name) / one.file
    if not path.is_file():
        if one.shipped:
            raise DataError(f"the shipped data set {path} is not there. Install the package again.")
        raise DataError(f"data set {one.name} is not on this machine (looked for {path}). Run: heliograph data fetch {one.name}")
    return path


def fetch(
    name: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    offline: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Bring a public set to this machine and return the file to read; what is there already is not fetched again.

    `folder`: where to, instead of `folder_of(name)`. `offline`: a folder that has the files under their names (default
    $HELIOGRAPH_OFFLINE): nothing is downloaded then, and the checks are the same. `progress(file, bytes, total)` is called
    as bytes come. DataError where no address works or what came is not what was published.
    """
    one = find(name)
    if one.shipped:
        return path_of(name)
    place = Path(folder) if folder is not None else folder_of(name)
    target = place / one.file
    if target.is_file():
        return target
    offline = offline if offline is not None else os.environ.get("HELIOGRAPH_OFFLINE")
    if offline is not None and not Path(offline).is_dir():
        raise UsageError(f"the offline folder {offline} is not a folder (from HELIOGRAPH_OFFLINE or `offline`)")
    have = []
    for file in one.files:
        if (place / file.name).is_file():
            have.append(place / file.name)
        elif offline is not None:
            have.append(_download.take(file, Path(offline), place))
        else:
            have.append(_download.download(file, place, progress))
    if one.convert is not None:
        module, _, function = one.convert.rpartition(".")
        getattr(import_module(f"heliograph.data.sets.{module or 'convert'}"), function)(have, target, progress)
    return target
