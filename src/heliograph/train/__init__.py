"""Training: from a `TrainConfig` to a run folder and a `TrainResult`. Imported without torch; `run` brings it in."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from heliograph.train.config import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig

_WHERE = {"run": "runner", "TrainResult": "result"}
__all__ = ["DataConfig", "FitConfig", "ModelConfig", "SplitConfig", "TrainConfig", "TrainResult", "run"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
