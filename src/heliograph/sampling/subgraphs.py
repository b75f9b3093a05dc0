"""Subgraphs in which every node answers.

GraphSAINT (Zeng et al. 2020, arXiv:1907.04931) and Cluster-GCN (Chiang et al. 2019, arXiv:1905.07953).
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from scipy.sparse import csr_array, csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

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
        """Draw one subgraph and return its nodes, ascending."""
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
        nodes = self.nodes(store, key)
        return self.among(store, nodes).with_nodes(loss_weight=torch.from_numpy(self.weight(store)[nodes].astype(np.float32)))

    def among(self, store: GraphStore, nodes: np.ndarray) -> Graph:
        """Return the subgraph of some `nodes` that were drawn."""
        return induced(store, nodes, self.normalise(store)[0])

    def weight(self, store: GraphStore) -> np.ndarray:
        """What the loss of each node is multiplied with, 1 / lambda_v, [N]."""
        return self.normalise(store)[1]


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
        return self.among(store, self.nodes(store, key))

    def nodes(self, store: GraphStore, key: int) -> np.ndarray:
        """Draw `together` clusters and return their nodes, cluster after cluster."""
        n = len(self.ends) - 1
        chosen = np.random.default_rng([key % 2**63, 17]).choice(n, min(self.together, n), replace=False)
        return np.concatenate([self.order[self.ends[c] : self.ends[c + 1]] for c in chosen])

    def among(self, store: GraphStore, nodes: np.ndarray) -> Graph:
        """Return the subgraph of some `nodes` that were drawn."""
        return induced(store, nodes)

    def weight(self, store: GraphStore) -> np.ndarray:
        """What the loss of each node is multiplied with: each is drawn as often as any other, [N]."""
        return np.full(store.N, (len(self.ends) - 1) / min(self.together, len(self.ends) - 1))


def parts_of(store: GraphStore, clusters: int, seed: int = 0) -> tuple[np.ndarray, str]:
    """Cut a graph into parts [N], with METIS where pymetis is installed, else by label propagation; and which of them it was."""
    try:
        import pymetis
    except ImportError:
        return by_label_propagation(store, clusters, seed), "label propagation (pymetis is not installed)"
    A = undirected(store)
    options = pymetis.Options(seed=seed)
    whole = pymetis.CSRAdjacency(A.indptr.astype(np.int32), A.indices.astype(np.int32))
    return np.asarray(pymetis.part_graph(clusters, whole, options=options)[1]), "METIS"


def undirected(store: GraphStore) -> csr_array:
    """Who is a neighbour of whom, whatever the direction, without loops, as ones, float32 [N, N]."""
    indptr, indices = np.asarray(store.columns["indptr"]), np.asarray(store.columns["indices"])
    A = csr_array((np.ones(len(indices), np.float32), indices, indptr), (store.N, store.N))
    A = (A + A.T if store.directed else A).tocsr()
    A.setdiag(0)
    A.eliminate_zeros()
    A.sum_duplicates()
    A.data[:] = 1.0
    return A


def by_label_propagation(store: GraphStore, clusters: int, seed: int = 0, rounds: int = 10) -> np.ndarray:
    """Cut a graph into `clusters` parts of about the same size [N]: labels spread along edges, each part up to its share of nodes.

    They begin as runs of an order in which neighbours stand near one another (reverse Cuthill-McKee). A stand-in for METIS, which is
    better: `parts_of` takes that where pymetis is installed.
    """
    random = np.random.default_rng(seed)
    part = np.empty(store.N, np.int64)
    part[reverse_cuthill_mckee(csr_matrix(undirected(store)), symmetric_mode=True)] = np.arange(store.N) * clusters // max(store.N, 1)
    limit = int(1.1 * -(-store.N // clusters)) + 1
    size = np.bincount(part, minlength=clusters)
    for _ in range(rounds):
        order = random.permutation(store.N)
        if loops.relabel(store.columns["indptr"], store.columns["indices"], order, part, size, limit) < store.N // 100:
            break
    return part
