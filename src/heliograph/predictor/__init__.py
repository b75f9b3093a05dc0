"""Predictors and their model files."""

from __future__ import annotations

from heliograph.predictor.modelfile import Document
from heliograph.predictor.predictor import Answers, Predictor, combine, ensemble, files, open
from heliograph.predictor.scaling import Scaling, composition
from heliograph.predictor.task import Task

__all__ = ["Answers", "Document", "Predictor", "Scaling", "Task", "combine", "composition", "ensemble", "files", "open"]
