"""What a comparison is asked to do; the command line's options and the keys of a TOML file are these fields and no others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from heliograph.compare.learners import LADDER
from heliograph.errors import DataError, UsageError
from heliograph.train.config import DataConfig, FitConfig

DEFAULT = ("gcn", "gin", "gatv2", "dmpnn")


class CompareOptions(BaseModel):
    """Which architectures, on which folds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    archs: tuple[str, ...] = Field(
        default=DEFAULT,
        description="architectures: gcn, gcn:depth=2, path/to/mine.py, mine.toml; ladder: from a two-layer gcn upwards",
    )
    cv: str = Field(default="5x5", description="repeats x folds of the cross-validation")
    split: Literal["random", "scaffold", "butina", "cluster", "sphere"] = Field(
        default="random", description="how folds are cut; all but random keep molecules of one scaffold or cluster together"
    )
    sample: PositiveInt | None = Field(default=None, description="compare on so many molecules, drawn at random (default: on all)")
    parameters: PositiveInt | None = Field(
        default=None, description="about as many parameters for each architecture, by its width d (default: its own)"
    )
    tune: int | None = Field(
        default=None, ge=2, description="trials of settings for each learner on each fold, judged on its validation rows (default: none)"
    )
    rope: float | None = Field(
        default=None,
        ge=0,
        description="differences of the main metric that do not matter (default: 5% of the best error; 0.01 if the best is 1)",
    )
    learning_curve: bool = Field(default=False, description="also train on shares of the training molecules: what would more of them buy")
    jobs: PositiveInt = Field(default=1, description="trainings side by side, each in a process of its own")
    ray: str | None = Field(
        default=None,
        exclude=True,  # where it runs is no part of what it is: not saved, and free to change when a comparison goes on
        description="HOST:PORT of a Ray cluster to train on, in place of --jobs: as many side by side as it has CPUs, one thread each",
    )

    @field_validator("cv")
    @classmethod
    def _repeats_by_folds(cls, value: str) -> str:
        found = re.fullmatch(r"\s*(\d+)\s*[xX]\s*(\d+)\s*", value)
        if not found or int(found[1]) < 1 or int(found[2]) < 2:
            raise ValueError("must be repeats x folds, at least 1x2, like 5x5")
        return f"{int(found[1])}x{int(found[2])}"

    @field_validator("archs")
    @classmethod
    def _some_and_each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [name for text in value for name in text.split(",") if name]
        names = [rung for name in names for rung in (LADDER if name == "ladder" else (name,))]
        if not names:
            raise ValueError("must name at least one architecture")
        return tuple(dict.fromkeys(names))

    @property
    def repeats(self) -> int:
        return int(self.cv.split("x")[0])

    @property
    def folds(self) -> int:
        return int(self.cv.split("x")[1])


def refuse_files(saved: tuple[str, ...], asked: tuple[str, ...]) -> None:
    """No file is run because a folder names it: raises UsageError for a .py among those `saved` that was not `asked` for again."""
    own = [arch for arch in saved if arch.endswith(".py") and arch not in asked]
    if own:
        raise UsageError(f"--resume: the comparison has files of your own, which must be named again: --archs {' '.join(own)}")


class CompareConfig(BaseModel):
    """All of it. `fit.budget` is the time for all trainings together, in equal shares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DataConfig
    compare: CompareOptions = CompareOptions()
    fit: FitConfig = FitConfig()
    output_dir: Path = Field(default=Path("comparison"), description="folder for the comparison; an existing one needs resume or overwrite")


def saved(path: Path) -> CompareConfig:
    """Read the configuration that a comparison left in its folder. Raises DataError where it is damaged."""
    try:
        return CompareConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} can't be read ({str(error).splitlines()[0]}). Was it made by another program? Begin again elsewhere."
        ) from None
