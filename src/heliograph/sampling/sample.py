"""What a sampler draws, and the graph that is made of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from heliograph.data.graph_store import GraphStore
from heliograph.graph import Feature, Graph
from heliograph.topology import Topology


class Sampler(Protocol):
    """A function that draws a piece of a graph for `seeds` [Q], distinct nodes of it."""

    def __call__(self, store: GraphStore, seeds: np.ndarray, key: int) -> Graph:
        """Return the piece; the same for the same key, whatever was drawn before."""


@dataclass(frozen=True, eq=False)
class Sample:
    """n nodes of a graph, the seeds first, and e edges among them by receiver.

    `nodes` [n]: which they are; `hops`: how many there are within 0, 1, 2 ... steps; `senders`, `receivers` [e]: places among `nodes`;
    `edges` [e]: places in the store's order; `weight` [e]: 1 / probability that the edge was drawn (None: 1 each); `degree` [n]: of the
    nodes, where it is not the store's.
    """

    nodes: np.ndarray
    hops: tuple[int, ...]
    senders: np.ndarray
    receivers: np.ndarray
    edges: np.ndarray
    weight: np.ndarray | None = None
    degree: np.ndarray | None = None

    def graph(self, store: GraphStore) -> Graph:
        """Return the sample as a graph that asks for its seeds."""
        n = len(self.nodes)
        topology = Topology(
            torch.from_numpy(self.senders.astype(np.int64)),
            torch.from_numpy(self.receivers.astype(np.int64)),
            torch.tensor([n]),
            torch.tensor([len(self.senders)]),
            N=n,
            R=self.hops[-2::-1],
            degree=torch.from_numpy(store.degree[self.nodes] if self.degree is None else self.degree),
        )
        edges: dict[str, Feature] = store.edge_features(self.edges)
        if self.weight is not None:
            edges["sampling_weight"] = torch.from_numpy(self.weight.astype(np.float32))[:, None]
        if "edge" in store.columns:
            edges["row"] = torch.from_numpy(np.asarray(store.columns["edge"][self.edges], np.int64))
        return Graph(topology, store.node_features(self.nodes), edges, asked=torch.arange(self.hops[0]))


class Places:
    """The number of each node in the sample that is being drawn, -1 where it is not in it; one array a thread and a store."""

    def __init__(self) -> None:
        self._local = threading.local()

    def of(self, store: GraphStore) -> np.ndarray:
        """An array [N] of -1; leave it as it was found."""
        held: tuple[int, np.ndarray] | None = getattr(self._local, "held", None)
        if held is None or held[0] != store.N:
            held = self._local.held = (store.N, np.full(store.N, -1, np.int32))
        return held[1]
