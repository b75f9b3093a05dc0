"""Learning: one loop for every task. It knows graphs, targets and objectives, and nothing of what they stand for.

    job = Job(source, parts, build, Supervised({"y": "mse"}), FitConfig(epochs=100))
    counters, members = train(job)

Imported without torch; the names below bring it in when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from heliograph.learn.config import FitConfig

if TYPE_CHECKING:
    from heliograph.data.targets import Target, Targets
    from heliograph.learn.ensemble import train
    from heliograph.learn.inference import infer
    from heliograph.learn.job import Finished, Job
    from heliograph.learn.objective import Objective
    from heliograph.learn.objectives import Supervised
    from heliograph.learn.source import Source
    from heliograph.learn.state import network

_HOMES = {
    "Finished": "learn.job",
    "Job": "learn.job",
    "Objective": "learn.objective",
    "Source": "learn.source",
    "Supervised": "learn.objectives",
    "Target": "data.targets",
    "Targets": "data.targets",
    "infer": "learn.inference",
    "network": "learn.state",
    "train": "learn.ensemble",
}
__all__ = ["Finished", "FitConfig", "Job", "Objective", "Source", "Supervised", "Target", "Targets", "infer", "network", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"heliograph.{_HOMES[name]}"), name)
