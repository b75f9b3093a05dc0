"""Subgraphs in which every node answers.

GraphSAINT (Zeng et al. 2020, arXiv:1907.04931) and Cluster-GCN (Chiang et al. 2019, arXiv:1905.07953).
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch

from heliograph.data.graph_store import GraphStore
from heliograph.errors import UsageError
from heliograph.graph import Feature, Graph
from heliograph.kernels import sampling as loops
from heliograph.topology import Topology


def induced(store: GraphStore, nodes: np.ndarray, weight: np.ndarray | None = None) -> Graph:
    """The graph of some nodes [n], distinct, and of all edges among them, which know their degrees in the whole graph.

    `weight` [E]: of each edge of the store, as `sampling_weight`.
    """
    place = np.full(store.N, -1, np.int32)
    place[nodes] = np.arange(len(nodes), dtype=np.int32)
    indptr, indices, none = store.columns["indptr"], store.columns["indices"], np.zeros(0, np.int64)
    taken = np.empty(len(nodes), np.int64)
    e = loops.induced(indptr, indices, nodes, place, none.astype(np.int32), none, taken)
    senders, edges = np.empty(e, np.int32), np.empty(e, np.int64)
    if e:
        loops.induced(indptr, indices, nodes, place, senders, edges, taken)
    topology = Topology(
        torch.from_numpy(senders.astype(np.int64)),
        torch.from_numpy(np.repeat(np.arange(len(nodes)), taken)),
        torch.tensor([len(nodes)]),
        torch.tensor([e]),
        N=len(nodes),
        degree=torch.from_numpy(store.degree[nodes]),
    )
    features: dict[str, Feature] = store.edge_features(edges)
    if weight is not None:
        features["sampling_weight"] = torch.from_numpy(weight[edges].astype(np.float32))[:, None]
    return Graph(topology, store.node_features(nodes), features, asked=torch.arange(len(nodes)))


@final
class Saint:
    """GraphSAINT: draw nodes by `how`, take the graph among them, and correct for how often each node and edge is drawn.

    "node": `size` nodes with probability ~ degree; "edge": `size` edges with probability ~ 1 / d_u + 1 / d_v; "walk": walks
    of `length` steps from `size` roots (sec. 3.4 and appendix). `normalise(store)` draws `trials` subgraphs first: C_v and
    C_uv, how many of them hold a node and an edge, give the aggregator's normalisation alpha_uv = C_uv / C_v, whose inverse
    is the edge's `sampling_weight` (eq. 3), and the loss's, lambda_v = C_v / trials, whose inverse is the node's feature
    `loss_weight` (sec. 3.2).
    """

    def __init__(self, how: str, size: int, length: int = 2, trials: int = 50):
        if how not in ("node", "edge", "walk") or size < 1:
            raise UsageError(f"a sampler is node, edge or walk, of at least one root; got {how!r}, {size}")
        self.how, self.size, self.length, self.trials = how, size, length, trials
        self._found: tuple[GraphStore, np.ndarray, np.ndarray] | None = None

    def nodes(self, store: GraphStore, key: int) -> np.ndarray:
        """The nodes of one subgraph, ascending."""
        random = np.random.default_rng([key % 2**63, 13])
        indptr, indices, degree = store.columns["indptr"], store.columns["indices"], store.degree
        if self.how == "node":
            p = degree / max(degree.sum(), 1)
            return np.unique(random.choice(store.N, self.size, p=p))
        if self.how == "edge":
            d = np.maximum(degree, 1)
            p = 1 / d[indices] + 1 / d[store.receivers]
            edges = random.choice(store.E, self.size, p=p / p.sum())
            return np.unique(np.concatenate([indices[edges], store.receivers[edges]])).astype(np.int64)
        at = random.integers(0, store.N, self.size)
        seen = [at]
        for _ in range(self.length):
            stays = degree[at] == 0
            step = indptr[at] + (random.random(len(at)) * degree[at]).astype(np.int64)
            at = np.where(stays, at, indices[np.minimum(step, store.E - 1)])
            seen.append(at)
        return np.unique(np.concatenate(seen)).astype(np.int64)

    def normalise(self, store: GraphStore) -> tuple[np.ndarray, np.ndarray]:
        """1 / alpha_uv of each edge [E] and 1 / lambda_v of each node [N]; what was never drawn counts as drawn once."""
        if self._found is not None and self._found[0] is store:
            return self._found[1], self._found[2]
        nodes, edges = np.zeros(store.N), np.zeros(store.E)
        for trial in range(self.trials):
            inside = np.zeros(store.N, bool)
            inside[self.nodes(store, 2**40 + trial)] = True
            nodes += inside
            edges += inside[store.columns["indices"]] & inside[store.receivers]
        nodes, edges = np.maximum(nodes, 1), np.maximum(edges, 1)
        self._found = (store, nodes[store.receivers] / edges, self.trials / nodes)
        return self._found[1], self._found[2]

    def __call__(self, store: GraphStore, seeds: np.ndarray, key: int) -> Graph:
        """One subgraph, whatever the `seeds`: all its nodes answer, with `loss_weight` as their feature."""
        edge_weight, node_weight = self.normalise(store)
        nodes = self.nodes(store, key)
        return induced(store, nodes, edge_weight).with_nodes(
            loss_weight=torch.from_numpy(node_weight[nodes].astype(np.float32))
        )


@final
class Clusters:
    """Cluster-GCN: parts of a graph, `together` of them at a time with the edges among them (sec. 3.2). `part` [N]: each node's cluster."""

    def __init__(self, part: np.ndarray, together: int = 1):
        self.part, self.together = np.asarray(part, np.int64), together
        self.order = np.argsort(self.part, kind="stable")
        self.ends = np.searchsorted(self.part[self.order], np.arange(int(self.part.max(initial=-1)) + 2))

    def kept(self, store: GraphStore) -> float:
        """The share of edges within clusters: what is left of the graph at each step, where one cluster makes a batch."""
        return float((self.part[store.columns["indices"]] == self.part[store.receivers]).mean()) if store.E else 1.0

    def __call__(self, store: GraphStore, seeds: np.ndarray, key: int) -> Graph:
        """The graph of `together` clusters drawn at random, whatever the `seeds`."""
        n = len(self.ends) - 1
        chosen = np.random.default_rng([key % 2**63, 17]).choice(n, min(self.together, n), replace=False)
        return induced(store, np.concatenate([self.order[self.ends[c] : self.ends[c + 1]] for c in chosen]))


def by_label_propagation(store: GraphStore, clusters: int, seed: int = 0, rounds: int = 10) -> np.ndarray:
    """Cut a graph into `clusters` parts of about the same size [N]: labels spread along edges, each part up to its share of nodes.

    A stand-in for METIS, which is better: hand the parts that pymetis makes to `Clusters`.
    """
    random = np.random.default_rng(seed)
    room = -(-store.N // clusters)
    part = random.permutation(np.arange(store.N) % clusters)
    indptr, indices = store.columns["indptr"], store.columns["indices"]
    size = np.bincount(part, minlength=clusters)
    limit = int(1.1 * room) + 1
    for _ in range(rounds):
        moved = 0
        for node in random.permutation(store.N):
            around = part[indices[indptr[node] : indptr[node + 1]]]
            if not len(around):
                continue
            votes = np.bincount(around, minlength=clusters).astype(float)
            votes[size >= limit] = -1
            best = int(votes.argmax())
            if best != part[node] and votes[best] > votes[part[node]]:
                size[part[node]] -= 1
                size[best] += 1
                part[node], moved = best, moved + 1
        if moved < store.N // 100:
            break
    return part
