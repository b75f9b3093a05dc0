"""Who sends to whom: the topology of a graph, or of a batch, and everything that follows from it.

    N nodes, E edges, G graphs, P undirected pairs; i receiver, j sender.

Sizes are host integers and never inferred from indices; edges are sorted by receiver, so that aggregation is a segment reduction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, final

import torch
from torch import Tensor

from heliograph import adjacency, printing
from heliograph.derived import derived
from heliograph.errors import DataError
from heliograph.segments import Pairs, Segments

__all__ = ["Known", "Pairs", "Segments", "Topology"]


class Known(TypedDict, total=False):
    """What follows from a topology and is known when it is made, by the names of its properties."""

    reverse: Tensor
    symmetric: bool
    pairs: Pairs
    onward: Topology


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
    each node of the whole graph, where this is a part of it. `known`: what properties would find, where it is known already.
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
        known: Known | None = None,
    ):
        self.senders, self.receivers, self.n_node, self.n_edge = senders, receivers, n_node, n_edge
        self.shift, self.order = shift, order
        self.N, self.E, self.G = N, len(senders), len(n_node)
        self.steps = (N,) if R is None else (R,) if isinstance(R, int) else R
        self.R, self.whole = self.steps[0] if self.steps else 0, self.steps == (N,)
        adjacency.check_receivers(N, self.G, self.steps)
        self._given_degree = degree
        for name, value in {"degree": degree, **(known or {})}.items():
            if value is not None:
                self.__dict__[name] = value

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
        adjacency.check(senders, receivers, n_node, n_edge)
        order = receivers.argsort(stable=True)
        topology = cls(
            senders[order],
            receivers[order],
            torch.tensor(n_node, dtype=torch.long),
            torch.tensor(n_edge, dtype=torch.long),
            N=sum(n_node),
            R=R,
            shift=None if shift is None else shift[order],
            order=order,
        )
        if not topology.whole:
            adjacency.check_steps(topology.senders, topology.receivers, topology.N, topology.steps)
        return topology

    def __repr__(self) -> str:
        return printing.topology(self)

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
        known: Known | None = None,
    ) -> tuple[Topology, Tensor]:
        """Another topology of the same G graphs, from edges in any order.

        Returns it and `rows` [E]: edge k of it was given as edge `rows[k]`. Give `n_node` [G] with its
        sum `N` where the nodes are others, too; every node receives then, and must have before.
        Where something is `known` of it, the edges must come sorted. Raises DataError where nodes would be lost.
        """
        if N is not None:
            self.need_whole("a view that makes other nodes")
        rows = receivers.argsort(stable=True) if known is None else torch.arange(len(receivers), device=receivers.device)
        if known is None:
            senders, receivers, shift = senders[rows], receivers[rows], None if shift is None else shift[rows]
        other = Topology(
            senders,
            receivers,
            self.n_node if n_node is None else n_node,
            self.n_edge,
            N=self.N if N is None else N,
            R=self.steps if N is None else None,
            shift=shift,
            degree=self._given_degree if N is None else None,
            known=known,
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
        return adjacency.reverse(self.senders, self.receivers, self.N, self.shift)

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
        return adjacency.continuations(self.receivers, self.transposed, out.pointer, out.count, self.reverse)

    def between(self, pairs: Tensor) -> Tensor:
        """Find the edge from each pair's first node to its second, [Q] long; -1 where there is none; of parallel edges the first given."""
        return adjacency.between(self.senders, self.receivers, self.N, pairs)

    def given(self, x: Tensor) -> Tensor:
        """Return the rows of a tensor of edges [E, ...] in the order in which the edges were given."""
        return x if self.order is None else torch.empty_like(x).index_copy(0, self.order, x)

    def to(self, device: torch.device | str) -> Topology:
        """Return the topology on another device (itself where it is there already)."""
        if self.senders.device == torch.device(device):
            return self
        shift, order, degree = (None if x is None else x.to(device) for x in (self.shift, self.order, self._given_degree))
        sized = self.steps and not self.whole  # its sizes are found here, where nothing waits for them
        return Topology(
            self.senders.to(device),
            self.receivers.to(device),
            self.n_node.to(device),
            self.n_edge.to(device),
            N=self.N,
            R=self.steps,
            shift=shift,
            order=order,
            degree=degree,
            known={"onward": self.onward.to(device)} if sized else None,
        )
