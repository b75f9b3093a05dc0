"""Repeated k-fold cross-validation: the same folds for every learner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.errors import DataError

VALIDATION = 0.1  # share of all rows, taken off what trains, for choosing the best epoch


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows of one training, ascending. `train` and `val` are what a learner sees, `test` what it is scored on.

    `share`: how much of the fold's training rows `train` has.
    """

    repeat: int
    fold: int
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    share: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.repeat + 1}.{self.fold + 1}" + (f" with {self.share:g}" if self.share < 1 else "")


def folds(
    n: int,
    repeats: int,
    k: int,
    seed: int,
    groups: Sequence[str] | None = None,
    classes: np.ndarray | None = None,
    copies: Sequence[str] | None = None,
) -> list[Fold]:
    """`repeats` times `k` folds of `n` rows; rows of one of `groups` stay together, in the parts for validation too.

    Groups fill the smallest fold in an order drawn anew for each repeat, large ones first. Without groups, every part has its share of
    each of the `classes` [n]; rows of equal `copies` [n] stay together even so. Raises DataError where a part gets no row.
    """
    if groups is None and copies is not None and len(set(copies)) < n:
        return _of_copies(_lots(n, copies), repeats, k, seed, classes)
    lots = _lots(n, groups)
    if len(lots) < k + 1:
        what = "groups of molecules (scaffolds, clusters)" if groups is not None else "usable rows"
        raise DataError(f"{k} folds of {len(lots)} {what}: a fold would be empty or leave none to validate. Give more rows or fewer folds.")
    found = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        order = rng.permutation(len(lots))
        pieces = _by_class(order, k, classes) if groups is None and classes is not None else _deal(lots, order, k, groups is not None)
        for fold, test in enumerate(pieces):
            rest = np.setdiff1d(np.arange(n), test)
            val = _validation(rest, max(1, round(VALIDATION * n)), rng, groups, classes)
            found.append(Fold(repeat, fold, np.setdiff1d(rest, val), val, test))
            if not len(found[-1].train):
                raise DataError(f"fold {found[-1].name} leaves no row to train on: too few groups of molecules. Use a random split.")
    return found


def _of_copies(lots: list[np.ndarray], repeats: int, k: int, seed: int, classes: np.ndarray | None) -> list[Fold]:
    """Folds of one row for each structure; its other rows go with it."""
    of_first = None if classes is None else np.array([classes[rows[0]] for rows in lots])

    def whole(chosen: np.ndarray) -> np.ndarray:
        return np.sort(np.concatenate([lots[j] for j in chosen])) if len(chosen) else chosen

    few = folds(len(lots), repeats, k, seed, None, of_first)
    return [Fold(f.repeat, f.fold, whole(f.train), whole(f.val), whole(f.test), f.share) for f in few]


def _lots(n: int, groups: Sequence[str] | None) -> list[np.ndarray]:
    if groups is None:
        return [np.array([row]) for row in range(n)]
    members: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(groups):
        members[name].append(row)
    return [np.array(rows) for rows in members.values()]


def _by_class(order: np.ndarray, k: int, classes: np.ndarray) -> list[np.ndarray]:
    """Rows in their order, class after class, dealt like cards."""
    order = order[np.argsort(classes[order], kind="stable")]
    return [np.sort(order[piece::k]) for piece in range(k)]


def _deal(lots: list[np.ndarray], order: np.ndarray, k: int, grouped: bool) -> list[np.ndarray]:
    drawn = [lots[j] for j in order]
    if not grouped:
        return [np.sort(part) for part in np.array_split(np.concatenate(drawn), k)]
    pieces: list[list[int]] = [[] for _ in range(k)]
    for lot in sorted(drawn, key=len, reverse=True):  # stable: equal ones stay in the order that was drawn
        min(pieces, key=len).extend(lot.tolist())
    return [np.array(sorted(piece), dtype=np.int64) for piece in pieces]


def _validation(
    rest: np.ndarray, wanted: int, rng: np.random.Generator, groups: Sequence[str] | None, classes: np.ndarray | None
) -> np.ndarray:
    order = rng.permutation(rest)
    if groups is None and classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
        return np.sort(order[((np.arange(wanted) + 0.5) * len(order) / wanted).astype(np.int64)])
    if groups is None:
        return np.sort(order[:wanted])
    chosen: list[int] = []
    members: dict[str, list[int]] = defaultdict(list)
    for row in order:
        members[groups[row]].append(int(row))
    for rows in members.values():
        if len(chosen) + len(rows) <= wanted or not chosen:
            chosen += rows
    return np.array(sorted(chosen), dtype=np.int64)
