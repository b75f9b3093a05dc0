"""Active learning: which molecules to measure next, tried on labels that are known, suggested, or bought from an oracle."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "CampaignConfig": "config",
    "SimulateConfig": "config",
    "SuggestConfig": "config",
    "choose": "acquisition",
    "run": "campaign",
    "simulate": "simulation",
    "suggest": "suggestion",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
