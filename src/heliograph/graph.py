"""The data type: one immutable `Graph`; a batch is the same type, a disjoint union.

    N nodes, E edges, G graphs, P undirected pairs, R rows of a table; i receiver, j sender.

A `Graph` is a shared `Topology` (who sends to whom, and all that follows from it) and three mappings of features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph.errors import DataError, suggest
from heliograph.tensorlike import TensorLike
from heliograph.topology import Topology

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data


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


def _shown(name: str, feature: Feature) -> str:
    """A name with shape and type, and how many distinct rows there are at most."""
    plain = feature.table if isinstance(feature, Indexed) else feature
    rows = f" of {len(feature.table)} kinds" if isinstance(feature, Indexed) else ""
    return f"{name} {list(feature.shape)} {str(plain.dtype).removeprefix('torch.')}{rows}"


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
        return f"Features({', '.join(_shown(name, f) for name, f in self._items.items())})"

    def __contains__(self, name: object) -> bool:  # Mapping's own would build an error text to throw it away
        return name in self._items

    def get(self, name: str, default: Any = None) -> Any:
        """The feature of this name, or `default`."""
        return self._items.get(name, default)


@final
class Graph:
    """One graph or a batch of G disjoint ones. Immutable: the `with_...` methods return another graph on the same topology.

    `nodes`, `edges`, `globals`: name -> Tensor [N, ...], [E, ...], [G, ...] or `Indexed`. Edge features follow `topology`'s sorted order.
    `asked`: what a readout answers for instead of every node or edge: nodes [Q], pairs [Q, 2] (sender, receiver) or triples [Q, 3], long.
    """

    __slots__ = ("asked", "edges", "globals", "nodes", "topology")
    topology: Topology
    nodes: Features
    edges: Features
    globals: Features
    asked: Tensor | None

    def __init__(
        self,
        topology: Topology,
        nodes: Mapping[str, Feature] | None = None,
        edges: Mapping[str, Feature] | None = None,
        globals: Mapping[str, Feature] | None = None,
        asked: Tensor | None = None,
    ):
        if not isinstance(topology, Topology):
            raise DataError(
                f"Graph(...) takes a Topology, not {type(topology).__name__}: write Graph.from_edge_index(edge_index, x=..., "
                "edge_attr=...) for edges [2, E], Graph.from_networkx(graph), Graph.from_pyg(data), or Graph.build(...)"
            )
        assign = super().__setattr__
        assign("topology", topology)
        assign("asked", asked)
        if asked is not None and (asked.dtype != torch.long or asked.dim() not in (1, 2) or asked.shape[1:] not in ((), (2,), (3,))):
            raise DataError(
                f"asked must be numbers of nodes [Q], pairs [Q, 2] or triples [Q, 3], long; it is {list(asked.shape)} {asked.dtype}"
            )
        for name, items, size in (("nodes", nodes, topology.N), ("edges", edges, topology.E), ("globals", globals, topology.G)):
            for key, value in (items or {}).items():
                if len(value) != size:
                    raise DataError(
                        f"{name}[{key!r}] has {len(value)} rows; this graph has {size} {'graphs' if name == 'globals' else name}"
                    )
            assign(name, Features(items or {}, name.removesuffix("s")))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is immutable: use with_nodes, with_edges or with_globals to get one that has another {name!r}")

    def __repr__(self) -> str:
        lines = [repr(self.topology).replace("Topology", "Graph", 1)[:-1]]
        for side in ("nodes", "edges", "globals"):
            lines += [f"  {side}: {', '.join(_shown(*item) for item in getattr(self, side).items())}"] * bool(getattr(self, side))
        if self.asked is not None:
            lines.append(f"  asked {list(self.asked.shape)}")
        return "\n".join(lines) + ")"

    @classmethod
    def from_edge_index(
        cls,
        edge_index: Tensor,
        *,
        num_nodes: int | None = None,
        asked: Tensor | None = None,
        edge_attr: Feature | None = None,
        **nodes: Feature,
    ) -> Graph:
        """Make one graph from `edge_index` [2, E], row 0 the senders and row 1 the receivers, as PyTorch Geometric has them.

        Each further feature is of nodes: `x` [N, width], `z` [N], `pos` [N, 3] ...; `edge_attr` [E, width] is of edges, in
        their order. N is the number of rows of the node features, or `num_nodes` where there are none.
        Raises DataError where sizes or indices don't fit.
        """
        if edge_index.dim() != 2 or len(edge_index) != 2 or edge_index.dtype != torch.long:
            raise DataError(f"edge_index must be [2, E], long; it is {list(edge_index.shape)} {edge_index.dtype}")
        N = num_nodes if num_nodes is not None else next((len(f) for f in nodes.values()), None)
        if N is None:
            raise DataError("how many nodes are there? give num_nodes, or a feature of nodes such as x [N, width]")
        edges = {} if edge_attr is None else {"edge_attr": edge_attr}
        return cls.build(edge_index[0], edge_index[1], [N], [edge_index.shape[1]], nodes=nodes, edges=edges, asked=asked)

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
        asked: Tensor | None = None,
        R: int | tuple[int, ...] | None = None,
    ) -> Graph:
        """A graph from edges in any order; edge features are given in that order too. `R`: how many nodes receive (`Topology`)."""
        topology = Topology.build(senders, receivers, n_node, n_edge, shift, R)
        return cls(topology, nodes, {k: take(v, topology.order) for k, v in (edges or {}).items()}, globals, asked)

    @property
    def N(self) -> int:
        return self.topology.N

    @property
    def R(self) -> int:
        return self.topology.R

    @property
    def E(self) -> int:
        return self.topology.E

    @property
    def G(self) -> int:
        return self.topology.G

    def with_nodes(self, **features: Feature) -> Graph:
        """This graph with node features added or replaced."""
        return Graph(self.topology, {**self.nodes, **features}, self.edges, self.globals, self.asked)

    def with_edges(self, **features: Feature) -> Graph:
        """This graph with edge features added or replaced."""
        return Graph(self.topology, self.nodes, {**self.edges, **features}, self.globals, self.asked)

    def with_globals(self, **features: Feature) -> Graph:
        """This graph with graph-level features added or replaced."""
        return Graph(self.topology, self.nodes, self.edges, {**self.globals, **features}, self.asked)

    def with_asked(self, asked: Tensor | None) -> Graph:
        """This graph with other questions: nodes [Q], pairs [Q, 2] or triples [Q, 3] that a readout answers for; None asks for all."""
        return Graph(self.topology, self.nodes, self.edges, self.globals, asked)

    def with_topology(self, topology: Topology, edges: Mapping[str, Feature] | None = None) -> Graph:
        """The same nodes and graphs with other edges, and these as their features."""
        return Graph(topology, self.nodes, edges, self.globals, self.asked)

    def onward(self) -> Graph:
        """What is left after one step: the receivers as nodes, the edges of the next step (itself, where every node receives)."""
        t = self.topology
        if t.whole:
            return self
        nodes = {name: _first(f, t.R) for name, f in self.nodes.items()}
        edges = {name: _first(f, t.onward.E) for name, f in self.edges.items()}
        return Graph(t.onward, nodes, edges, self.globals, self.asked)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graph:
        """On another device, and floating-point features in another precision."""

        def move(x: Tensor) -> Tensor:
            return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

        def each(features: Features) -> dict[str, Feature]:
            return {k: Indexed(move(v.table), v.index.to(device)) if isinstance(v, Indexed) else move(v) for k, v in features.items()}

        topology = self.topology if device is None else self.topology.to(device)
        asked = None if self.asked is None else self.asked.to(device)
        return Graph(topology, each(self.nodes), each(self.edges), each(self.globals), asked)

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


def _first(feature: Feature, n: int) -> Feature:
    """The first n rows of a feature."""
    return Indexed(feature.table, feature.index[:n]) if isinstance(feature, Indexed) else feature[:n]


def batch(graphs: Sequence[Graph]) -> Graph:
    """The disjoint union of graphs that have the same features: indices are shifted, features concatenated, tables merged.

    Of bipartite graphs the receivers come first, graph after graph, then the other nodes. Raises DataError where features differ, or
    where nodes are numbered hop by hop.
    """
    if not graphs:
        raise DataError("a batch needs at least one graph")
    topologies = [g.topology for g in graphs]
    if any(len(t.steps) != 1 for t in topologies):
        raise DataError("graphs whose nodes are numbered hop by hop can't be batched: draw the block of all seeds at once")
    edge_offset = torch.tensor([0] + [t.E for t in topologies]).cumsum(0).tolist()
    order = [torch.arange(t.E) if t.order is None else t.order for t in topologies]
    shifts = [t.shift for t in topologies]
    number, node_rows = _places(topologies)
    topology = Topology(
        torch.cat([place[t.senders] for t, place in zip(topologies, number, strict=True)]),
        torch.cat([place[t.receivers] for t, place in zip(topologies, number, strict=True)]),
        torch.cat([t.n_node if t.whole or t.G > 1 else t.n_node.clamp(max=t.R) for t in topologies]),
        torch.cat([t.n_edge for t in topologies]),
        N=sum(t.N for t in topologies),
        R=sum(t.R for t in topologies),
        shift=None if any(s is None for s in shifts) else torch.cat([s for s in shifts if s is not None]),
        order=torch.cat([o.to(topologies[0].senders.device) + k for o, k in zip(order, edge_offset, strict=False)]),
    )
    nodes, edges, globals = (_merge([getattr(g, side) for g in graphs], side) for side in ("nodes", "edges", "globals"))
    return Graph(topology, {name: take(f, node_rows) for name, f in nodes.items()}, edges, globals, _asked(graphs, number))


def _places(topologies: list[Topology]) -> tuple[Sequence[Tensor], Tensor | None]:
    """The numbers of each graph's nodes in the union, and the union's rows among the graphs' nodes.

    The rows are None where they are all of them in their order.
    """
    sizes, device = [t.N for t in topologies], topologies[0].senders.device
    if all(t.whole for t in topologies):
        return torch.arange(sum(sizes), device=device).split(sizes), None
    receives = torch.cat([torch.arange(t.N, device=device) < t.R for t in topologies])
    rows = torch.cat([receives.nonzero(), (~receives).nonzero()]).squeeze(1)
    return rows.argsort().split(sizes), rows


def _asked(graphs: Sequence[Graph], number: Sequence[Tensor]) -> Tensor | None:
    """What all of them ask, in their order."""
    asked = [n[g.asked] for g, n in zip(graphs, number, strict=True) if g.asked is not None]
    if len(asked) not in (0, len(graphs)) or len({a.shape[1:] for a in asked}) > 1:
        raise DataError("of the graphs of one batch all ask for nodes, or all for pairs, or all for triples, or none asks")
    return torch.cat(asked) if asked else None


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
