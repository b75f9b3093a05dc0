"""The data type: one immutable `Graph`; a batch is the same type, a disjoint union.

    N nodes, E edges, G graphs, P undirected pairs, R rows of a table; i receiver, j sender.

A `Graph` is a shared `Topology` (who sends to whom, and all that follows from it) and three mappings of features. Sizes
are host integers and never inferred from indices; edges are sorted by receiver, so that aggregation is a segment reduction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph.errors import DataError, suggest
from heliograph.tensorlike import TensorLike

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data


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
class Indexed(TensorLike):
    """A feature held as a small `table` [R, ...] of distinct rows and an `index` [n] that says who uses which. Use it like a tensor."""

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
        """The plain tensor [n, ...]."""
        if self.table.requires_grad and self.table.dim() == 2 and len(self.index):
            return F.embedding(self.index, self.table)  # the same rows; its gradient is quick, and on a GPU the same from run to run
        return self.table.index_select(0, self.index)


Feature = Tensor | Indexed


def dense(feature: Feature) -> Tensor:
    """The plain tensor behind a feature, whichever way it is held."""
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

    def __contains__(self, name: object) -> bool:  # Mapping's own would build an error text to throw it away
        return name in self._items


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


@final
class Graph:
    """One graph or a batch of G disjoint ones. Immutable: the `with_...` methods return another graph on the same topology.

    `nodes`, `edges`, `globals`: name -> Tensor [N, ...], [E, ...], [G, ...] or `Indexed`. Edge features follow `topology`'s sorted order.
    """

    __slots__ = ("edges", "globals", "nodes", "topology")
    topology: Topology
    nodes: Features
    edges: Features
    globals: Features

    def __init__(
        self,
        topology: Topology,
        nodes: Mapping[str, Feature] | None = None,
        edges: Mapping[str, Feature] | None = None,
        globals: Mapping[str, Feature] | None = None,
    ):
        assign = super().__setattr__
        assign("topology", topology)
        for name, items, size in (("nodes", nodes, topology.N), ("edges", edges, topology.E), ("globals", globals, topology.G)):
            for key, value in (items or {}).items():
                if len(value) != size:
                    raise DataError(
                        f"{name}[{key!r}] has {len(value)} rows; this graph has {size} {'graphs' if name == 'globals' else name}"
                    )
            assign(name, Features(items or {}, name.removesuffix("s")))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is immutable: use with_nodes, with_edges or with_globals to get one that has another {name!r}")

    @classmethod
    def build(
        cls,
        senders: Tensor,
        receivers: Tensor,
        n_node: Sequence[int],
        n_edge: Sequence[int],
        *,
        nodes: Mapping[str, Feature] | None = None,
        edges: Mapping[str, Feature] | None = None,
        globals: Mapping[str, Feature] | None = None,
        shift: Tensor | None = None,
    ) -> Graph:
        """A graph from edges in any order; edge features are given in that order too."""
        topology = Topology.build(senders, receivers, n_node, n_edge, shift)
        return cls(topology, nodes, {k: take(v, topology.order) for k, v in (edges or {}).items()}, globals)

    @property
    def N(self) -> int:
        return self.topology.N

    @property
    def E(self) -> int:
        return self.topology.E

    @property
    def G(self) -> int:
        return self.topology.G

    def with_nodes(self, **features: Feature) -> Graph:
        """This graph with node features added or replaced."""
        return Graph(self.topology, {**self.nodes, **features}, self.edges, self.globals)

    def with_edges(self, **features: Feature) -> Graph:
        """This graph with edge features added or replaced."""
        return Graph(self.topology, self.nodes, {**self.edges, **features}, self.globals)

    def with_globals(self, **features: Feature) -> Graph:
        """This graph with graph-level features added or replaced."""
        return Graph(self.topology, self.nodes, self.edges, {**self.globals, **features})

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graph:
        """On another device, and floating-point features in another precision."""

        def move(x: Tensor) -> Tensor:
            return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

        def each(features: Features) -> dict[str, Feature]:
            return {k: Indexed(move(v.table), v.index.to(device)) if isinstance(v, Indexed) else move(v) for k, v in features.items()}

        topology = self.topology if device is None else self.topology.to(device)
        return Graph(topology, each(self.nodes), each(self.edges), each(self.globals))

    def unbatch(self) -> list[Graph]:
        """The G graphs on their own."""
        from heliograph.convert import unbatch

        return unbatch(self)

    @staticmethod
    def from_pyg(data: Data) -> Graph:
        """A Graph from a PyTorch Geometric `Data` or `Batch`; see `heliograph.convert`."""
        from heliograph.convert import from_pyg

        return from_pyg(data)

    def to_pyg(self) -> Data:
        """A PyTorch Geometric `Data`, edges in the order that was given; see `heliograph.convert`."""
        from heliograph.convert import to_pyg

        return to_pyg(self)

    @staticmethod
    def from_networkx(graph: networkx.Graph, **kwargs: Any) -> Graph:
        """A Graph from a NetworkX graph; see `heliograph.convert`."""
        from heliograph.convert import from_networkx

        return from_networkx(graph, **kwargs)


def take(feature: Feature, rows: Tensor | None) -> Feature:
    """Rows of a feature; None takes all as they are."""
    if rows is None:
        return feature
    return Indexed(feature.table, feature.index[rows]) if isinstance(feature, Indexed) else feature[rows]


def batch(graphs: Sequence[Graph]) -> Graph:
    """The disjoint union of graphs that have the same features: indices are shifted, features concatenated, tables merged."""
    if not graphs:
        raise DataError("a batch needs at least one graph")
    topologies = [g.topology for g in graphs]
    node_offset = torch.tensor([0] + [t.N for t in topologies]).cumsum(0).tolist()
    edge_offset = torch.tensor([0] + [t.E for t in topologies]).cumsum(0).tolist()
    order = [torch.arange(t.E) if t.order is None else t.order for t in topologies]
    shifts = [t.shift for t in topologies]
    topology = Topology(
        torch.cat([t.senders + o for t, o in zip(topologies, node_offset, strict=False)]),
        torch.cat([t.receivers + o for t, o in zip(topologies, node_offset, strict=False)]),
        torch.cat([t.n_node for t in topologies]),
        torch.cat([t.n_edge for t in topologies]),
        N=node_offset[-1],
        shift=None if any(s is None for s in shifts) else torch.cat([s for s in shifts if s is not None]),
        order=torch.cat([o.to(topologies[0].senders.device) + k for o, k in zip(order, edge_offset, strict=False)]),
    )
    return Graph(topology, *(_merge([getattr(g, side) for g in graphs], side) for side in ("nodes", "edges", "globals")))


def _merge(parts: list[Features], side: str) -> dict[str, Feature]:
    names = list(parts[0])
    for k, part in enumerate(parts):
        if set(part) != set(names):
            raise DataError(f"graphs of one batch must have the same {side}: graph 0 has {sorted(names)}, graph {k} has {sorted(part)}")
    merged: dict[str, Feature] = {}
    for name in names:
        values = [part[name] for part in parts]
        tables = [v for v in values if isinstance(v, Indexed)]
        if len(tables) < len(values):
            merged[name] = torch.cat([dense(v) for v in values])
        elif all(v.table is tables[0].table for v in tables):
            merged[name] = Indexed(tables[0].table, torch.cat([v.index for v in tables]))
        else:
            offset = torch.tensor([0] + [len(v.table) for v in tables]).cumsum(0).tolist()
            merged[name] = Indexed(
                torch.cat([v.table for v in tables]), torch.cat([v.index + o for v, o in zip(tables, offset, strict=False)])
            )
    return merged
