"""Neighbour sampling (Hamilton et al. 2017, arXiv:1706.02216, algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from heliograph.data.graph_store import GraphStore
from heliograph.errors import UsageError
from heliograph.graph import Graph
from heliograph.kernels import sampling as loops
from heliograph.sampling.sample import Places, Sample


@final
class Neighbors:
    """Draw up to `fan_outs[0]` senders of each seed, up to `fan_outs[1]` of each node found so, and so on; -1 takes all.

    Neighbours are drawn uniformly without replacement, so an edge to a node of degree d has weight d / min(d, fan-out). A node that is
    met twice is expanded once, where it was met first: fewer edges than with a draw in each hop.
    """

    def __init__(self, fan_outs: Sequence[int]):
        if not fan_outs or any(k == 0 or k < -1 for k in fan_outs):
            raise UsageError(f"--num-neighbors: one number a layer, each at least 1, or -1 for all; got {' '.join(map(str, fan_outs))}")
        self.fan_outs = tuple(int(k) for k in fan_outs)
        self._places = Places()

    def __call__(self, store: GraphStore, seeds: np.ndarray, key: int) -> Graph:
        """The sampled neighbourhoods of `seeds` [Q] as one graph."""
        return self.draw(store, seeds, key).graph(store)

    def draw(self, store: GraphStore, seeds: np.ndarray, key: int) -> Sample:
        """Draw nodes and edges around `seeds`."""
        indptr, indices, place = store.columns["indptr"], store.columns["indices"], self._places.of(store)
        nodes = np.array(seeds, np.int64)
        place[nodes] = np.arange(len(nodes), dtype=np.int32)
        hops = [len(nodes)]
        senders: list[np.ndarray] = []
        edges: list[np.ndarray] = []
        taken: list[np.ndarray] = []
        begin = 0
        number = np.uint64(key % 2**64)
        for k in self.fan_outs:
            end = hops[-1]
            n = loops.count(indptr, nodes, begin, end, k)
            room = np.empty(min(end + n, store.N), np.int64)
            room[:end] = nodes
            of_hop = np.empty(n, np.int32), np.empty(n, np.int64), np.empty(end - begin, np.int64)
            known = loops.expand(indptr, indices, room, begin, end, end, k, number, place, *of_hop)
            nodes = room[:known]
            senders.append(of_hop[0])
            edges.append(of_hop[1])
            taken.append(of_hop[2])
            begin = end
            hops.append(known)
        place[nodes] = -1
        runs = np.concatenate(taken)  # of the first hops[-2] nodes
        receivers = np.repeat(np.arange(len(runs), dtype=np.int32), runs)
        degree = indptr[nodes[: len(runs)] + 1] - indptr[nodes[: len(runs)]]
        weight = None if (runs == degree).all() else np.repeat(degree / np.maximum(runs, 1), runs)
        return Sample(nodes, tuple(hops), np.concatenate(senders), receivers, np.concatenate(edges), weight)
