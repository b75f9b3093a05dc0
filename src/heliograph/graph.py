"""The data type: one immutable `Graph`; a batch is the same type, a disjoint union.

    N nodes, E edges, G graphs, P undirected pairs, R rows of a table; i receiver, j sender.

A `Graph` is a shared `Topology` (who sends to whom, and all that follows from it) and three mappings of features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor

from heliograph import printing
from heliograph.errors import DataError
from heliograph.features import Feature, Features, Indexed, dense, first, sized, take
from heliograph.topology import Topology

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data

__all__ = ["Feature", "Features", "Graph", "Indexed", "dense", "take"]


@final
class Graph:
    """One graph, or a batch of G graphs that share no node. It never changes: `with_nodes` and the like return another graph.

    `nodes`, `edges`, `globals`: name -> Tensor [N, ...], [E, ...], [G, ...] or `Indexed`. Edge features are in the topology's order, by
    receiver; `from_edge_index` and `build` take them in yours. `asked`: the nodes [Q], pairs [Q, 2] (sender, receiver) or triples
    [Q, 3], long, that a readout answers for; None asks for every node or edge.
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
            assign(name, sized(items or {}, name, size))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is immutable: use with_nodes, with_edges or with_globals to get one that has another {name!r}")

    def __repr__(self) -> str:
        return printing.graph(self)

    @staticmethod
    def from_edge_index(
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
        from heliograph.convert import from_edge_index

        return from_edge_index(edge_index, num_nodes, asked, edge_attr, nodes)

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
        """Make a graph from edges in any order; edge features are given in that order too. `R`: how many nodes receive (`Topology`)."""
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
        """Return this graph with node features added or replaced."""
        return Graph(self.topology, {**self.nodes, **features}, self.edges, self.globals, self.asked)

    def with_edges(self, **features: Feature) -> Graph:
        """Return this graph with edge features added or replaced."""
        return Graph(self.topology, self.nodes, {**self.edges, **features}, self.globals, self.asked)

    def with_globals(self, **features: Feature) -> Graph:
        """Return this graph with graph-level features added or replaced."""
        return Graph(self.topology, self.nodes, self.edges, {**self.globals, **features}, self.asked)

    def with_asked(self, asked: Tensor | None) -> Graph:
        """Return this graph asking for nodes [Q], pairs [Q, 2] or triples [Q, 3]; None asks for every node or edge."""
        return Graph(self.topology, self.nodes, self.edges, self.globals, asked)

    def with_topology(self, topology: Topology, edges: Mapping[str, Feature] | None = None) -> Graph:
        """Return a graph of the same nodes on another topology, with `edges` as the features of its edges."""
        return Graph(topology, self.nodes, edges, self.globals, self.asked)

    def onward(self) -> Graph:
        """Return what is left after one step: the receivers and the next step's edges; the graph itself where every node receives."""
        t = self.topology
        if t.whole:
            return self
        nodes = {name: first(f, t.R) for name, f in self.nodes.items()}
        edges = {name: first(f, t.onward.E) for name, f in self.edges.items()}
        return Graph(t.onward, nodes, edges, self.globals, self.asked)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graph:
        """Return the graph on another device, floating-point features in the precision `dtype`."""

        def move(x: Tensor) -> Tensor:
            return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

        def each(features: Features) -> dict[str, Feature]:
            return {k: Indexed(move(v.table), v.index.to(device)) if isinstance(v, Indexed) else move(v) for k, v in features.items()}

        topology = self.topology if device is None else self.topology.to(device)
        asked = None if self.asked is None else self.asked.to(device)
        return Graph(topology, each(self.nodes), each(self.edges), each(self.globals), asked)

    def unbatch(self) -> list[Graph]:
        """Return the G graphs one by one."""
        from heliograph.batching import unbatch

        return unbatch(self)

    @staticmethod
    def from_pyg(data: Data) -> Graph:
        """Make a Graph from a PyTorch Geometric `Data` or `Batch`; see `heliograph.convert`."""
        from heliograph.convert import from_pyg

        return from_pyg(data)

    def to_pyg(self) -> Data:
        """Return a PyTorch Geometric `Data`, edges in the order that was given; see `heliograph.convert`."""
        from heliograph.convert import to_pyg

        return to_pyg(self)

    @staticmethod
    def from_networkx(graph: networkx.Graph, **kwargs: Any) -> Graph:
        """Make a Graph from a NetworkX graph: nodes in its order, an undirected edge as two.

        `node_features`, `edge_features`: names of attributes that become features, float32. Raises DataError.
        """
        from heliograph.convert import from_networkx

        return from_networkx(graph, **kwargs)
