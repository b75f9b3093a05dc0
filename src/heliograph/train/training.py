"""The training of a molecule product: a `Job` of the loop, and what turns its members into predictors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from heliograph import zoo
from heliograph.data.store import Store
from heliograph.learn.config import FitConfig
from heliograph.learn.ensemble import plain
from heliograph.learn.job import Finished, Job
from heliograph.learn.score import TaskScore
from heliograph.learn.state import network
from heliograph.learn.task import Task
from heliograph.model import MPNN, Inputs
from heliograph.predictor import Predictor, laplace
from heliograph.predictor.modelfile import Document
from heliograph.views import keep_encodings


@final
@dataclass(frozen=True, eq=False)
class Network:
    """`build` of a job: an architecture of the zoo with its arguments. `store`: where its views keep their encodings (None: nowhere)."""

    arch: str | Mapping[str, Any]
    inputs: Inputs
    out: int
    args: Mapping[str, Any]
    store: Store | None = None

    def __call__(self) -> MPNN:
        model = zoo.build(self.arch, self.inputs, self.out, self.args)
        if self.store is not None:
            keep_encodings(model.view, self.store)
        return model


@final
@dataclass(frozen=True, eq=False)
class Training:
    """`job` and what it is of: `store` of molecules, `task`, `score`, and the model file's `document`, but for what training adds."""

    job: Job
    store: Store
    task: Task
    score: TaskScore
    document: Document

    @property
    def parts(self) -> Mapping[str, np.ndarray]:
        """Rows of the store for "train", "val" and "test"."""
        return self.job.parts

    @property
    def fit(self) -> FitConfig:
        """The settings."""
        return self.job.fit

    @property
    def folder(self) -> Path | None:
        """The run's folder."""
        return self.job.folder

    def with_fit(self, **changes: Any) -> Training:
        """The same with other settings."""
        return replace(self, job=replace(self.job, fit=self.fit.model_copy(update=changes)))

    def predictor(self, members: Sequence[Finished]) -> Predictor:
        """Finished members as one predictor, with their summaries and calibration in its document."""
        models, rows, calibration = [network(self.job, member) for member in members], self.parts["val"], {}
        document = replace(self.document, members=[member.summary for member in members], training=plain(self.document.training))
        if "laplace" in document.outputs["y"]:
            y = self.score.scaling.scale(self.score.y, self.score.composition)
            for k, model in enumerate(models):
                learned = (self.job.folds[k] if self.job.folds else self.parts)["train"]
                laplace.fit(model, self.store, learned, y[learned], self.task, 4 * self.fit.batch_size)
        predictor = Predictor(models, document)
        if self.task.kind == "regression" and len(rows) and not self.job.folds:  # with folds most members have trained on them
            errors = predictor.predict_store(self.store, 4 * self.fit.batch_size, rows).y - self.score.y[rows]  # [n, T]
            calibration = {"residual_std": [root_mean_square(e[np.isfinite(e)]) for e in errors.T]}
        return Predictor(models, replace(document, calibration=plain(calibration)))


def root_mean_square(errors: np.ndarray) -> float:
    """NaN where there are none."""
    return float(np.sqrt(np.square(errors).mean())) if len(errors) else math.nan
