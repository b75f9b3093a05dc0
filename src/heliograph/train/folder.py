"""The run folder: when it may be written, and what of it an earlier run left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.errors import HeliographError, UsageError
from heliograph.files import atomic
from heliograph.train import toml
from heliograph.train.config import TrainConfig

SPLITS = "splits.json"
_OURS = ("config.toml", "splits.json", "model*.safetensors", "metrics.csv", "*_predictions.csv", "results.json", "report.html", "train.log",
         "resume", "replicate_*")  # fmt: skip


def prepare(config: TrainConfig, resume: bool, overwrite: bool) -> TrainConfig | None:
    """Make the folder ready; the saved configuration where a run goes on, None where one begins.

    Raises UsageError: a run is there and neither `resume` nor `overwrite` is given, or both are, or the run that is to go on was
    asked for with other settings; HeliographError: the folder can't be written.
    """
    folder = config.output_dir
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude one another: go on with the run, or replace it?")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output-dir {folder} is a file; give a folder")
    there = (folder / toml.FILE).is_file()
    if there and resume:
        return _same(toml.load(folder), config)
    if there and not overwrite:
        raise UsageError(
            f"{folder} holds a run already: --resume goes on with it, --overwrite replaces it, or choose another --output-dir."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for pattern in _OURS:  # also what a run left that was killed before it began
            for path in folder.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        raise HeliographError(f"can't write the folder {folder}: {error.strerror or error}. Choose another --output-dir.") from error
    return None


def _same(saved: TrainConfig, asked: TrainConfig) -> TrainConfig:
    """The saved configuration in its present folder. Raises UsageError where something else is asked for now."""

    def flat(config: TrainConfig) -> dict[str, Any]:
        groups = config.model_dump(exclude={"output_dir"})
        return {name: value for group in groups.values() for name, value in group.items()}

    old, new = flat(saved), flat(absolute(asked))
    free = {"num_workers", "strict"} | ({"epochs"} if saved.fit.budget and asked.fit.budget else set())
    changed = [name for name in old if name not in free and old[name] != new[name]]
    if changed:
        listed = ", ".join(f"--{name.replace('_', '-')} was {old[name]!r}, is {new[name]!r}" for name in changed[:4])
        raise UsageError(f"--resume goes on with a run as it was begun, but {listed}. Leave the option out, or begin another run.")
    return saved.model_copy(update={"output_dir": asked.output_dir})


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
