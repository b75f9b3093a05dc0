"""From a finished comparison to the training of what it chose."""

from __future__ import annotations

from pathlib import Path

from heliograph.compare.config import saved
from heliograph.compare.journal import FILE
from heliograph.compare.learners import parted
from heliograph.compare.result import CompareResult
from heliograph.compare.tuning import OF_FIT
from heliograph.compare.verdict import chosen
from heliograph.errors import DataError
from heliograph.train.config import ModelConfig, SplitConfig, TrainConfig

CONFIG = "config.json"
EVERYTHING = (0.9, 0.1, 0.0)  # nothing is held back for a test, which the folds were; the best epoch needs a validation part


def training(folder: Path, arch: str | None = None) -> TrainConfig:
    """The chosen architecture on all molecules, with the settings, the epochs and the width it had there. Raises DataError.

    `arch`: the file, where a .py of one's own was chosen: no file is run because a folder names it.
    """
    if not (folder / CONFIG).is_file() or not (folder / FILE).is_file():
        raise DataError(f"--from {folder}: there is no comparison in this folder. Make one with heliograph compare DATA -o {folder}.")
    result = CompareResult.load(folder)
    config = saved(folder / CONFIG)
    learner = result.learner(chosen(result))
    if learner.name.endswith(".py") and (arch is None or Path(arch).name != Path(learner.name).name):
        raise DataError(f"--from {folder} chose a file of your own, {learner.name}. Give it again: --arch {learner.name}")
    chosen_fit = {name: learner.settings[name] for name in OF_FIT if name in learner.settings}
    fit = config.fit.model_copy(update={"epochs": learner.epochs, "budget": None} | chosen_fit)
    name = arch if arch is not None and learner.name.endswith(".py") else parted(learner.name)[0]
    model = ModelConfig(arch=name, arch_args=dict(learner.arguments))
    return TrainConfig(data=config.data, split=SplitConfig(split=config.compare.split, split_sizes=EVERYTHING), model=model, fit=fit)
