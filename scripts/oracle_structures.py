"""Structures for oracles of potentials: a molecule, crystals, a slab. And our couplings, without the package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]


def ours(name: str) -> Any:
    """A file of `heliograph.blocks` that needs NumPy alone."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "src" / "heliograph" / "blocks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


coupling = ours("coupling")


def structures() -> list[tuple[np.ndarray, np.ndarray, np.ndarray, tuple[bool, bool, bool]]]:
    """A molecule, two crystals with cells smaller than the cutoff (one left-handed), a slab."""
    rng = np.random.default_rng(7)
    found = [
        (
            np.array([8, 6, 1, 1, 7]),
            1.2 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0.0]]),
            np.zeros((3, 3)),
            (False,) * 3,
        )
    ]
    for k, pbc in enumerate(((True,) * 3, (True,) * 3, (True, False, True))):
        cell = np.diag([3.1, 3.6, 3.3]) + 0.3 * rng.normal(size=(3, 3))
        cell[2] *= -1 if k == 1 else 1
        pos = np.array([[0, 0, 0], [0.5, 0.45, 0.1], [0.1, 0.5, 0.55]]) @ cell + 0.05 * rng.normal(size=(3, 3))
        found.append((rng.choice([6, 8, 14], 3), pos, cell, pbc))
    return [(z, pos + 0.02 * rng.normal(size=pos.shape), cell, pbc) for z, pos, cell, pbc in found]
