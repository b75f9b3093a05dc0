"""Recommendation: training rows are pairs (user, item), rows of evaluation are users whose items are looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import numpy as np
import torch

from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import in_sorted
from heliograph.data.targets import Target, Targets
from heliograph.graph import Graph


@final
class Interactions:
    """`ends` [M, 2]: users (before `first_side`) and items of each row; rows M + u and M + U + u are user u in validation and in test.

    Messages go along all training edges, those of the batch too (as in LightGCN). A training batch asks for its pairs first, then for
    `negatives` items that the same users have not had in training.
    """

    def __init__(
        self,
        make: Callable[[np.ndarray], GraphStore],
        ends: np.ndarray,
        parts: Mapping[str, np.ndarray],
        first_side: int,
        *,
        negatives: int = 1,
        seed: int = 0,
    ):
        self.ends, self.U, self.M = ends.astype(np.int64), first_side, len(ends)
        self.negatives, self.seed = negatives, seed
        store = make(np.sort(parts["train"]))
        self.whole, self.N, self.store = store.graph(), store.N, store
        self.items = {part: by_user(self.ends[rows], first_side) for part, rows in parts.items()}
        self._keys = np.sort(self.ends[parts["train"]][:, 0] * self.N + self.ends[parts["train"]][:, 1])
        self.rows = {"train": np.asarray(parts["train"], np.int64)}
        for k, part in enumerate(("val", "test")):
            users = np.flatnonzero(np.diff(self.items[part][0])) if len(parts.get(part, ())) else np.zeros(0, np.int64)
            self.rows[part] = self.M + k * self.U + users

    def __len__(self) -> int:
        return self.M + 2 * self.U

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The training graph that answers for pairs of `rows`, or for users."""
        if len(rows) and rows[0] >= self.M:
            return self.whole.with_asked(torch.from_numpy((rows - self.M) % self.U))
        pairs = self.ends[rows]
        random = np.random.default_rng([self.seed, 4, -1 if step is None else step] if step is not None else [self.seed, 5])
        users = np.repeat(pairs[:, 0], self.negatives)
        others = random.integers(self.U, self.N, len(users))
        for _ in range(50):
            taken = np.flatnonzero(in_sorted(users * self.N + others, self._keys))
            if not len(taken):
                break
            others[taken] = random.integers(self.U, self.N, len(taken))
        asked = np.concatenate([pairs, np.stack([users, others], axis=1)])
        return self.whole.with_asked(torch.from_numpy(asked))

    def targets(self, rows: np.ndarray) -> Targets:
        """Which rows are pairs to learn from; what the others look for is known to the objective."""
        users = len(rows) and rows[0] >= self.M
        number = torch.from_numpy(np.asarray(rows, np.int64))
        return {"row": Target(number, "pair", mask=torch.full((len(rows),), not users))}


def by_user(ends: np.ndarray, users: int) -> tuple[np.ndarray, np.ndarray]:
    """Items of each user: where they begin [U + 1], and which they are, from 0."""
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    return np.searchsorted(ends[order, 0], np.arange(users + 1)), ends[order, 1] - users
