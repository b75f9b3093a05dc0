"""Links against pairs without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

from torch import Tensor
from torch.nn import functional as F

from heliograph import recording
from heliograph.data.targets import Targets
from heliograph.graph import Graph
from heliograph.learn.objective import Objective
from heliograph.model import MPNN


@final
class Links(Objective):
    """A batch of n links and k pairs without one for each of them, asked for in this order (`heliograph.data.sources.one_graph.Links`).

    "bce": binary cross entropy, the mean of links' and pairs'. "bpr": -log sigmoid(y+ - y-) for each pair beside
    its link (Rendle et al. 2009, arXiv:1205.2618, sec. 4.1).
    """

    def __init__(self, loss: Literal["bce", "bpr"] = "bce"):
        super().__init__()
        self.loss = loss

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        n = len(targets["link"])
        y = recording.play(model, graph)["y"]
        return {"y": y[:n], "negatives": y[n:].view(n, -1)}  # [n], [n, k]

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        y, negatives = outputs["y"], outputs["negatives"]
        if self.loss == "bpr":
            return {"link": -F.logsigmoid(y[:, None] - negatives).mean(1).sum()}
        return {"link": 0.5 * (-F.logsigmoid(y) - F.logsigmoid(-negatives).mean(1)).sum()}

    def counts(self, targets: Targets) -> dict[str, float]:
        return {"link": float(len(targets["link"]))}
