"""What a generator of conformers learns: to see the conformer behind its noise, on the linear path (`process.Flow`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from heliograph import kernels
from heliograph.data.targets import Targets
from heliograph.generate.objective import SAID
from heliograph.generate.process import Flow
from heliograph.graph import Graph, dense
from heliograph.learn.objective import Objective
from heliograph.model import MPNN


@final
class Fold(Objective):
    """Draws a time for each molecule, t ~ Beta(2, 1), and asks for the displacement to the conformer: "move", mean square per atom."""

    def __init__(self) -> None:
        super().__init__()
        self.process = Flow()

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        t = torch.rand(graph.G, 1).sqrt().clamp(max=1 - 1e-3)
        at = kernels.gather(t, graph.topology.nodes_by_graph.index)  # [N, 1]
        state, move = self.process.noise(dense(graph.nodes["pos"]), dense(graph.nodes["start"]), at)
        noisy = graph.with_nodes(pos=state).with_globals(t=t)
        if not model.training or float(torch.rand(())) < SAID:
            with torch.no_grad():
                noisy = noisy.with_nodes(end=state + (1 - at) * model(noisy)["move"])
        return {"move": model(noisy)["move"], "wanted": move}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        return {"move": (outputs["move"] - outputs["wanted"]).square().sum()}

    def counts(self, targets: Targets) -> dict[str, float]:
        return {"move": float(len(targets["atom"]))}
