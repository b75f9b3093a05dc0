"""The folder of a run on one graph: when it may be written, and what a run writes into it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from heliograph import manifest
from heliograph.errors import UsageError
from heliograph.learn.log import LOG, METRICS
from heliograph.manifest import Kind
from heliograph.onegraph.config import GraphTrainConfig
from heliograph.train import toml
from heliograph.train.folder import SPLITS

MODEL = "model.safetensors"
REPORT = "report.html"
_NAMES = (
    r"config\.toml|splits\.json|train\.log|metrics\.csv|results\.json|report\.html|model\.safetensors|"
    r"resume/(state|member_\d+)\.safetensors|(val|test)_predictions\.csv"
)
_FIRST = (SPLITS, LOG)  # alone they are of a run that was killed before there was anything to go on with
TRAINING = Kind("a training on one graph", re.compile(_NAMES))


def settle(config: GraphTrainConfig, resume: bool, overwrite: bool) -> GraphTrainConfig | None:
    """The saved configuration where a run goes on, None where one begins. Changes nothing.

    Raises UsageError: the folder holds what no such run wrote, a run is there and neither `resume` nor `overwrite` is given, or both are,
    or the run that is to go on was asked for with other settings.
    """
    folder = config.output_dir
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude one another: go on with the run, or replace it?")
    files = manifest.held(folder, TRAINING)
    if files is not None and (folder / toml.FILE).is_file() and resume:
        manifest.refuse(folder, TRAINING, (), replace=True)  # a run that goes on writes its files again
        return _same(toml.load_as(folder, GraphTrainConfig), config)
    if not overwrite and any((folder / name).exists() for name in files or () if name not in _FIRST):
        raise UsageError(
            f"{folder} holds a run already: --resume goes on with it, --overwrite replaces it, or choose another --output-dir."
        )
    inputs = [path for path in (config.data.data_path, config.data.edges) if path is not None and path.exists()]
    manifest.refuse(folder, TRAINING, names(config), replace=True, inputs=inputs)
    return None


def take(config: GraphTrainConfig) -> None:
    """Make the folder ready for a run that begins: what an earlier run wrote goes, what this one writes is in the manifest.

    Raises UsageError, as `settle` does, for what has come into the folder since; HeliographError where it can't be written.
    """
    manifest.claim(config.output_dir, TRAINING, names(config), replace=True)


def names(config: GraphTrainConfig) -> list[str]:
    """All that a run may write, relative to its folder."""
    members = [f"resume/member_{k}.safetensors" for k in range(config.model.ensemble_size)]
    one = [toml.FILE, SPLITS, LOG, METRICS, "resume/state.safetensors", MODEL, "results.json", REPORT]
    return [*one, *members, "val_predictions.csv", "test_predictions.csv"]


def absolute(config: GraphTrainConfig) -> GraphTrainConfig:
    """With whole paths to the tables, so that a run can go on from another working folder."""
    paths = {k: v.resolve() for k, v in dict(config.data).items() if isinstance(v, Path) and v.is_file()}
    return config.model_copy(update={"data": config.data.model_copy(update=paths)})


def _same(saved: GraphTrainConfig, asked: GraphTrainConfig) -> GraphTrainConfig:
    """The saved configuration in its present folder. Raises UsageError where something else is asked for now."""

    def flat(config: GraphTrainConfig) -> dict[str, Any]:
        groups = config.model_dump(exclude={"output_dir"})
        return {name: value for group in groups.values() for name, value in group.items()}

    old, new = flat(saved), flat(absolute(asked))
    changed = [name for name in old if name != "strict" and old[name] != new[name]]
    if changed:
        listed = ", ".join(f"--{name.replace('_', '-')} was {old[name]!r}, is {new[name]!r}" for name in changed[:4])
        raise UsageError(
            f"--resume goes on with a run as it was begun, but {listed}. Leave the option out, or begin another run."
        )
    return saved.model_copy(update={"output_dir": asked.output_dir})
