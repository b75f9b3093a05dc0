"""Where a tensor comes from: names of everything that a network can read of a graph, and how to find it again in another graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from heliograph.graph import Features, Graph, Indexed
from heliograph.topology import Pairs, Segments, Topology

Place = tuple[str | int, ...]  # names of attributes and features, and numbers of members, from a pair of graphs inwards
SIZES = {"N", "E", "G", "R", "P", "n", "steps"}  # numbers that are lengths of tensors, too


def walk(graphs: tuple[Any, ...]) -> Iterator[tuple[Place, Any]]:
    """Yield the place and the value of all tensors, numbers and truth values of some graphs, those derived so far included.

    What is held twice is yielded once for each tensor's place, and its holder entered once.
    """
    entered: set[int] = set()

    def inside(place: Place, value: Any) -> Iterator[tuple[Place, Any]]:
        if isinstance(value, Tensor | bool | int):
            yield place, value
            return
        if id(value) in entered:
            return
        entered.add(id(value))
        for name, member in _members(value):
            yield from inside((*place, name), member)

    yield from inside((), graphs)


def _members(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, Graph):
        return [(name, getattr(value, name)) for name in ("topology", "nodes", "edges", "globals", "asked")]
    if isinstance(value, Features):
        return list(value.items())
    if isinstance(value, Indexed):
        return [("table", value.table), ("index", value.index)]
    if isinstance(value, Topology | Segments | Pairs):
        return sorted(vars(value).items())
    return list(enumerate(value)) if isinstance(value, tuple) else []


def find(place: Place, graphs: tuple[Any, ...]) -> Any:
    """Return what stands at a place; what is derived is derived now."""
    value: Any = graphs
    for name in place:
        value = value[name] if isinstance(name, int) or isinstance(value, Features) else getattr(value, name)
    return value
