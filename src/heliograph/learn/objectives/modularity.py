"""Clusters of a graph without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from heliograph.data.targets import Targets
from heliograph.graph import Graph
from heliograph.learn.objective import Objective
from heliograph.model import MPNN


@final
class Modularity(Objective):
    """The network's answers [N, C] are logits of clusters, S = softmax: -tr(S^T B S) / 2m + `collapse` (sqrt(C) |sum_i S_i| / n - 1).

    B = A - d d^T / 2m; the second term keeps clusters from growing over all nodes (DMoN: Tsitsulin et al. 2023, arXiv:2006.16904, eq. 6).
    For whole graphs whose edges run both ways.
    """

    def __init__(self, collapse: float = 1.0):
        super().__init__()
        self.weights = {"collapse": collapse}

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        S = model(graph.with_asked(None))["y"].softmax(-1)  # [N, C]
        t = graph.topology
        two_m = max(t.E, 1)
        inside = (S.index_select(0, t.senders) * S.index_select(0, t.receivers)).sum()
        volume = (t.degree.to(S.dtype)[:, None] * S).sum(0)
        modularity = inside / two_m - volume.square().sum() / two_m**2
        collapse = S.shape[1] ** 0.5 * S.sum(0).norm() / max(len(S), 1) - 1
        rows = torch.zeros(len(targets["node"]), 1, device=S.device)
        return {"modularity": rows - modularity, "collapse": rows + collapse}  # the same for each row that is asked

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        return {name: outputs[name].sum() for name in ("modularity", "collapse")}

    def counts(self, targets: Targets) -> dict[str, float]:
        return dict.fromkeys(("modularity", "collapse"), float(len(targets["node"])))
