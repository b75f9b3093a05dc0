"""The run folder of a potential: when it may be written, and what of it an earlier run left."""

from __future__ import annotations

import re
from pathlib import Path

from heliograph import manifest
from heliograph.learn import runfolder
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
    frames = config.frames
    inputs = (frames.data_path, frames.val_path, frames.test_path, Path(config.potential.arch))
    if not runfolder.goes_on(config.output_dir, POTENTIAL, resume, overwrite, names(config), inputs):
        return None
    saved = toml.load_as(config.output_dir, TrainPotential)
    free = {"epochs"} if saved.fit.budget and config.fit.budget else set()
    runfolder.refuse_changes(saved, absolute(config), free)
    return saved.model_copy(update={"output_dir": config.output_dir})


def take(config: TrainPotential) -> None:
    """Make the folder ready for a run that begins. Raises as `settle` does, and HeliographError."""
    manifest.claim(config.output_dir, POTENTIAL, names(config), replace=True)


def names(config: TrainPotential) -> list[str]:
    """All that a run may write, relative to its folder."""
    members = range(config.potential.ensemble_size)
    found = [toml.FILE, LOG, METRICS, MODEL, RESULTS, ARRAYS, REPORT, "resume/state.safetensors"]
    return found + [f"resume/member_{k}.safetensors" for k in members]


def absolute(config: TrainPotential) -> TrainPotential:
    """Return the configuration with whole paths, so that a run can go on from another working folder."""
    paths = {}
    for name in ("data_path", "val_path", "test_path"):
        path = getattr(config.frames, name)
        if path is not None and path.exists():
            paths[name] = path.resolve()
    return config.model_copy(update={"frames": config.frames.model_copy(update=paths)})
