"""All that the training of an ensemble's members needs: plain data, so that it can be sent to other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.data.store import Store
from heliograph.predictor.modelfile import Document
from heliograph.predictor.scaling import Scaling
from heliograph.predictor.task import Task
from heliograph.train.config import FitConfig


@dataclass(frozen=True, eq=False)
class Job:
    """`y` [G, T] labels in their own units (NaN = missing) and `weights` [G], for the molecules of `store`; `parts`: rows of it.

    `arch`: what `zoo.build` takes (a name, the path of one's own file, or a composition); `document`: the model file's, but for its
    training summary.
    `metrics`: canonical names; `select`: the one that chooses the best epoch, or "loss". `folder`: the run's; None writes nothing.
    `save_every`: seconds between saves of the state within an epoch.
    """

    store: Store
    y: np.ndarray
    weights: np.ndarray
    composition: np.ndarray | None  # [G, 119]; where the scaling has references
    parts: dict[str, np.ndarray]
    task: Task
    scaling: Scaling
    arch: str | Mapping[str, Any]
    document: Document
    fit: FitConfig
    loss: str
    metrics: tuple[str, ...]
    select: str = "loss"
    members: int = 1
    folder: Path | None = None
    save_every: float = 60.0

    def model_file(self, member: int) -> str:
        """Name of a member's file in the run folder."""
        return "model.safetensors" if self.members == 1 else f"model_{member}.safetensors"
