"""Cells of a table that are hidden and must be found again from the rest and from the neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph.data.targets import Targets
from heliograph.graph import Graph, dense
from heliograph.learn.objective import Objective
from heliograph.model import MPNN


@dataclass(frozen=True)
class Cells:
    """A column as `width` numbers from `start` on: standardised numbers, a flag, or one of `width` categories."""

    name: str
    start: int
    width: int
    kind: Literal["number", "flag", "category"]


def expanded(cells: Tensor, columns: Sequence[Cells]) -> Tensor:
    """A number of each cell [N, C] for each of its features, [N, V]."""
    return cells.repeat_interleave(torch.tensor([c.width for c in columns], device=cells.device), dim=1)


@final
class Masked(Objective):
    """Node features `x` are [values [N, V], which cells are known [N, C]]; a `share` of the known cells is hidden at each step.

    The network answers for all values, [n, V]; cells that were hidden are compared: squared errors of numbers, cross entropies of flags and
    categories. The target "cells" [n, C] says which cells of a row are known. Vincent et al. 2008, doi:10.1145/1390156.1390294.
    """

    def __init__(self, columns: Sequence[Cells], share: float = 0.15):
        super().__init__()
        self.columns, self.share = tuple(columns), share

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        x, V = dense(graph.nodes["x"]), sum(c.width for c in self.columns)
        known = x[:, V:]
        hidden = (torch.rand_like(known) < self.share) & (known > 0)
        rows = torch.arange(graph.N, device=x.device) if graph.asked is None else graph.asked
        y = model(hide(graph, hidden, self.columns))["y"]
        return {"y": y, "truth": x[rows, :V], "hidden": hidden[rows].to(x.dtype)}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        y, truth, total = outputs["y"], outputs["truth"], outputs["y"].new_zeros(())
        for k, c in enumerate(self.columns):
            mine, right = y[:, c.start : c.start + c.width], truth[:, c.start : c.start + c.width]
            if c.kind == "category":
                each = -(F.log_softmax(mine, -1) * right).sum(-1)
            elif c.kind == "flag":
                each = F.binary_cross_entropy_with_logits(mine, right, reduction="none").sum(-1)
            else:
                each = (mine - right).square().sum(-1)
            total = total + (each * outputs["hidden"][:, k]).sum()
        return {"cells": total}

    def counts(self, targets: Targets) -> dict[str, float]:
        """How many cells are hidden on average: which ones is not known yet."""
        return {"cells": self.share * float(targets["cells"].value.sum())}


def hide(graph: Graph, hidden: Tensor, columns: Sequence[Cells]) -> Graph:
    """The graph without the values of the cells `hidden` [N, C] (bool), which count as not known."""
    V = sum(c.width for c in columns)
    x = dense(graph.nodes["x"])
    shown = x[:, V:] * ~hidden
    return graph.with_nodes(x=torch.cat([x[:, :V] * expanded(shown, columns), shown], 1))
