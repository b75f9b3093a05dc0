"""Numbers together with how sure the network is of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from heliograph import recording
from heliograph.data.targets import Targets
from heliograph.errors import UsageError, suggest
from heliograph.graph import Graph
from heliograph.learn.heads import HEADS
from heliograph.learn.objective import Objective
from heliograph.model import MPNN


@final
class Spread(Objective):
    """The network's output `name` against the target `name`, by a head of `heliograph.learn.heads`.

    Outputs: `name` [n, T], the answers, `name_std` [n, T], and `name_raw` [n, width T], which the
    losses are of.
    """

    def __init__(self, head: str, name: str = "y"):
        super().__init__()
        if head not in HEADS:
            raise UsageError(f"there is no head {head!r}: {suggest(head, HEADS)}")
        self.head, self.name = HEADS[head], name

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        raw = recording.play(model, graph)[self.name]
        answers, std = self.head.answers(raw)
        return {self.name: answers, f"{self.name}_std": std, f"{self.name}_raw": raw}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        target = targets[self.name]
        present = target.present
        errors = self.head.losses(
            outputs[f"{self.name}_raw"],
            torch.where(present, target.value, torch.zeros_like(target.value)),
        )
        errors = torch.where(present, errors, torch.zeros_like(errors))
        return {self.name: (errors if target.weights is None else errors * target.weights).sum()}

    def counts(self, targets: Targets) -> dict[str, float]:
        return {self.name: float(targets[self.name].present.sum())}
