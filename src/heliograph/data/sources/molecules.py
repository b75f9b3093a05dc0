"""A store of molecules as a source: a row is a molecule, and its targets are one tensor."""

from __future__ import annotations

from typing import final

import numpy as np
import torch

from heliograph.data.store import Store
from heliograph.data.targets import Target, Targets
from heliograph.graph import Graph


@final
class Molecules:
    """Molecules of `store` with targets "y" `y` [G, T] (NaN = missing) on the network's scale, and `weights` [G].

    `sides` [G, T]: 1 where the truth is above `y`, -1 where below, else 0 (None: nowhere).
    """

    def __init__(self, store: Store, y: np.ndarray, weights: np.ndarray | None = None, sides: np.ndarray | None = None):
        self.store = store
        self.y = torch.from_numpy(np.ascontiguousarray(y))  # [G, T]
        self.sides = None if sides is None else torch.from_numpy(np.ascontiguousarray(sides))  # [G, T]
        self.weights = None if weights is None else torch.from_numpy(np.ascontiguousarray(weights))  # [G]

    def __len__(self) -> int:
        return len(self.store)

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The molecules of `rows`, in their order."""
        return self.store.batch(rows)

    def targets(self, rows: np.ndarray) -> Targets:
        """Labels [n, T] of `rows`, one row a molecule."""
        index = torch.from_numpy(rows)
        weight = None if self.weights is None else self.weights[index]
        return {"y": Target(self.y[index], "graph", weight=weight, side=None if self.sides is None else self.sides[index])}
