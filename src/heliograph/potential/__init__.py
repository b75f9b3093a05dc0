"""Potentials: energies, forces and stresses learned from frames, and their use.

    potential = Potential.load("run/model.safetensors")
    atoms.calc = Calculator("run/model.safetensors")

`config`, `runner` and `result` train one; `heliograph.chem.dynamics` and `relaxation` move atoms with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.potential.calculator import Calculator
    from heliograph.potential.potential import Potential

_HOMES = {"Calculator": "calculator", "Potential": "potential"}
__all__ = ["Calculator", "Potential"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
