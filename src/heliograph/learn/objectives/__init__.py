"""Objectives: what is minimised, one a file."""

from __future__ import annotations

from heliograph.learn.objectives.forces import Forces
from heliograph.learn.objectives.supervised import Supervised

__all__ = ["Forces", "Supervised"]
