"""What a message sees: features of senders, receivers and edges, not gathered yet.

    m = relu(self.W(torch.cat([e.j["h"], e.e["edge_attr"]], -1)))      # nothing of size E has been computed yet
    segment.sum(m, g.topology.incoming)                                # now it is, on the smallest tables that will do

They are lazy tensors (`heliograph.algebra`), to be used like plain ones. What the algebra does not know materialises: never wrong,
only slower. `algebra.use(False)` hands plain tensors to messages instead; both ways agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from heliograph.algebra import EdgeTensor, seen
from heliograph.errors import DataError
from heliograph.graph import Feature, Features, Graph, dense

__all__ = ["Edge", "EdgeTensor", "Ends"]


@final
class Ends:
    """Features seen from the edges: `ends["h"]` is h[index], not gathered yet. `index` None: they are the edges' own."""

    __slots__ = ("features", "index")

    def __init__(self, features: Mapping[str, Feature], index: Tensor | None):
        self.features, self.index = features, index

    def __contains__(self, name: object) -> bool:
        return name in self.features

    def __getitem__(self, name: str) -> Any:
        of = self.features.of if isinstance(self.features, Features) else "edge"
        return seen(self.features[name], self.index, f"{of} {name}")


@final
class Edge:
    """What a message sees: sender `j`, receiver `i`, the edge's own features `e`, those of its `reverse`, and the `graph`."""

    __slots__ = ("graph",)

    def __init__(self, graph: Graph):
        self.graph = graph

    @property
    def j(self) -> Ends:
        return Ends(self.graph.nodes, self.graph.topology.senders)

    @property
    def i(self) -> Ends:
        return Ends(self.graph.nodes, self.graph.topology.receivers)

    @property
    def e(self) -> Ends:
        return Ends(self.graph.edges, None)

    @property
    def reverse(self) -> Ends:
        """Features of the edge that runs the other way; zero where there is none. Raises DataError in a part of a graph."""
        t = self.graph.topology
        if not t.whole:
            raise DataError("this message asks for the edge that runs the other way; a block has only edges that come in at its receivers")
        if not torch.compiler.is_compiling() and t.symmetric:  # only data tells
            return Ends(self.graph.edges, t.reverse)
        zero = {k: torch.cat([dense(v), dense(v).new_zeros(1, *v.shape[1:])]) for k, v in self.graph.edges.items()}
        return Ends(zero, torch.where(t.reverse < 0, t.E, t.reverse))
