"""The run folder of a potential: when it may be written, and what of it an earlier run left."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from heliograph import manifest
from heliograph.errors import DataError, UsageError
from heliograph.learn.log import LOG, METRICS
from heliograph.manifest import Kind
from heliograph.potential.config import TrainPotential
from heliograph.potential.result import ARRAYS, RESULTS
from heliograph.train import toml

MODEL, REPORT = "model.safetensors", "report.html"
_RUN = (
    r"config\.toml|train\.log|metrics\.csv|results\.json|report\.html|model\.safetensors|"
    r"predictions\.npz|resume/(state|member_\d+)\.safetensors"
)
POTENTIAL = Kind("a training of a potential", re.compile(_RUN))


def settle(config: TrainPotential, resume: bool, overwrite: bool) -> TrainPotential | None:
    """Return the saved configuration where a run goes on, None where one begins. Changes nothing.

    Raises UsageError: the folder holds what no run wrote, a run is there and neither `resume` nor
    `overwrite` is given, or both are, or the run was begun with other settings.
    """
    here = config.output_dir
    if resume and overwrite:
        raise UsageError(
            "--resume and --overwrite exclude one another: go on with the run, or replace it?"
        )
    files = manifest.held(here, POTENTIAL)
    if files is not None and resume and (here / toml.FILE).is_file():
        manifest.refuse(here, POTENTIAL, (), replace=True)  # a run that goes on writes them again
        return _same(saved_config(here), config)
    if not overwrite and any((here / name).exists() for name in files or () if name != LOG):
        choice = "--resume goes on with it, --overwrite replaces it, or choose another --output-dir"
        raise UsageError(f"{here} holds a run already: {choice}.")
    frames = config.frames
    inputs = (frames.data_path, frames.val_path, frames.test_path, Path(config.potential.arch))
    there = [path for path in inputs if path is not None and path.exists()]
    manifest.refuse(here, POTENTIAL, names(config), replace=True, inputs=there)
    return None


def take(config: TrainPotential) -> None:
    """Make the folder ready for a run that begins. Raises as `settle` does, and HeliographError."""
    manifest.claim(config.output_dir, POTENTIAL, names(config), replace=True)


def names(config: TrainPotential) -> list[str]:
    """All that a run may write, relative to its folder."""
    members = range(config.potential.ensemble_size)
    found = [toml.FILE, LOG, METRICS, MODEL, RESULTS, ARRAYS, REPORT, "resume/state.safetensors"]
    return found + [f"resume/member_{k}.safetensors" for k in members]


def saved_config(folder: Path) -> TrainPotential:
    """Read `config.toml` of a run. Raises DataError where it is damaged."""
    path = folder / toml.FILE
    try:
        return TrainPotential.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValidationError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise DataError(
            f"{path} can't be read ({why}). Start the run again with --overwrite."
        ) from None


def _same(saved: TrainPotential, asked: TrainPotential) -> TrainPotential:
    """Return the saved configuration in its present folder. Raises UsageError where another is asked for now."""
    new = absolute(asked)
    for group in ("frames", "potential", "fit"):
        before, now = getattr(saved, group).model_dump(), getattr(new, group).model_dump()
        for name, value in before.items():
            free = name == "epochs" and bool(saved.fit.budget and asked.fit.budget)
            if value != now[name] and not free:
                raise UsageError(
                    "--resume goes on with a run as it was begun, but "
                    f"--{name.replace('_', '-')} was {value!r}, is {now[name]!r}. "
                    "Leave the option out, or begin another run."
                )
    return saved.model_copy(update={"output_dir": asked.output_dir})


def absolute(config: TrainPotential) -> TrainPotential:
    """Return the configuration with whole paths, so that a run can go on from another working folder."""
    paths = {}
    for name in ("data_path", "val_path", "test_path"):
        path = getattr(config.frames, name)
        if path is not None and path.exists():
            paths[name] = path.resolve()
    return config.model_copy(update={"frames": config.frames.model_copy(update=paths)})
