"""Graphs that lie in memory as a source: a row is a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch

from heliograph.batching import batch
from heliograph.data.targets import Target, Targets
from heliograph.errors import DataError
from heliograph.graph import Graph


@final
class Graphs:
    """A list of graphs and their labels, for data of one's own that fits into memory.

    `targets`: one mapping for each graph, name -> `Target` of its rows: one row of level "graph", N of level "node", E of level "edge",
    in the order in which the graph's edges were given. A batch joins those of its graphs. Raises DataError where graphs and targets
    are not as many.
    """

    def __init__(self, graphs: Sequence[Graph], targets: Sequence[Targets]):
        if len(graphs) != len(targets):
            raise DataError(f"there are {len(graphs)} graphs and targets of {len(targets)}: they must be as many")
        self.graphs, self.each = list(graphs), list(targets)

    def __len__(self) -> int:
        return len(self.graphs)

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """Return the graphs of `rows` as one."""
        return batch([self.graphs[k] for k in rows])

    def targets(self, rows: np.ndarray) -> Targets:
        """Return the targets of `rows`, joined in their order."""
        names = dict.fromkeys(name for k in rows for name in self.each[k])
        return {name: _joined([self.each[k][name] for k in rows]) for name in names}


def _joined(parts: Sequence[Target]) -> Target:
    value = torch.cat([part.value for part in parts])
    mask = None if all(part.mask is None for part in parts) else torch.cat([part.present for part in parts])
    weight = None
    if any(part.weight is not None for part in parts):
        weight = torch.cat([torch.ones(len(part)) if part.weight is None else part.weight for part in parts])
    return Target(value, parts[0].level, mask, weight)
