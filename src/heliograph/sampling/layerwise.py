"""Layer-wise sampling: FastGCN (Chen et al. 2018, arXiv:1801.10247) and LADIES (Zou et al. 2019, arXiv:1911.07323)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from heliograph.data.graph_store import GraphStore
from heliograph.errors import UsageError
from heliograph.graph import Graph
from heliograph.sampling.neighbors import Neighbors
from heliograph.sampling.sample import Sample

_EVERY = Neighbors((-1,))


@final
class Layerwise:
    """Draw `sizes[k]` nodes, with replacement, for the k-th hop from the seeds; keep the edges from them into the hop before.

    `by` "degree" draws from all nodes with probability ~ 1 + degree (FastGCN; the paper's is sum_i A_ij^2, sec. 3);
    "support" draws from the senders of the hop before alone, with probability ~ sum_i A_ij^2, A_ij = 1 / sqrt(d_i d_j)
    (LADIES, sec. 3.2). A node drawn c times of s with probability p has weight c / (s p), so sums of messages are right
    on average; a mean is not, and a receiver whose senders were not drawn has none. The nodes of a hop stay in the
    sample, so that states of their own can be kept.
    """

    def __init__(self, sizes: Sequence[int], by: str = "support"):
        if not sizes or any(s < 1 for s in sizes):
            raise UsageError(f"a number of nodes for each layer, at least 1; got {' '.join(map(str, sizes))}")
        self.sizes, self.by = tuple(int(s) for s in sizes), by

    def __call__(self, store: GraphStore, seeds: np.ndarray, key: int) -> Graph:
        """The sample as one graph."""
        return self.draw(store, seeds, key).graph(store)

    def draw(self, store: GraphStore, seeds: np.ndarray, key: int) -> Sample:
        """Draw nodes and edges around `seeds`."""
        random = np.random.default_rng([key % 2**63, 11])
        nodes, hops = np.array(seeds, np.int64), [len(seeds)]
        place = np.full(store.N, -1, np.int64)
        place[nodes] = np.arange(len(nodes))
        kept: list[tuple[np.ndarray, ...]] = []
        begin = 0
        for size in self.sizes:
            frontier = nodes[begin:]
            sample = _EVERY.draw(store, frontier, 0)
            senders, receivers = sample.nodes[sample.senders], frontier[sample.receivers]
            among, p = self._probabilities(store, senders, receivers)
            drawn, count = np.unique(random.choice(len(among), size, p=p), return_counts=True)
            weight = np.zeros(store.N)
            weight[among[drawn]] = count / (size * p[drawn])
            keep = weight[senders] > 0
            new = np.unique(senders[keep])
            new = new[place[new] < 0]
            place[new] = len(nodes) + np.arange(len(new))
            kept.append((senders[keep], receivers[keep], sample.edges[keep], weight[senders[keep]]))
            begin = len(nodes)
            nodes = np.concatenate([nodes, new])
            hops.append(len(nodes))
        senders, receivers, edges, weights = (np.concatenate([k[c] for k in kept]) for c in range(4))
        order = np.argsort(place[receivers], kind="stable")
        return Sample(nodes, tuple(hops), place[senders][order], place[receivers][order], edges[order], weights[order])

    def _probabilities(self, store: GraphStore, senders: np.ndarray, receivers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nodes that can be drawn and how likely each is."""
        if self.by == "degree":
            likely = 1.0 + store.degree
            return np.arange(store.N), likely / likely.sum()
        d = np.maximum(store.degree, 1).astype(float)
        if not len(senders):
            return np.arange(1), np.ones(1)
        squares = np.bincount(senders, 1 / (d[senders] * d[receivers]), minlength=store.N).astype(np.float64)
        among = np.flatnonzero(squares)
        return among, squares[among] / squares.sum()


def FastGCN(sizes: Sequence[int]) -> Layerwise:
    """Nodes of each layer from all nodes, by degree."""
    return Layerwise(sizes, "degree")


def Ladies(sizes: Sequence[int]) -> Layerwise:
    """Nodes of each layer from the neighbours of the layer before."""
    return Layerwise(sizes, "support")
