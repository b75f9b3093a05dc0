"""The folder of a run on one graph: when it may be written, and what a run writes into it."""

from __future__ import annotations

import re
from pathlib import Path

from heliograph import manifest
from heliograph.learn import runfolder
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
    inputs = (config.data.data_path, config.data.edges)
    if not runfolder.goes_on(config.output_dir, TRAINING, resume, overwrite, names(config), inputs, _FIRST):
        return None
    saved = toml.load_as(config.output_dir, GraphTrainConfig)
    runfolder.refuse_changes(saved, absolute(config), {"strict"})
    return saved.model_copy(update={"output_dir": config.output_dir})


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
