"""Targets to the network's scale and back: per-element references, then mean and standard deviation.

    y = std * y_network + mean + sum_z n_z reference_z

n_z counts the atoms of element z in the molecule, hydrogens included, whether they are nodes or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scaling:
    """`mean` and `std`, one per target; `references`: element -> one value per target (0 for a target that has none)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    references: dict[int, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def none(cls, targets: int) -> Scaling:
        """Changes nothing: for classes."""
        return cls((0.0,) * targets, (1.0,) * targets)

    def offsets(self, composition: np.ndarray | None) -> np.ndarray:
        """What is added after `std`: [T] or, with references, [n, T]. `composition` [n, 119] may be None where there are none."""
        mean = np.array(self.mean, dtype=np.float64)
        if not self.references or composition is None:
            return mean
        elements = sorted(self.references)
        return mean + composition[:, elements].astype(np.float64) @ np.array([self.references[z] for z in elements])

    def scale(self, y: np.ndarray, composition: np.ndarray | None) -> np.ndarray:
        """Targets [n, T] on the network's scale."""
        return (y - self.offsets(composition)) / np.array(self.std)

    def unscale(self, y: np.ndarray, composition: np.ndarray | None) -> np.ndarray:
        """Network outputs [n, T] in the targets' units."""
        return y * np.array(self.std) + self.offsets(composition)

    def to_dict(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std), "references": {str(z): list(v) for z, v in sorted(self.references.items())}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scaling:
        references = {int(z): tuple(float(x) for x in v) for z, v in data["references"].items()}
        return cls(tuple(map(float, data["mean"])), tuple(map(float, data["std"])), references)
