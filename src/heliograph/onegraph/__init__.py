"""Training on one graph that is given as tables: its nodes, its edges, links that are missing, knowledge graphs."""

from __future__ import annotations

from heliograph.onegraph.config import GraphTrainConfig
from heliograph.onegraph.runner import run

__all__ = ["GraphTrainConfig", "run"]
