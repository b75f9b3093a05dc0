"""The folder of a run: whether a run begins in it or goes on, and whether it is asked for as it was begun."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from pydantic import BaseModel

from heliograph import manifest
from heliograph.errors import UsageError
from heliograph.learn.log import LOG
from heliograph.manifest import Kind

CONFIG = "config.toml"


def goes_on(
    folder: Path,
    kind: Kind,
    resume: bool,
    overwrite: bool,
    names: Iterable[str],
    inputs: Iterable[Path | None],
    first: Collection[str] = (LOG,),
) -> bool:
    """Return whether the run in `folder` goes on; False where one begins. Changes nothing.

    `names`: what a run that begins may write; `inputs`: files that it reads and must not replace; `first`: files that alone are of a run
    that was killed before there was anything to go on with. Raises UsageError: the folder holds what no run of this kind wrote, or a run
    is there and neither `resume` nor `overwrite` is given, or both are.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude one another: go on with the run, or replace it?")
    files = manifest.held(folder, kind)
    if files is not None and resume and (folder / CONFIG).is_file():
        manifest.refuse(folder, kind, (), replace=True)  # a run that goes on writes its files again
        return True
    if not overwrite and any((folder / name).exists() for name in files or () if name not in first):
        choice = "--resume goes on with it, --overwrite replaces it, or choose another --output-dir"
        raise UsageError(f"{folder} holds a run already: {choice}.")
    there = [path for path in inputs if path is not None and path.exists()]
    manifest.refuse(folder, kind, names, replace=True, inputs=there)
    return False


def refuse_changes(saved: BaseModel, asked: BaseModel, free: Collection[str] = ()) -> None:
    """Raise UsageError where a run that goes on is asked for with other settings than it began with, but for those that are `free`."""

    def flat(config: BaseModel) -> dict[tuple[str, str], object]:
        groups = config.model_dump(exclude={"output_dir"})
        return {(group, name): value for group, values in groups.items() for name, value in values.items()}

    old, new = flat(saved), flat(asked)
    changed = [key for key in old if key[1] not in free and old[key] != new[key]]
    if changed:
        listed = ", ".join(f"--{key[1].replace('_', '-')} was {old[key]!r}, is {new[key]!r}" for key in changed[:4])
        raise UsageError(f"--resume goes on with a run as it was begun, but {listed}. Leave the option out, or begin another run.")
