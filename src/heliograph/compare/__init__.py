"""Which architecture for these molecules, how sure, at what cost, and what the data alone say before any training.

Imported without torch; `run` brings it in.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from heliograph.compare.config import CompareConfig, CompareOptions

_WHERE = {"run": "runner", "CompareResult": "result"}
__all__ = ["CompareConfig", "CompareOptions", "CompareResult", "run"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
