"""Screening: the best of a library of any length, exactly, each molecule once, with filters and a diverse choice.

from heliograph.screen import ScreenConfig, run
result = run(ScreenConfig(model_path="run", library=("library.csv.gz",), output_dir="hits", top=1000))
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {"ScreenConfig": "config", "run": "runner", "Result": "result", "Hit": "best"}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
