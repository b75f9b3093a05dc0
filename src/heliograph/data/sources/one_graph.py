"""Rows that are parts of one graph: its nodes, its edges, or links whose edges must not be seen while they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, final

import numpy as np
import torch

from heliograph.data.graph_store import GraphStore
from heliograph.data.targets import Level, Target, Targets
from heliograph.errors import DataError
from heliograph.graph import Graph

Draw = Callable[[GraphStore, np.ndarray, int], Graph]  # a sampler of `heliograph.sampling`
Past = Callable[[GraphStore, np.ndarray, np.ndarray, int], Graph]  # the same with the time of each seed
LARGE = 4_000_000  # edges; beyond, a validation samples neighbours, too


class Pieces(Protocol):
    """A sampler of subgraphs in which all nodes answer (`heliograph.sampling.Saint`, `Clusters`)."""

    def nodes(self, store: GraphStore, key: int) -> np.ndarray:
        """Draw the nodes of one subgraph."""

    def among(self, store: GraphStore, nodes: np.ndarray) -> Graph:
        """Return the subgraph of these nodes."""

    def weight(self, store: GraphStore) -> np.ndarray:
        """Return 1 / the probability that each node is drawn, [N]."""


@final
class Nodes:
    """Rows are nodes: each batch is the whole graph that answers for some of them or, with `draw`, a sample around them.

    `y`: name -> labels [N, ...], NaN where there is none. A training step's sample follows from (`seed`, step), that of a validation
    from `seed` and the rows; graphs of fewer than `LARGE` edges are validated whole, others by `check` (None: by `draw`).
    """

    level: Level = "node"

    def __init__(
        self, store: GraphStore, y: Mapping[str, torch.Tensor], draw: Draw | None = None, seed: int = 0, check: Draw | None = None
    ):
        self.store, self.y, self.draw, self.seed, self.check = store, dict(y), draw, seed, check or draw
        self._whole: Graph | None = None

    def __len__(self) -> int:
        return self.store.N

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The graph that answers for the nodes `rows` [n]."""
        if self.draw is not None and step is not None:
            return self.draw(self.store, rows, key_of(self.seed, 0, step))
        if self.check is not None and self.store.E > LARGE:
            return self.check(self.store, rows, key_of(self.seed, 1, int(rows[0]) if len(rows) else 0))
        if self._whole is None:
            self._whole = self.store.graph()
        return self._whole.with_asked(torch.from_numpy(np.asarray(rows, np.int64)))

    def targets(self, rows: np.ndarray) -> Targets:
        """Labels of the nodes `rows`."""
        index = torch.from_numpy(np.asarray(rows, np.int64))
        return {name: Target(y[index], self.level) for name, y in self.y.items()}


@final
class Subgraphs:
    """Rows are nodes; a training step takes a subgraph, whatever rows were meant for it, and learns from the `train` nodes in it.

    A node's loss is weighted by 1 / the probability that it is drawn, so that the sum over a step is right on average.
    """

    level: Level = "node"

    def __init__(
        self, store: GraphStore, y: Mapping[str, torch.Tensor], pieces: Pieces, train: np.ndarray, seed: int = 0, check: Draw | None = None
    ):
        self.pieces, self.seed, self.within = pieces, seed, Nodes(store, y, None, seed, check)
        self.train = np.zeros(store.N, bool)
        self.train[train] = True
        self.weight = torch.from_numpy(pieces.weight(store)).float()

    def __len__(self) -> int:
        return len(self.within)

    def drawn(self, rows: np.ndarray, step: int) -> np.ndarray:
        """The training nodes in the subgraph of a step."""
        nodes = self.pieces.nodes(self.within.store, key_of(self.seed, 0, step))
        return nodes[self.train[nodes]]

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The subgraph of a step that answers for the nodes `rows` [n] in it; without a step the whole graph."""
        if step is None:
            return self.within.batch(rows, None)
        store = self.within.store
        nodes = self.pieces.nodes(store, key_of(self.seed, 0, step))
        place = np.empty(store.N, np.int64)
        place[nodes] = np.arange(len(nodes))
        return self.pieces.among(store, nodes).with_asked(torch.from_numpy(place[rows]))

    def targets(self, rows: np.ndarray) -> Targets:
        """Labels of the nodes `rows`, weighted for training: sum_v L_v / p_v over n rows is n / N_train of that over all of them."""
        share = len(rows) / max(int(self.train.sum()), 1)
        weight = self.weight[torch.from_numpy(np.asarray(rows, np.int64))] * share
        return {name: Target(t.value, t.level, weight=weight) for name, t in self.within.targets(rows).items()}


@final
class Edges:
    """Rows are edges as the table has them: each batch is the whole graph that answers for some edges' ends.

    `ends` [M, 2]: sender and receiver of each row; `y`: name -> labels [M, ...].
    """

    level: Level = "pair"

    def __init__(self, store: GraphStore, ends: np.ndarray, y: Mapping[str, torch.Tensor]):
        self.store, self.ends, self.y = store, torch.from_numpy(ends.astype(np.int64)), dict(y)
        self._whole: Graph | None = None

    def __len__(self) -> int:
        return len(self.ends)

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The graph that answers for the edges `rows` [n]; their own features are its feature `asked_attr`."""
        if self._whole is None:
            self._whole = self.store.graph()
        return self._whole.with_asked(self.ends[torch.from_numpy(np.asarray(rows, np.int64))])

    def targets(self, rows: np.ndarray) -> Targets:
        """Labels of the edges `rows`."""
        index = torch.from_numpy(np.asarray(rows, np.int64))
        return {name: Target(y[index], self.level) for name, y in self.y.items()}


@final
class Links:
    """Rows are edges [M] that a network must tell from pairs without an edge. What is asked for is never in the graph that answers.

    `ends` [M, 2] and `parts` "train", "val", "test" (rows). While training, messages go along training edges without those of the batch,
    both ways; validation sees the training edges, a test those of training and validation. A batch asks for its edges first, then for
    `negatives` pairs for each of them. Pairs avoid training edges (all that are known then), never others: to avoid those would give
    them away. In a graph of `first_side` > 0 nodes on one side, pairs have one end on each. `make` builds a store from some of the edges.
    With `times` [M] and `before`, a sampler of the past (`heliograph.sampling.Before`), a training link and its pairs are asked at the
    time of the link, from the training edges before it.
    """

    def __init__(
        self,
        make: Callable[[np.ndarray], GraphStore],
        ends: np.ndarray,
        parts: Mapping[str, np.ndarray],
        *,
        negatives: int = 1,
        first_side: int = 0,
        directed: bool = False,
        seed: int = 0,
        draw: Draw | None = None,
        times: np.ndarray | None = None,
        before: Past | None = None,
    ):
        self.times, self.before = times, before
        self.ends, self.negatives, self.first_side, self.directed = (
            ends.astype(np.int64),
            negatives,
            first_side,
            directed,
        )
        self.seed, self.draw = seed, draw
        train, val = (np.asarray(parts.get(part, ()), np.int64) for part in ("train", "val"))
        self.part_of = np.full(len(ends), -1, np.int8)
        for k, part in enumerate(("train", "val", "test")):
            self.part_of[parts.get(part, np.zeros(0, np.int64))] = k
        self.known = {"val": np.sort(train), "test": np.sort(np.concatenate([train, val]))}
        self.stores = {part: make(rows) for part, rows in self.known.items()}
        self.place = np.full(len(ends), -1, np.int64)  # of a training edge among the training edges
        self.place[self.known["val"]] = np.arange(len(train))
        self.N = self.stores["val"].N
        if times is not None:
            train_store = self.stores["val"]
            self.stores["val"] = train_store.with_columns(time=times[self.known["val"]][train_store.columns["edge"]])
        self._keys = {part: np.sort(self._key(self.ends[rows])) for part, rows in self.known.items()}
        self._whole: dict[str, Graph] = {}
        self._fixed: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.ends)

    def _key(self, pairs: np.ndarray) -> np.ndarray:
        a, b = pairs[:, 0], pairs[:, 1]
        return a * self.N + b if self.directed or self.first_side else np.minimum(a, b) * self.N + np.maximum(a, b)

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The graph that answers for the links `rows` [n] and for n times `negatives` pairs."""
        if step is None:
            part = "test" if len(rows) and (self.part_of[rows] == 2).all() else "val"
            asked = np.concatenate([self.ends[rows], self.fixed_negatives(rows, part)])
            return self._answering(part, asked, None, key_of(self.seed, 1, int(rows[0]) if len(rows) else 0))
        random = np.random.default_rng([self.seed, 2, step])
        asked = np.concatenate([self.ends[rows], self.pairs(random, len(rows) * self.negatives, "val")])
        key = key_of(self.seed, 0, step)
        if self.before is not None and self.times is not None:
            when = np.concatenate([self.times[rows], np.repeat(self.times[rows], self.negatives)])
            graph = self.before(self.stores["val"], asked.ravel(), np.repeat(when, 2), key)
            return graph.with_asked(torch.arange(2 * len(asked)).view(-1, 2))
        return self._answering("val", asked, self.place[rows], key)

    def _answering(self, part: str, asked: np.ndarray, without: np.ndarray | None, key: int) -> Graph:
        """The graph of the edges known to `part`, less the training edges `without`, that answers for the pairs `asked` [Q, 2]."""
        store = self.stores[part]
        if self.draw is not None:
            nodes, where = np.unique(asked, return_inverse=True)
            graph = self.draw(store, nodes, key)
            if without is not None:
                graph = _less(graph, np.isin(graph_rows(graph), without))
            return graph.with_asked(torch.from_numpy(where.reshape(-1, 2)))
        if without is not None and len(without):
            out = np.zeros(len(self.known[part]), bool)
            out[without] = True
            return store.graph(~out[store.columns["edge"]]).with_asked(torch.from_numpy(asked))
        if part not in self._whole:
            self._whole[part] = store.graph()
        return self._whole[part].with_asked(torch.from_numpy(asked))

    def pairs(self, random: np.random.Generator, n: int, part: str) -> np.ndarray:
        """Draw n pairs [n, 2] that are no edges known to `part`. Raises DataError where hardly any are left."""
        found = np.zeros((0, 2), np.int64)
        for _ in range(100):
            wanted = n - len(found)
            if not wanted:
                return found
            drawn = self._uniform(random, wanted + wanted // 8 + 8)
            taken = in_sorted(self._key(drawn), self._keys[part])
            found = np.concatenate([found, drawn[~taken & (drawn[:, 0] != drawn[:, 1])][:wanted]])
        raise DataError("hardly a pair of nodes is without an edge: there is nothing to tell links from")

    def _uniform(self, random: np.random.Generator, n: int) -> np.ndarray:
        if self.first_side:
            return np.stack([random.integers(0, self.first_side, n), random.integers(self.first_side, self.N, n)], axis=1)
        return random.integers(0, self.N, (n, 2))

    def fixed_negatives(self, rows: np.ndarray, part: str) -> np.ndarray:
        """The pairs that the links `rows` are compared with in evaluation, the same every time, [n * negatives, 2]."""
        if part not in self._fixed:
            random = np.random.default_rng([self.seed, 3, *part.encode()])
            self._fixed[part] = self.pairs(random, len(self) * self.negatives, part).reshape(len(self), self.negatives, 2)
        return self._fixed[part][rows].reshape(-1, 2)

    def targets(self, rows: np.ndarray) -> Targets:
        """One for each link: that it is there."""
        return {"link": Target(torch.ones(len(rows)), "pair")}


def graph_rows(graph: Graph) -> np.ndarray:
    """Which row of its table each edge of a drawn graph is."""
    found: torch.Tensor = graph.edges["row"]  # type: ignore[assignment]
    return found.numpy()


def _less(graph: Graph, out: np.ndarray) -> Graph:
    """The graph without some edges [E] (bool); the degrees of their receivers are less, too: a gap would give the edge away."""
    from heliograph.graph import take
    from heliograph.topology import Topology

    t = graph.topology
    keep = torch.from_numpy(np.flatnonzero(~out))
    gone = torch.bincount(t.receivers[torch.from_numpy(np.flatnonzero(out))], minlength=t.N)
    degree = None if t.whole else t.degree - gone
    topology = Topology(t.senders[keep], t.receivers[keep], t.n_node, torch.tensor([len(keep)]), N=t.N, R=t.steps, degree=degree)
    return graph.with_topology(topology, {name: take(f, keep) for name, f in graph.edges.items()})


def in_sorted(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which keys are among `known`, ascending, [n] bool."""
    if not len(known):
        return np.zeros(len(keys), bool)
    return np.asarray(known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys)


def key_of(*numbers: int) -> int:
    """One key of 64 bits from a seed, a step and so on."""
    return int(np.random.SeedSequence([n % 2**63 for n in numbers]).generate_state(1, np.uint64)[0])
