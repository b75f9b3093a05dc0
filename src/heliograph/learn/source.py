"""The protocol by which the loop asks for data."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from heliograph.data.targets import Targets
from heliograph.graph import Graph


class Source(Protocol):
    """Rows that can be drawn: molecules, frames, nodes, edges, triples.

    What a source draws at random (sampled neighbours, corrupted triples) must follow from `step` alone, so that a killed training
    goes on to the same weights. `heliograph.data.sources` has those that come with the package.
    """

    def __len__(self) -> int:
        """Return the number of rows."""

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """Return the graph (or batch of graphs) that answers for `rows` [n].

        `step` is the number of the training step, counted over all epochs; None means evaluation, where nothing is random.
        """

    def targets(self, rows: np.ndarray) -> Targets:
        """Return the labels of `rows` [n], on the network's scale, on the CPU."""


@runtime_checkable
class DrawsRows(Protocol):
    """A source that says itself which rows a training step learns from (those in a subgraph)."""

    def drawn(self, rows: np.ndarray, step: int) -> np.ndarray:
        """Return the rows of a step that was meant for `rows`."""
