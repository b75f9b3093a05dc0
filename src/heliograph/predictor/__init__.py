"""Predictors and their model files."""

from __future__ import annotations

from heliograph.data.composition import composition
from heliograph.learn.scale import Scaling
from heliograph.learn.task import Task
from heliograph.predictor.modelfile import Document
from heliograph.predictor.predictor import Answers, Predictor, combine, files, open

__all__ = ["Answers", "Document", "Predictor", "Scaling", "Task", "combine", "composition", "files", "open"]
