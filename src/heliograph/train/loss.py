"""Losses over several targets with missing labels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph.errors import UsageError
from heliograph.predictor.task import Kind, Task

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

OF_KIND: dict[Kind, tuple[str, ...]] = {"regression": ("mse", "mae", "huber"), "binary": ("bce",), "multiclass": ("ce",)}


def resolve(name: str, kind: Kind) -> str:
    """The loss that "auto" means. Raises UsageError for one that doesn't fit the task."""
    if name == "auto":
        return OF_KIND[kind][0]
    if name not in OF_KIND[kind]:
        raise UsageError(f"--loss {name} is not for {kind} targets; use {' or '.join(OF_KIND[kind])}")
    return name


def total(name: str, task: Task) -> Loss:
    """(outputs [G, out], targets [G, T] with NaN = missing, weights [G]) -> the weighted sum over all labels there are.

    Regression targets and outputs are scaled ones; multiclass targets are indices.
    """
    each = _EACH[name]

    def loss(y: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        present = targets.isfinite()  # [G, T]
        errors = each(task.logits(y), torch.where(present, targets, torch.zeros_like(targets)))  # [G, T]
        return torch.where(present, errors, torch.zeros_like(errors)).mul(weights[:, None]).sum()

    return loss


def _cross_entropy(y: Tensor, targets: Tensor) -> Tensor:
    chosen: Tensor = -F.log_softmax(y, -1).gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)  # [G, T]
    return chosen


_EACH: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda y, t: (y - t).square(),
    "mae": lambda y, t: (y - t).abs(),
    "huber": lambda y, t: F.huber_loss(y, t, reduction="none"),
    "bce": lambda y, t: F.binary_cross_entropy_with_logits(y, t, reduction="none"),
    "ce": _cross_entropy,
}
