"""What is predicted: target columns, their kind and classes, and how the network's numbers become answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from heliograph.errors import UsageError
from heliograph.learn.figures import Kind


@dataclass(frozen=True)
class Task:
    """T target columns of one kind. The network has `out` outputs a molecule: T, or T x C for multiclass.

    `units`: one per target, "" = none. `classes`: names of the classes per target in the order of their indices (binary: "0", "1");
    empty for regression. C is the largest number of classes; a target's surplus outputs are masked.
    """

    kind: Kind
    targets: tuple[str, ...]
    units: tuple[str, ...] = ()
    classes: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(f"a task is one of {', '.join(get_args(Kind))}; got {self.kind!r}")
        object.__setattr__(self, "units", tuple(self.units) or ("",) * len(self.targets))

    @property
    def n_classes(self) -> int:
        """C, the most classes of any target; 1 for regression and binary."""
        return max(len(c) for c in self.classes) if self.kind == "multiclass" else 1

    @property
    def out(self) -> int:
        """Outputs of the network per molecule."""
        return len(self.targets) * self.n_classes

    def logits(self, y: Tensor) -> Tensor:
        """[G, out] -> [G, T], or [G, T, C] with -inf at classes that a target has not got."""
        if self.kind != "multiclass":
            return y
        y = y.view(len(y), len(self.targets), self.n_classes)  # [G, T, C]
        absent = torch.tensor([[c >= len(names) for c in range(self.n_classes)] for names in self.classes], device=y.device)
        return y.masked_fill(absent, -torch.inf)

    def answers(self, y: Tensor) -> tuple[np.ndarray, np.ndarray | None]:
        """Network outputs [G, out] as float64 answers [G, T] and, for multiclass, probabilities [G, T, C].

        Regression: still scaled. Binary: the probability of 1. Multiclass: the index of the likeliest class.
        """
        y = y.detach().to("cpu", torch.float64)
        if self.kind == "regression":
            return y.numpy(), None
        if self.kind == "binary":
            return y.sigmoid().numpy(), None
        probabilities = self.logits(y).softmax(-1)
        return probabilities.argmax(-1).to(torch.float64).numpy(), probabilities.numpy()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"kind": self.kind, "targets": list(self.targets), "units": list(self.units), "classes": [list(c) for c in self.classes]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Task:
        return cls(data["kind"], tuple(data["targets"]), tuple(data["units"]), tuple(tuple(c) for c in data["classes"]))
