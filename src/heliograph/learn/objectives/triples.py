"""The right tail among all nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph import recording
from heliograph.data.targets import Targets
from heliograph.graph import Graph
from heliograph.learn import ranking
from heliograph.learn.objective import Objective
from heliograph.model import MPNN

Lookup = Callable[[Tensor], tuple[Tensor, Tensor]]


@final
class Triples(Objective):
    """Cross entropy of the right tail among all nodes, for both questions of each triple (Lacroix et al. 2018, arXiv:1806.07297, eq. 3).

    `known`: all right tails of some questions, from training, validation and test; in evaluation the others of them leave the ranking
    (Bordes et al. 2013, "filtered"). `cubes`: weight of the nuclear 3-norm. Outputs: "nll" [n, 2] and, in evaluation, "rank" [n, 2].
    """

    def __init__(self, known: Lookup, cubes: float = 0.0):
        super().__init__()
        self.known, self.weights = known, {"cubes": cubes}

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        found, asked = recording.play(model, graph), graph.asked
        assert asked is not None
        y, answers = found["y"], asked[:, 2].to(found["y"].device)
        each = {"nll": F.cross_entropy(y, answers, reduction="none"), "cubes": found["cubes"]}
        if not model.training:
            query, tail = self.known(asked)
            each["rank"] = ranking.ranks(y, answers, (query.to(y.device), tail.to(y.device)))
        return {name: value.view(2, -1).T for name, value in each.items()}  # [n, 2]

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        return {name: outputs[name].sum() for name in ("nll", "cubes")}

    def counts(self, targets: Targets) -> dict[str, float]:
        return dict.fromkeys(("nll", "cubes"), 2.0 * len(targets["triple"]))


def scored(outputs: Mapping[str, Tensor]) -> dict[str, float]:
    """Figures of all ranks, both directions."""
    return ranking.figures(torch.as_tensor(outputs["rank"]).double().numpy().ravel())
