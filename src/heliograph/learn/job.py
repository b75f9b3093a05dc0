"""All that the training of an ensemble's members needs, so that it can be sent to other processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from heliograph.learn.config import FitConfig
from heliograph.learn.figures import Epoch, Metrics
from heliograph.learn.objective import Objective
from heliograph.learn.source import Source
from heliograph.model import MPNN

Score = Callable[[Mapping[str, Tensor], np.ndarray], Metrics]


class Optimizer(Protocol):
    """What the loop needs of an optimizer: torch.optim's have it, and `heliograph.learn.adam.Adam`."""

    param_groups: list[dict[str, Any]]
    state: Any

    def zero_grad(self) -> None: ...

    def step(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained on which rows, and how.

    `parts`: "train", "val" (may be empty) and whatever else -> rows of `source`. `folds`: parts of each member where they differ, as many
    as `members`. `build` makes the network; torch is seeded before.
    `score` turns the outputs of some rows into figures {"mean": {metric: value}, ...} in the targets' units; `metrics` are those of
    "mean" that the log shows, and `select` is the one that chooses the best epoch, or "loss"; of several, an epoch is kept where none is
    worse than before, and `fit.patience` counts epochs without any such. `stop` says after an epoch whether it was the last.
    `optimizer` makes another optimizer than Adam (AdamW with a weight decay). `folder`: the run's; None writes nothing.
    `ahead`: how many batches are made in threads while the network computes (0: none); `at_once`: rows a batch without gradients (None:
    four times the batch size). `save_every`: seconds between saves of the state within an epoch. `unit`: what the rows are, for the log.
    On several devices all of it goes to other processes: `build` and the others are then functions of a module, not lambdas.
    """

    source: Source
    parts: Mapping[str, np.ndarray]
    build: Callable[[], MPNN]
    objective: Objective
    fit: FitConfig
    score: Score | None = None
    metrics: tuple[str, ...] = ()
    select: str | tuple[str, ...] = "loss"
    stop: Callable[[Epoch], bool] | None = None
    optimizer: Callable[[nn.Module, FitConfig], Optimizer] | None = None
    members: int = 1
    folder: Path | None = None
    save_every: float = 60.0
    ahead: int = 0
    at_once: int | None = None
    unit: str = "molecules"
    folds: tuple[Mapping[str, np.ndarray], ...] = ()

    def of_member(self, member: int) -> Job:
        """Return the job as the member sees it: its own parts."""
        return replace(self, parts=self.folds[member], folds=()) if self.folds else self


@dataclass(frozen=True, eq=False)
class Finished:
    """A trained member: `tensors` are its best weights by name (`heliograph.learn.state.tensors_of`), `summary` is plain JSON data.

    `summary` has "member", "seed", "epochs", "best_epoch" and, with validation rows, "val_loss" and "val_metrics".
    """

    tensors: dict[str, Tensor]
    summary: dict[str, Any]
