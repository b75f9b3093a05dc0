"""Features of nodes, edges and graphs: a plain tensor, or a small table of distinct rows with an index; and the mapping that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph import printing
from heliograph.errors import DataError, suggest
from heliograph.tensorlike import TensorLike


@final
class Indexed(TensorLike):
    """A feature held as a small `table` [R, ...] of distinct rows and an `index` [n]: row k is table[index[k]]. Use it like a tensor."""

    __slots__ = ("index", "table")

    def __init__(self, table: Tensor, index: Tensor):
        self.table, self.index = table, index

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> torch.Size:
        """Shape of `dense()`: [n, ...]."""
        return torch.Size((len(self.index), *self.table.shape[1:]))

    def __repr__(self) -> str:
        return f"Indexed(shape={tuple(self.shape)}, {len(self.table)} distinct rows at most)"

    def dense(self) -> Tensor:
        """Return the plain tensor [n, ...]."""
        if self.table.requires_grad and self.table.dim() == 2 and len(self.index):
            return F.embedding(self.index, self.table)  # the same rows; its gradient is quick, and on a GPU the same from run to run
        return self.table.index_select(0, self.index)


Feature = Tensor | Indexed


def dense(feature: Feature) -> Tensor:
    """Return a feature as a plain tensor, whether it is one or an `Indexed`."""
    return feature.dense() if isinstance(feature, Indexed) else feature


@final
class Features(Mapping[str, Feature]):
    """A read-only mapping name -> feature; a missing name lists those present."""

    __slots__ = ("_items", "_of")

    def __init__(self, items: Mapping[str, Feature], of: str):
        self._items, self._of = dict(items), of

    @property
    def of(self) -> str:
        """What they are features of: "node", "edge" or "global"."""
        return self._of

    def __getitem__(self, name: str) -> Feature:
        try:
            return self._items[name]
        except KeyError:
            raise DataError(f"this graph has no {self._of} feature {name!r}: {suggest(name, self._items)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Features({printing.features(self)})"

    def __contains__(self, name: object) -> bool:  # Mapping's own would build an error text to throw it away
        return name in self._items

    def get(self, name: str, default: Any = None) -> Any:
        """Return the feature of this name, or `default`."""
        return self._items.get(name, default)


def sized(items: Mapping[str, Feature], side: str, n: int) -> Features:
    """Features of one side of a graph, "nodes", "edges" or "globals". Raises DataError where one has other than n rows."""
    for name, value in items.items():
        if len(value) != n:
            raise DataError(f"{side}[{name!r}] has {len(value)} rows; this graph has {n} {'graphs' if side == 'globals' else side}")
    return Features(items, side.removesuffix("s"))


def take(feature: Feature, rows: Tensor | None) -> Feature:
    """Return some rows of a feature; None takes all as they are."""
    if rows is None:
        return feature
    return Indexed(feature.table, feature.index[rows]) if isinstance(feature, Indexed) else feature[rows]


def first(feature: Feature, n: int) -> Feature:
    """The first n rows of a feature."""
    return Indexed(feature.table, feature.index[:n]) if isinstance(feature, Indexed) else feature[:n]
