"""What a message sees: features of senders, receivers and edges as lazy tensors.

    m = relu(self.W(torch.cat([e.j["h"], e.e["edge_attr"]], -1)))      # nothing of size E has been computed yet
    segment.sum(m, g.topology.incoming)                                # now it is, on the smallest tables that will do

`heliograph.algebra` has the tensor and the identities. Whatever is outside the algebra materialises: never
wrong, only slower. `algebra(False)`, or HELIOGRAPH_ALGEBRA=0, hands plain tensors to messages instead; both ways agree.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, final

import torch
from torch import Tensor

from heliograph.algebra import colour
from heliograph.algebra.aggregated import reduction
from heliograph.algebra.expression import Gather
from heliograph.algebra.tensor import EdgeTensor
from heliograph.errors import DataError
from heliograph.graph import Feature, Features, Graph, Indexed, dense
from heliograph.segment import Aggregate

__all__ = ["Edge", "EdgeTensor", "Ends", "algebra", "enabled"]

_enabled: ContextVar[bool] = ContextVar("algebra", default=os.environ.get("HELIOGRAPH_ALGEBRA", "1") != "0")


@contextmanager
def algebra(enabled: bool) -> Iterator[None]:
    """Switch the edge algebra on or off inside a `with` block. What `torch.compile` has made stays as it was made."""
    token = _enabled.set(enabled)
    try:
        yield
    finally:
        _enabled.reset(token)


def enabled() -> bool:
    """Whether the edge algebra is on."""
    return _enabled.get()


enabled._dynamo_marked_constant = True  # type: ignore[attr-defined]  # as `heliograph.kernels.chosen`


@final
class Ends:
    """Features seen from the edges: `ends["h"]` is h[index], not gathered yet. `index` None: they are the edges' own."""

    __slots__ = ("features", "index")

    def __init__(self, features: Mapping[str, Feature], index: Tensor | None):
        self.features, self.index = features, index

    def __contains__(self, name: object) -> bool:
        return name in self.features

    def __getitem__(self, name: str) -> Any:
        feature = self.features[name]
        if not enabled():
            return dense(feature) if self.index is None else dense(feature).index_select(0, self.index)
        called = f"{self.features.of if isinstance(self.features, Features) else 'edge'} {name}"
        if isinstance(feature, Indexed):
            return EdgeTensor(Gather(feature.table, colour.begin(feature, self.index, called)))
        if colour.keeping():
            colour.by_value(feature, called)
        return EdgeTensor(Gather(feature, self.index))


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


def rows(features: Features, name: str, aggregate: Aggregate) -> Any:
    """What to aggregate: a feature's plain rows, or a lazy tensor where it is held as a table and the aggregate reads that."""
    table = isinstance(features[name], Indexed) and reduction(aggregate) is not None
    return Ends(features, None)[name] if table else dense(features[name])


def seen(features: Features) -> Features:
    """All features as lazy tensors: an update of nodes then runs on one row of each colour."""
    ends = Ends(features, None)
    return Features({name: ends[name] for name in features}, features.of)
