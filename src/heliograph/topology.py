"""Who sends to whom: the topology of a graph, or of a batch, and everything that follows from it.

    N nodes, E edges, G graphs, P undirected pairs; i receiver, j sender.

Sizes are host integers and never inferred from indices; edges are sorted by receiver, so that aggregation is a segment reduction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, final

import torch
from torch import Tensor

from heliograph.errors import DataError

_T = TypeVar("_T")


@final
class derived(Generic[_T]):
    """`functools.cached_property` without the lock that it has before Python 3.12: PyTorch's compiler knows none.

    Two threads may both compute a value.
    """

    def __init__(self, function: Callable[[Any], _T]):
        self.function, self.name, self.__doc__ = function, function.__name__, function.__doc__

    def __get__(self, of: Any, owner: type | None = None) -> _T:
        if of is None:
            return self  # type: ignore[return-value]  # asked of the class: for its docstring
        value = of.__dict__[self.name] = self.function(of)
        return value


@final
class Segments:
    """A sorted `index` [M] that cuts M rows into `n` runs: edges by receiver, nodes by graph."""

    def __init__(self, index: Tensor, n: int):
        self.index, self.n = index, n

    @derived
    def count(self) -> Tensor:
        """Rows per segment, [n] long."""
        return torch.zeros(self.n, dtype=torch.long, device=self.index.device).index_add_(0, self.index, torch.ones_like(self.index))

    @derived
    def pointer(self) -> Tensor:
        """Where each segment starts, and where the last ends, [n + 1] long."""
        return torch.cat([self.count.new_zeros(1), self.count.cumsum(0)])

    @derived
    def longest(self) -> int:
        """Rows of the longest segment."""
        return int(self.count.max()) if self.n else 0

    @derived
    def rank(self) -> Tensor:
        """Place of each row within its segment, [M] long."""
        return torch.arange(len(self.index), device=self.index.device) - self.pointer[self.index]


@final
class Topology:
    """Who sends to whom in G disjoint graphs, and everything that follows from it, derived on demand and kept.

    `senders`, `receivers` [E] long, sorted by receiver; `n_node`, `n_edge` [G] long; `order` [E] long: sorted edge k was
    given as edge `order[k]` (None: they came sorted); `shift` [E, 3] long: the periodic image a sender is taken from (None: no cell).
    """

    def __init__(
        self,
        senders: Tensor,
        receivers: Tensor,
        n_node: Tensor,
        n_edge: Tensor,
        *,
        N: int,
        shift: Tensor | None = None,
        order: Tensor | None = None,
    ):
        self.senders, self.receivers, self.n_node, self.n_edge = senders, receivers, n_node, n_edge
        self.shift, self.order = shift, order
        self.N, self.E, self.G = N, len(senders), len(n_node)

    @classmethod
    def build(
        cls, senders: Tensor, receivers: Tensor, n_node: Sequence[int], n_edge: Sequence[int], shift: Tensor | None = None
    ) -> Topology:
        """Check and sort edges given in any order within each graph. Raises DataError on sizes or indices that don't fit."""
        N, E = sum(n_node), sum(n_edge)
        if len(n_node) != len(n_edge):
            raise DataError(f"n_node and n_edge must have one entry a graph; they have {len(n_node)} and {len(n_edge)}")
        if not len(senders) == len(receivers) == E:
            raise DataError(f"n_edge adds up to {E} edges; there are {len(senders)} senders and {len(receivers)} receivers")
        graph_of_edge = torch.repeat_interleave(torch.arange(len(n_edge)), torch.tensor(n_edge, dtype=torch.long))
        end = torch.tensor(n_node, dtype=torch.long).cumsum(0)
        start = end - torch.tensor(n_node, dtype=torch.long)
        for name, index in (("senders", senders), ("receivers", receivers)):
            outside = ((index < start[graph_of_edge]) | (index >= end[graph_of_edge])).nonzero()
            if len(outside):
                k = int(outside[0])
                g = int(graph_of_edge[k])
                raise DataError(
                    f"{name}[{k}] = {int(index[k])} lies outside graph {g}, whose nodes are {int(start[g])} to {int(end[g]) - 1}"
                )
        order = receivers.argsort(stable=True)
        return cls(
            senders[order],
            receivers[order],
            torch.tensor(n_node, dtype=torch.long),
            torch.tensor(n_edge, dtype=torch.long),
            N=N,
            shift=None if shift is None else shift[order],
            order=order,
        )

    @derived
    def incoming(self) -> Segments:
        """Edges by receiver."""
        return Segments(self.receivers, self.N)

    @derived
    def members(self) -> Segments:
        """Nodes by graph."""
        return Segments(torch.repeat_interleave(torch.arange(self.G, device=self.n_node.device), self.n_node, output_size=self.N), self.G)

    @derived
    def edge_members(self) -> Segments:
        """Edges by graph."""
        return Segments(torch.repeat_interleave(torch.arange(self.G, device=self.n_edge.device), self.n_edge, output_size=self.E), self.G)

    @derived
    def transposed(self) -> Tensor:
        """The permutation [E] that sorts edges by sender."""
        return self.senders.argsort(stable=True)

    @derived
    def reverse(self) -> Tensor:
        """The edge (j, i, -shift) of each edge (i, j, shift), [E] long; -1 where there is none. The k-th parallel edge meets the k-th."""
        if self.E == 0:
            return self.senders.new_zeros(0)
        forth, back = self.receivers * self.N + self.senders, self.senders * self.N + self.receivers
        if self.shift is not None:
            both = torch.cat([torch.cat([forth[:, None], self.shift], 1), torch.cat([back[:, None], -self.shift], 1)])
            forth, back = torch.unique(both, dim=0, return_inverse=True)[1].view(2, -1)
        order_forth, order_back = forth.argsort(stable=True), back.argsort(stable=True)
        sorted_forth, sorted_back = forth[order_forth], back[order_back]
        first = torch.searchsorted(sorted_forth, sorted_back)
        place = first + torch.arange(self.E, device=first.device) - torch.searchsorted(sorted_back, sorted_back)
        inside = place.clamp(max=self.E - 1)
        found = (place < self.E) & (sorted_forth[inside] == sorted_back)
        reverse = torch.full_like(self.senders, -1)
        reverse[order_back] = torch.where(found, order_forth[inside], -1)
        return reverse

    @derived
    def symmetric(self) -> bool:
        """Whether every edge has its reverse."""
        return not bool((self.reverse < 0).any())

    @derived
    def pairs(self) -> Pairs:
        """Undirected pairs: an edge and its reverse are one."""
        k = torch.arange(self.E, device=self.senders.device)
        first = torch.where(self.reverse < 0, k, torch.minimum(k, self.reverse))
        representative = (first == k).nonzero().squeeze(1)
        number = torch.empty_like(k)
        number[representative] = torch.arange(len(representative), device=k.device)
        return Pairs(representative, number[first], 1 - 2 * (first != k).long())

    @derived
    def continuations(self) -> tuple[Tensor, Tensor]:
        """Edges a = (k -> j), b = (j -> i) that follow one another without turning back: the line graph's edges, two [M] long."""
        out = Segments(self.senders[self.transposed], self.N)  # edges by sender
        repeats = out.count[self.receivers]
        a = torch.repeat_interleave(torch.arange(self.E, device=repeats.device), repeats)
        within = torch.arange(len(a), device=repeats.device) - torch.repeat_interleave(repeats.cumsum(0) - repeats, repeats)
        b = self.transposed[out.pointer[self.receivers[a]] + within]
        keep = b != self.reverse[a]
        return a[keep], b[keep]

    def given(self, x: Tensor) -> Tensor:
        """Rows of an edge-level tensor [E, ...] in the order in which the edges were given."""
        return x if self.order is None else torch.empty_like(x).index_copy(0, self.order, x)

    def to(self, device: torch.device | str) -> Topology:
        """The same on another device (itself where it is there already)."""
        if self.senders.device == torch.device(device):
            return self
        move = [None if x is None else x.to(device) for x in (self.shift, self.order)]
        return Topology(
            self.senders.to(device),
            self.receivers.to(device),
            self.n_node.to(device),
            self.n_edge.to(device),
            N=self.N,
            shift=move[0],
            order=move[1],
        )


@final
class Pairs:
    """Undirected pairs: `edges` [P] one edge of each, `index` [E] the pair of each edge, `sign` [E] +1 along that edge, -1 against it."""

    def __init__(self, edges: Tensor, index: Tensor, sign: Tensor):
        self.edges, self.index, self.sign = edges, index, sign
        self.P = len(edges)
