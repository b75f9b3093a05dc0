"""Losses over several targets with missing labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph.data.targets import Target
from heliograph.errors import UsageError, suggest
from heliograph.learn.task import Kind, Task

OF_KIND: dict[Kind, tuple[str, ...]] = {"regression": ("mse", "mae", "huber"), "binary": ("bce",), "multiclass": ("ce",)}


def resolve(name: str, kind: Kind) -> str:
    """Return the loss that "auto" means. Raises UsageError for one that does not fit the task."""
    if name == "auto":
        return OF_KIND[kind][0]
    if name not in OF_KIND[kind]:
        raise UsageError(f"--loss {name} is not for {kind} targets; use {' or '.join(OF_KIND[kind])}")
    return name


@final
@dataclass(frozen=True)
class Loss:
    """(outputs, target) -> the weighted sum over all labels there are, a scalar.

    "mse", "mae", "huber", "bce": outputs and labels [n, ...] of one shape. "ce": outputs [n, C] with labels [n] of classes; with a
    `task` of several columns, outputs [n, out] with labels [n, T] (`Task.logits`).
    """

    name: str
    task: Task | None = None

    def __post_init__(self) -> None:
        if self.name not in _EACH:
            raise UsageError(f"there is no loss {self.name!r}: {suggest(self.name, _EACH)}")

    def __call__(self, y: Tensor, target: Target) -> Tensor:
        value, present = target.value, target.present
        if self.task is not None:
            y = self.task.logits(y)
        if self.name != "ce" and y.shape != value.shape:
            raise UsageError(f"the loss {self.name!r} compares outputs of shape {tuple(y.shape)} with labels of {tuple(value.shape)}")
        value = torch.where(present, value, torch.zeros_like(value))
        if target.side is not None:  # a bound: beyond it an answer costs nothing
            beyond = torch.where(target.side > 0, torch.maximum(value, y.detach()), torch.minimum(value, y.detach()))
            value = torch.where(target.side == 0, value, beyond)
        errors = _EACH[self.name](y, value)
        errors = torch.where(present, errors, torch.zeros_like(errors))
        return (errors if target.weights is None else errors.mul(target.weights)).sum()


def _cross_entropy(y: Tensor, targets: Tensor) -> Tensor:
    chosen: Tensor = -F.log_softmax(y, -1).gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)  # [n, T] or [n]
    return chosen


_EACH: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda y, t: (y - t).square(),
    "mae": lambda y, t: (y - t).abs(),
    "huber": lambda y, t: F.huber_loss(y, t, reduction="none"),
    "bce": lambda y, t: F.binary_cross_entropy_with_logits(y, t, reduction="none"),
    "ce": _cross_entropy,
}
