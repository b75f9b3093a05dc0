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

    Only the first `R` nodes receive. R is N in an ordinary graph, which is `whole`. Where it is
    less, the graph is bipartite: hyperedges that collect from nodes, or a sampled block. After a
    step only the receivers are left (`onward`). A tuple `R` says how many nodes receive at each of
    several steps, each number at most the one before: nodes are then numbered seeds first, and hop
    by hop. In a bipartite topology of one graph `n_node` is [N]; in one of several it counts the
    receivers, since the other nodes may be anybody's. `degree` [N] long: the edges that come in at
    each node of the whole graph, where this is a part of it. `reverse` [E] long is what the
    property of this name would find, where it is known already.
    """

    def __init__(
        self,
        senders: Tensor,
        receivers: Tensor,
        n_node: Tensor,
        n_edge: Tensor,
        *,
        N: int,
        R: int | tuple[int, ...] | None = None,
        shift: Tensor | None = None,
        order: Tensor | None = None,
        degree: Tensor | None = None,
        reverse: Tensor | None = None,
    ):
        self.senders, self.receivers, self.n_node, self.n_edge = senders, receivers, n_node, n_edge
        self.shift, self.order = shift, order
        self.N, self.E, self.G = N, len(senders), len(n_node)
        self.steps = (N,) if R is None else (R,) if isinstance(R, int) else R
        self.R, self.whole = self.steps[0] if self.steps else 0, self.steps == (N,)
        if any(later > now for now, later in zip((N, *self.steps), self.steps, strict=False)):
            raise DataError(f"of {N} nodes {self.steps} can't receive: each step has at most as many receivers as the one before has nodes")
        if len(self.steps) > 1 and self.G != 1:
            raise DataError(f"nodes numbered hop by hop are of one graph; these are {self.G}. Draw the block of all seeds at once")
        self._given_degree = degree
        for name, known in (("degree", degree), ("reverse", reverse)):
            if known is not None:
                self.__dict__[name] = known

    @classmethod
    def build(
        cls,
        senders: Tensor,
        receivers: Tensor,
        n_node: Sequence[int],
        n_edge: Sequence[int],
        shift: Tensor | None = None,
        R: int | tuple[int, ...] | None = None,
    ) -> Topology:
        """Check and sort edges given in any order within each graph. Raises DataError on sizes or indices that don't fit.

        `R`: how many nodes of one graph receive (`Topology`).
        """
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
        topology = cls(
            senders[order],
            receivers[order],
            torch.tensor(n_node, dtype=torch.long),
            torch.tensor(n_edge, dtype=torch.long),
            N=N,
            R=R,
            shift=None if shift is None else shift[order],
            order=order,
        )
        topology._check_steps()
        return topology

    def __repr__(self) -> str:
        said = [f"{self.G} graph{'s' * (self.G != 1)}", f"{self.N} nodes", f"{self.E} edges"]
        if not self.whole:
            said.append(f"receivers {', then '.join(str(R) for R in self.steps) or 'none left'}")
        return f"Topology({', '.join(said)}{', periodic' if self.shift is not None else ''})"

    def _check_steps(self) -> None:
        """Raise DataError where an edge's ends are not there at the step that needs it."""
        sends, receives = self.N, self.N
        if self.whole:
            return
        for receives in self.steps:
            used = self.receivers < receives
            if self.E and bool((self.senders[used] >= sends).any()):
                raise DataError(
                    f"a node that receives in the step with {receives} receivers hears one that is not among the {sends} of the step "
                    "before: number the nodes seeds first, then hop by hop"
                )
            sends = receives
        if self.E and int(self.receivers[-1]) >= self.R:
            raise DataError(f"node {int(self.receivers[-1])} receives; only the first R = {self.R} nodes may")

    def need_whole(self, what: str) -> None:
        """Raise DataError where not all nodes receive, which `what` needs."""
        if not self.whole:
            raise DataError(f"{what}: this needs whole graphs; here only {self.R} of {self.N} nodes receive")

    def need_no_images(self, what: str) -> None:
        """Raise DataError where edges come from periodic images, which `what` can't tell apart."""
        if self.shift is not None:
            raise DataError(f"{what}: this view knows no periodic images, and this graph has edges from them (`shift`)")

    def rewired(
        self,
        senders: Tensor,
        receivers: Tensor,
        *,
        n_node: Tensor | None = None,
        N: int | None = None,
        shift: Tensor | None = None,
        reverse: Tensor | None = None,
    ) -> tuple[Topology, Tensor]:
        """Another topology of the same G graphs, from edges in any order.

        Returns it and `rows` [E]: edge k of it was given as edge `rows[k]`. Give `n_node` [G] with its
        sum `N` where the nodes are others, too; every node receives then, and must have before.
        `reverse` is known for edges that come sorted. Raises DataError where nodes would be lost.
        """
        if N is not None:
            self.need_whole("a view that makes other nodes")
        if reverse is None:
            rows = receivers.argsort(stable=True)
            senders, receivers, shift = senders[rows], receivers[rows], None if shift is None else shift[rows]
        else:
            rows = torch.arange(len(receivers), device=receivers.device)
        other = Topology(
            senders,
            receivers,
            self.n_node if n_node is None else n_node,
            self.n_edge,
            N=self.N if N is None else N,
            R=self.steps if N is None else None,
            shift=shift,
            degree=self._given_degree if N is None else None,
            reverse=reverse,
        )
        other.n_edge = Segments(other.nodes_by_graph.index[receivers], self.G).count
        return other, rows

    @derived
    def onward(self) -> Topology:
        """What is left after one step: the receivers as nodes, the next step's edges (none after the last), a prefix of these."""
        if self.whole:
            return self
        N, steps = self.R, self.steps[1:]
        E = int(self.incoming.pointer[steps[0]]) if steps else 0
        return Topology(
            self.senders[:E],
            self.receivers[:E],
            Segments(self.nodes_by_graph.index[:N], self.G).count,
            Segments(self.edges_by_graph.index[:E], self.G).count,
            N=N,
            R=steps,
            shift=None if self.shift is None else self.shift[:E],
            degree=None if self._given_degree is None else self._given_degree[:N],
        )

    @derived
    def incoming(self) -> Segments:
        """Edges by receiver, [R] segments. Raises DataError in what is left after the last step that a block was made for."""
        if not self.steps:
            raise DataError("one step more than this block has hops: draw as many as the network has steps, and give R for each of them")
        return Segments(self.receivers, self.R)

    @derived
    def degree(self) -> Tensor:
        """The edges that come in at each node, [N] long. Raises DataError in a part of a graph to which they were not given."""
        if self.R < self.N:
            raise DataError("the degrees of nodes that do not receive are not known here: give `degree` [N] when the block is made")
        return self.incoming.count

    @derived
    def nodes_by_graph(self) -> Segments:
        """Nodes by graph; of a bipartite topology of several graphs, the receivers by graph."""
        size = self.N if self.G == 1 or self.R == self.N or not self.steps else self.R
        return Segments(torch.repeat_interleave(torch.arange(self.G, device=self.n_node.device), self.n_node, output_size=size), self.G)

    @derived
    def edges_by_graph(self) -> Segments:
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

    def between(self, pairs: Tensor) -> Tensor:
        """The edge from each pair's first node to its second, [Q] long; -1 where there is none.

        Of parallel edges it is the first that was given.
        """
        if not self.E:
            return torch.full_like(pairs[:, 0], -1)
        key, order = (self.receivers * self.N + self.senders).sort(stable=True)
        wanted = pairs[:, 1] * self.N + pairs[:, 0]
        at = torch.searchsorted(key, wanted).clamp(max=self.E - 1)
        return torch.where(key[at] == wanted, order[at], -1)

    def given(self, x: Tensor) -> Tensor:
        """Rows of an edge-level tensor [E, ...] in the order in which the edges were given."""
        return x if self.order is None else torch.empty_like(x).index_copy(0, self.order, x)

    def to(self, device: torch.device | str) -> Topology:
        """The same on another device (itself where it is there already)."""
        if self.senders.device == torch.device(device):
            return self
        shift, order, degree = (None if x is None else x.to(device) for x in (self.shift, self.order, self._given_degree))
        there = Topology(
            self.senders.to(device),
            self.receivers.to(device),
            self.n_node.to(device),
            self.n_edge.to(device),
            N=self.N,
            R=self.steps,
            shift=shift,
            order=order,
            degree=degree,
        )
        if self.steps and not self.whole:  # its sizes are found here, where nothing waits for them
            there.__dict__["onward"] = self.onward.to(device)
        return there


@final
class Pairs:
    """Undirected pairs: `edges` [P] one edge of each, `index` [E] the pair of each edge, `sign` [E] +1 along that edge, -1 against it."""

    def __init__(self, edges: Tensor, index: Tensor, sign: Tensor):
        self.edges, self.index, self.sign = edges, index, sign
        self.P = len(edges)
