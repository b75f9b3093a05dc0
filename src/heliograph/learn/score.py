"""From a network's outputs to answers in the targets' units, and to figures of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from torch import Tensor

from heliograph.learn import metrics
from heliograph.learn.figures import Metrics
from heliograph.learn.scale import Scaling
from heliograph.learn.task import Task


@final
@dataclass(frozen=True, eq=False)
class TaskScore:
    """Figures of a `task`: the outputs `name` [n, out] of some rows against the labels `y` [n_rows, T] (NaN = missing), in their units.

    `composition` [n_rows, 119] where the `scaling` has references. `metrics`: canonical names.
    """

    task: Task
    scaling: Scaling
    y: np.ndarray
    metrics: tuple[str, ...]
    composition: np.ndarray | None = None
    name: str = "y"

    def __call__(self, outputs: Mapping[str, Tensor], rows: np.ndarray) -> Metrics:
        return metrics.evaluate(self.task, self.metrics, self.y[rows], *self.answers(outputs, rows))

    def answers(self, outputs: Mapping[str, Tensor], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return answers [n, T] and, for multiclass, probabilities [n, T, C]."""
        answers, probabilities = self.task.answers(outputs[self.name])
        if self.task.kind == "regression":
            answers = self.scaling.unscale(answers, None if self.composition is None else self.composition[rows])
        return answers, probabilities
