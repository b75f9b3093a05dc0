"""What is to be learned of a batch: named labels, each of graphs, nodes, edges or pairs, with gaps anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import Tensor

from heliograph.errors import DataError

Level = Literal["graph", "node", "edge", "pair"]


@final
class Target:
    """Labels of one name for the n rows of a batch.

    `value` [n, ...]; `level`: what a row is; `mask` (bool, of `value`'s shape or [n]): which labels are there (None: the finite
    ones); `weight` [n]: how much each row counts in a loss (None: 1 each); `side`, of `value`'s shape: 1 where the truth is known to be
    above `value`, -1 where below, 0 where it is `value` (None: everywhere). Raises DataError where the sizes do not fit.
    """

    __slots__ = ("level", "mask", "side", "value", "weight")

    def __init__(
        self, value: Tensor, level: Level = "graph", mask: Tensor | None = None, weight: Tensor | None = None, side: Tensor | None = None
    ):
        for name, other in (("mask", mask), ("weight", weight), ("side", side)):
            if other is not None and len(other) != len(value):
                raise DataError(f"a target of {len(value)} rows has a {name} of {len(other)}: they must be as many")
        self.value, self.level, self.mask, self.weight, self.side = value, level, mask, weight, side

    def __len__(self) -> int:
        return len(self.value)

    def __repr__(self) -> str:
        return f"Target({tuple(self.value.shape)} of {self.level}s, {int(self.present.sum())} labels)"

    @property
    def present(self) -> Tensor:
        """Which labels are there, bool of `value`'s shape."""
        if self.mask is None:
            return self.value.isfinite()
        return self.mask.reshape(self.mask.shape + (1,) * (self.value.dim() - self.mask.dim())).expand(self.value.shape)

    @property
    def weights(self) -> Tensor | None:
        """The rows' weights in a shape that multiplies `value`, or None."""
        return None if self.weight is None else self.weight.reshape(-1, *(1,) * (self.value.dim() - 1))

    def unweighted(self) -> Target:
        """Return the same labels, each row counted once: for validation."""
        return Target(self.value, self.level, self.mask, side=self.side)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Target:
        """Return the same on another device; floating values and weights in `dtype`."""

        def move(x: Tensor) -> Tensor:
            return x.to(device, dtype) if x.is_floating_point() else x.to(device)

        mask = None if self.mask is None else self.mask.to(device)
        weight, side = (None if x is None else move(x) for x in (self.weight, self.side))
        return Target(move(self.value), self.level, mask, weight, side)


Targets = Mapping[str, Target]
