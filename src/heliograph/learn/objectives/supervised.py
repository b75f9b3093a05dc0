"""Named answers against named labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from torch import Tensor

from heliograph import recording
from heliograph.data.targets import Targets
from heliograph.errors import DataError, suggest
from heliograph.graph import Graph
from heliograph.learn.losses import Loss
from heliograph.learn.objective import Objective
from heliograph.model import MPNN


@final
class Supervised(Objective):
    """The network's outputs against targets of the same names, on whatever level each of them is.

    `losses`: name -> "mse", "mae", "huber", "bce", "ce" or a `heliograph.learn.losses.Loss`; `weights`: name -> weight in the total.
    """

    def __init__(self, losses: Mapping[str, str | Loss], weights: Mapping[str, float] | None = None):
        super().__init__()
        self.each = {name: Loss(loss) if isinstance(loss, str) else loss for name, loss in losses.items()}
        self.weights = dict(weights or {})

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        found = recording.play(model, graph)
        for name in self.each:
            if name not in found:
                raise DataError(f"the network's readout has no output {name!r}: {suggest(name, found)}")
        return {name: found[name] for name in self.each}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        return {name: loss(outputs[name], targets[name]) for name, loss in self.each.items()}

    def counts(self, targets: Targets) -> dict[str, float]:
        for name in self.each:
            if name not in targets:
                raise DataError(f"the source has no target {name!r}: {suggest(name, targets)}")
        return {name: float(targets[name].present.sum()) for name in self.each}
