"""Neighbours drawn among some of a node's edges: so many of each relation, or those before a time.

Each edge gets a random number that follows from the key; of those that compete the smallest are taken: each set is equally likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from heliograph.data.graph_store import GraphStore
from heliograph.errors import DataError, UsageError
from heliograph.graph import Graph
from heliograph.sampling.sample import Places, Sample


@final
class PerRelation:
    """Draw up to `fan_outs[k]` senders of each relation in the k-th hop, or `of[relation]` where a relation has its own number; -1: all.

    Relations are counted with their inverses, as the store has them: r and r + R. A node that is met twice is expanded once.
    """

    def __init__(self, fan_outs: Sequence[int], of: Mapping[int, int] | None = None):
        self.fan_outs, self.of = tuple(map(int, fan_outs)), dict(of or {})
        if not self.fan_outs or any(k < -1 for k in (*self.fan_outs, *self.of.values())) or 0 in self.fan_outs:
            raise UsageError("neighbours of each relation: one number a layer, each at least 1, or -1 for all; 0 leaves one relation out")
        self._places = Places()

    def __call__(self, store: GraphStore, seeds: np.ndarray, key: int) -> Graph:
        """The sampled neighbourhoods of `seeds` [Q] as one graph."""
        return self.draw(store, seeds, key).graph(store)

    def draw(self, store: GraphStore, seeds: np.ndarray, key: int) -> Sample:
        """Draw nodes and edges around `seeds`. Raises DataError for a store without relations."""
        if "relation" not in store.columns:
            raise DataError("this graph has no relations to draw neighbours by")
        place, nodes = self._places.of(store), np.array(seeds, np.int64)
        place[nodes] = np.arange(len(nodes), dtype=np.int32)
        hops, begin = [len(nodes)], 0
        found: list[tuple[np.ndarray, ...]] = []
        for k in self.fan_outs:
            limit = np.full(2 * store.relations, k)
            limit[list(self.of)] = list(self.of.values())
            owner, edges = _received(store, nodes[begin:])
            relation = store.columns["relation"][edges].astype(np.int64)
            kept, weight = _smallest(owner * len(limit) + relation, limit[relation], _random(key, edges))
            owner, edges = owner[kept], edges[kept]
            senders = store.columns["indices"][edges]
            new, first = np.unique(senders[place[senders] < 0], return_index=True)
            new = new[np.argsort(first)]
            place[new] = len(nodes) + np.arange(len(new), dtype=np.int32)
            found.append((place[senders], owner + begin, edges, weight))
            begin = len(nodes)
            nodes = np.concatenate([nodes, new])
            hops.append(len(nodes))
        place[nodes] = -1
        senders, receivers, chosen, weights = (np.concatenate([f[c] for f in found]) for c in range(4))
        return Sample(nodes, tuple(hops), senders, receivers, chosen, weights)


@final
class Before:
    """Draw up to `fan_outs[k]` senders in the k-th hop over edges earlier than the seed's time, strictly, on every hop; -1: all.

    The store's column `time` [E] has the time of each edge. Each seed has a sample of its own, since its past is its own: a node that is
    met twice is there twice, with the degree that it had at that time.
    """

    def __init__(self, fan_outs: Sequence[int]):
        self.fan_outs = tuple(map(int, fan_outs))
        if not self.fan_outs or any(k == 0 or k < -1 for k in self.fan_outs):
            raise UsageError("neighbours before a time: one number a layer, each at least 1, or -1 for all")
        self._past: tuple[GraphStore, _Past] | None = None

    def __call__(self, store: GraphStore, seeds: np.ndarray, times: np.ndarray, key: int) -> Graph:
        """The sampled pasts of `seeds` [Q], which may repeat, at `times` [Q] as one graph; its first Q nodes are the seeds."""
        return self.draw(store, seeds, times, key).graph(store)

    def draw(self, store: GraphStore, seeds: np.ndarray, times: np.ndarray, key: int) -> Sample:
        """Draw nodes and edges around `seeds`. Raises DataError for a store without times."""
        if self._past is None or self._past[0] is not store:
            self._past = store, _Past(store)
        past, nodes = self._past[1], np.asarray(seeds, np.int64)
        until, hops, begin = past.rank(times), [len(nodes)], 0
        found: list[tuple[np.ndarray, ...]] = []
        for k in self.fan_outs:
            owner, edges = past.edges(nodes[begin:], until[begin:])
            random = _random(key, edges, owner + begin)
            kept, weight = _smallest(owner, np.full(len(owner), k), random)
            owner, edges = owner[kept], edges[kept]
            here = np.arange(len(edges)) + len(nodes)
            found.append((here, owner + begin, edges, weight))
            until = np.concatenate([until, until[begin:][owner]])
            begin = len(nodes)
            nodes = np.concatenate([nodes, store.columns["indices"][edges].astype(np.int64)])
            hops.append(len(nodes))
        senders, receivers, chosen, weights = (np.concatenate([f[c] for f in found]) for c in range(4))
        return Sample(nodes, tuple(hops), senders, receivers, chosen, weights, past.count(nodes, until))


class _Past:
    """The edges of each receiver by their time."""

    def __init__(self, store: GraphStore):
        if "time" not in store.columns:
            raise DataError("this graph's edges have no times")
        self.known, code = np.unique(store.columns["time"], return_inverse=True)
        self.begin, self.steps = np.asarray(store.columns["indptr"]), len(self.known) + 1
        self.order = np.lexsort((code, store.receivers))
        self.keys = store.receivers[self.order].astype(np.int64) * self.steps + code[self.order]

    def rank(self, times: np.ndarray) -> np.ndarray:
        """How many of the known times are earlier than each time."""
        return np.searchsorted(self.known, times)

    def count(self, nodes: np.ndarray, until: np.ndarray) -> np.ndarray:
        """Edges that each node has received before the time of rank `until`."""
        return np.asarray(np.searchsorted(self.keys, nodes * self.steps + until) - self.begin[nodes])

    def edges(self, nodes: np.ndarray, until: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(owner, edge), both [e]: these edges, and which of `nodes` has received each."""
        owner, places = _runs(self.begin[nodes], self.count(nodes, until))
        return owner, self.order[places]


def _received(store: GraphStore, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(owner, edge), both [e]: all edges that `nodes` receive, and which of them each belongs to."""
    return _runs(store.columns["indptr"][nodes], store.degree[nodes])


def _runs(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + first[owner]


def _smallest(group: np.ndarray, limit: np.ndarray, random: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows [e'] ascending that have the `limit` smallest random numbers of their group (-1: all), and 1 / the probability of each."""
    order = np.lexsort((random, group))
    _, begin, which, count = np.unique(group[order], return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - begin[which]
    size = np.empty(len(group), np.int64)
    size[order] = count[which]
    kept = np.flatnonzero((rank < limit) | (limit < 0))
    return kept, size[kept] / np.where(limit < 0, size, np.minimum(size, limit))[kept]


def _random(key: int, *numbers: np.ndarray) -> np.ndarray:
    """64 bits for each row of whole numbers: splitmix64's output function (Steele et al. 2014) of one after the other."""
    x = np.full(len(numbers[0]), key % 2**64, np.uint64)
    for number in numbers:
        x += (number.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x
