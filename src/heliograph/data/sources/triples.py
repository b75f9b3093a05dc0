"""Rows that are triples (head, relation, tail) of a knowledge graph, asked in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import numpy as np
import torch

from heliograph.data.graph_store import GraphStore
from heliograph.data.targets import Target, Targets
from heliograph.graph import Graph


@final
class Known:
    """All tails that are known for each pair of head and relation; inverse relations are r + `relations`."""

    def __init__(self, triples: np.ndarray, relations: int):
        self.relations = relations
        both = np.concatenate([triples, inverse(triples, relations)])
        self.width = 2 * relations
        key = both[:, 0] * self.width + both[:, 1]
        order = np.lexsort((both[:, 2], key))
        self.keys, self.tails = key[order], both[order, 2]

    def __call__(self, asked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(query, tail), two [K] long: all known tails of the questions `asked` [Q, 3], the row of the question beside each."""
        pairs = asked.cpu().numpy()
        key = pairs[:, 0] * self.width + pairs[:, 1]
        first, last = np.searchsorted(self.keys, key), np.searchsorted(self.keys, key, side="right")
        count = last - first
        query = np.repeat(np.arange(len(key)), count)
        within = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
        return torch.from_numpy(query), torch.from_numpy(self.tails[first[query] + within])


def inverse(triples: np.ndarray, relations: int) -> np.ndarray:
    """(tail, relation + `relations`, head) of each triple [M, 3]."""
    return np.stack([triples[:, 2], triples[:, 1] + relations, triples[:, 0]], axis=1)


@final
class Triples:
    """Rows are triples [M, 3] int64. A batch of n asks 2 n questions: (h, r, ?) of all rows, then (t, inverse of r, ?) of all rows.

    Messages go along training edges, both ways, without those of the batch while training; validation and test see the training edges.
    `make` builds a store from some rows. Without `messages` the network gets no edges.
    """

    def __init__(
        self,
        make: Callable[[np.ndarray], GraphStore],
        triples: np.ndarray,
        parts: Mapping[str, np.ndarray],
        relations: int,
        messages: bool = True,
    ):
        self.triples, self.relations = np.asarray(triples, np.int64), relations
        train = np.sort(parts["train"])
        self.place = np.full(len(triples), -1, np.int64)
        self.place[train] = np.arange(len(train))
        self.messages, self.store = messages, make(train if messages else train[:0])
        self.whole: Graph = self.store.graph()

    def __len__(self) -> int:
        return len(self.triples)

    def questions(self, rows: np.ndarray) -> torch.Tensor:
        """Both questions of each row, [2 n, 3]."""
        given = self.triples[rows]
        return torch.from_numpy(np.concatenate([given, inverse(given, self.relations)]))

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The graph that answers both questions of the triples `rows` [n]."""
        graph = self.whole
        if step is not None and self.messages:
            out = np.zeros(len(self.place), bool)
            out[self.place[rows]] = True
            graph = self.store.graph(~out[self.store.columns["edge"]])
        return graph.with_asked(self.questions(rows))

    def targets(self, rows: np.ndarray) -> Targets:
        """One for each row: both of its questions have an answer."""
        return {"triple": Target(torch.ones(len(rows)), "pair")}
