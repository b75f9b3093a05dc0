"""What a generator is trained for: one module a task, with two functions.

`assemble(config, progress)` reads the data and says what the loop needs; `sampler(knows, arguments, tensors, file)` makes what draws out
of a model file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast, final

import numpy as np
from torch import Tensor

from heliograph.generate.config import GenerateTrainConfig
from heliograph.learn.objective import Objective
from heliograph.learn.progress import Progress
from heliograph.learn.source import Source
from heliograph.model import MPNN

TASKS = {
    "molecules": "heliograph.generate.molecule_task",
    "conformers": "heliograph.generate.conformers.task",
    "crystals": "heliograph.generate.crystals.task",
}


@final
@dataclass(frozen=True, eq=False)
class Assembled:
    """A task as the loop wants it. `knows`: what the sampler must know of the data, plain JSON; `outputs`: name -> level."""

    source: Source
    parts: Mapping[str, np.ndarray]
    build: Callable[[], MPNN]
    objective: Objective
    arguments: Mapping[str, int]
    knows: Mapping[str, Any]
    outputs: Mapping[str, str]
    digest: str
    unit: str
    reasons: Mapping[str, int] = field(default_factory=dict)
    arch: str = "semla"


class Task(Protocol):
    """A module of a task."""

    def assemble(self, config: GenerateTrainConfig, progress: Progress) -> Assembled:
        """Read the data. Raises DataError where none can be used."""

    def sampler(self, knows: Mapping[str, Any], arguments: Mapping[str, int], tensors: Mapping[str, Tensor], file: Path) -> object:
        """Return what draws. Raises KeyError, TypeError, ValueError for what can't be read, ModelFileError for other tensors."""


def task(name: str) -> Task:
    """Return a task's module. Raises ValueError for a name that is none."""
    if name not in TASKS:
        raise ValueError(f"{name!r} is no task of this version")
    return cast(Task, importlib.import_module(TASKS[name]))


def sizes(arguments: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The network's sizes of a stranger's file, checked before anything is built. Raises ValueError."""
    known = {k: int(arguments[k]) for k in ("d", "depth", "sets", "pair")}
    if max(known.values()) > 4096 or known["d"] ** 2 * known["depth"] > sum(t.numel() for t in tensors.values()) * 8:
        raise ValueError("its sizes do not fit its tensors")
    return known


def split(n: int, config: GenerateTrainConfig, groups: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Rows of "train" and "val": a random share of the rows, or of the `groups` [n] where rows of one must stay together.

    Raises DataError where too few are left to learn from.
    """
    from heliograph.errors import DataError

    groups = np.arange(n) if groups is None else groups
    names = np.unique(groups)
    order = np.random.default_rng([config.fit.seed, 7]).permutation(len(names))
    held = max(1, round(config.generator.validation * len(names)))
    if len(names) - held < 2:
        raise DataError(f"{len(names)} {config.generator.task} are too few to learn from: give three or more that differ.")
    out = np.isin(groups, names[order[:held]])
    return {"train": np.flatnonzero(~out), "val": np.flatnonzero(out)}
