"""The run folder: when it may be written, and what of it an earlier run left."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from heliograph import manifest
from heliograph.errors import UsageError
from heliograph.files import atomic
from heliograph.learn import runfolder
from heliograph.learn.log import LOG, METRICS
from heliograph.manifest import Kind
from heliograph.predictor.predictor import source_sum
from heliograph.train import toml
from heliograph.train.config import TrainConfig

SPLITS = "splits.json"
_RUN = (
    r"config\.toml|splits\.json|train\.log|metrics\.csv|results\.json|report\.html|model\.safetensors|"
    r"resume/(state|member_\d+)\.safetensors|(val|test|out_of_fold)_predictions\.csv"
)
_FIRST = (SPLITS, LOG)  # alone they are of a run that was killed before there was anything to go on with
TRAINING = Kind("a training", re.compile(rf"(replicate_\d+/)?({_RUN})"))


def settle(config: TrainConfig, resume: bool, overwrite: bool) -> TrainConfig | None:
    """The saved configuration where a run goes on, None where one begins. Changes nothing.

    Raises UsageError: the folder holds what no run wrote, a run is there and neither `resume` nor `overwrite` is given, or both are, or
    the run that is to go on was asked for with other settings.
    """
    inputs = (config.data.data_path, config.split.val_path, config.split.test_path, Path(config.model.arch))
    if not runfolder.goes_on(config.output_dir, TRAINING, resume, overwrite, names(config), inputs, _FIRST):
        return None
    saved = _own_file(toml.load(config.output_dir), config)
    budget = {"epochs"} if saved.fit.budget and config.fit.budget else set()
    runfolder.refuse_changes(saved, absolute(config), {"num_workers", "strict", "arch_sha256"} | budget)
    return saved.model_copy(update={"output_dir": config.output_dir})


def take(config: TrainConfig) -> None:
    """Make the folder ready for a run that begins: what an earlier run wrote goes, and what this one writes is in the manifest.

    Raises UsageError, as `settle` does, for what has come into the folder since; HeliographError where it can't be written.
    """
    manifest.claim(config.output_dir, TRAINING, names(config), replace=True)


def names(config: TrainConfig) -> list[str]:
    """All that a run may write, relative to its folder."""
    one = [toml.FILE, SPLITS, LOG, METRICS, "resume/state.safetensors", "model.safetensors", "results.json", "report.html"]
    one += [f"resume/member_{k}.safetensors" for k in range(config.model.ensemble_size)]
    one += [f"{part}_predictions.csv" for part in ("test", "out_of_fold" if config.model.members == "folds" else "val")]
    return [f"replicate_{k}/{name}" if k else name for k in range(config.split.num_replicates) for name in one]


def _own_file(saved: TrainConfig, asked: TrainConfig) -> TrainConfig:
    """The saved configuration with the .py file as it is named now. Raises UsageError where it is not the file that the run began with.

    No code is run because a folder names it, nor is other code than was run before.
    """
    if not (saved.model.arch.endswith(".py") and asked.model.arch.endswith(".py")):
        return saved
    if source_sum(asked.model.arch) != saved.model.arch_sha256:
        raise UsageError(
            f"--resume: {asked.model.arch} is not the file that this run began with: its SHA-256 differs. Give the file as it was, or "
            "begin another run."
        )
    return saved.model_copy(update={"model": saved.model.model_copy(update={"arch": asked.model.arch})})


def absolute(config: TrainConfig) -> TrainConfig:
    """With whole paths to the data, so that a run can go on from another working folder; names of shipped sets stay."""

    def whole(path: Path | None) -> Path | None:
        return path.resolve() if path is not None and path.is_file() else path

    data = config.data.model_copy(update={"data_path": whole(config.data.data_path)})
    files = {name: whole(getattr(config.split, name)) for name in ("val_path", "test_path")}
    return config.model_copy(update={"data": data, "split": config.split.model_copy(update=files)})


def save_splits(folder: Path, rows: dict[str, np.ndarray]) -> None:
    """`splits.json`: row numbers of each part in their file, from 0."""
    with atomic(folder / SPLITS) as temporary:
        temporary.write_text(json.dumps({part: [int(r) for r in numbers] for part, numbers in rows.items()}), encoding="utf-8")
