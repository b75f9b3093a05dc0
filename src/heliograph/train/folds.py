"""Members by folds: each member of an ensemble never sees one fold, so that every training molecule
is new to one of them.

Member k leaves out fold k, and chooses its best epoch on a part of fold k + 1, which it leaves out
too. Fold k's answers of member k are therefore honest: neither weights nor epochs were chosen on
them. The molecules that choose an epoch have two answers of members that were not trained on them,
k and k + 1, which tells how much averaging takes off an error (`averaging`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.errors import DataError

CHOOSING = 0.1  # of all molecules choose a member's best epoch, half of a fold at most
SMALLEST = 0.5  # that averaging may take an error down to


@dataclass(frozen=True, eq=False)
class Folds:
    """`rows` [n] of the store that train or validate, each one's `fold` [n], and the `parts` of
    every member.
    """

    rows: np.ndarray
    fold: np.ndarray
    parts: tuple[dict[str, np.ndarray], ...]


def divide(parts: Mapping[str, np.ndarray], members: int, groups: Sequence[str] | None, seed: int) -> Folds:
    """Divide training and validation molecules among `members` folds; rows of one group [G] (None:
    each its own) stay together.

    Raises DataError where there are fewer groups than folds, or folds of fewer than two molecules.
    """
    rows = np.sort(np.concatenate([parts["train"], parts["val"]]))
    random = np.random.default_rng([seed, 7])
    label = np.arange(len(rows)) if groups is None else np.unique([groups[r] for r in rows], return_inverse=True)[1]
    count = np.bincount(label)
    if len(count) < members or len(rows) < 4 * members:
        kind = "molecules" if groups is None else "groups"
        raise DataError(
            f"members by folds: {len(rows)} molecules in {len(count)} {kind} are too few for {members} folds. "
            "Give more data, a smaller --ensemble-size, or --members seeds."
        )
    fold_of = np.empty(len(count), dtype=np.int64)
    size = np.zeros(members)
    order = random.permutation(len(count))
    for group in order[np.argsort(-count[order], kind="stable")]:  # the largest first, each to the smallest fold
        fold_of[group] = int(size.argmin())
        size[fold_of[group]] += count[group]
    fold = fold_of[label]
    found = []
    for k in range(members):
        following = (k + 1) % members
        val = _some(label, count, np.flatnonzero(fold_of == following), len(rows), random)
        chooses = np.isin(label, val)
        train = (fold != k) & ~chooses
        found.append({"train": rows[train], "val": rows[chooses], "test": parts["test"]})
    return Folds(rows, fold, tuple(found))


def _some(label: np.ndarray, count: np.ndarray, groups: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
    """Groups of a fold that hold about CHOOSING of all molecules, and at most half of the fold's
    where there is a choice.
    """
    wanted = min(CHOOSING * n, count[groups].sum() / 2)
    order = random.permutation(groups)
    total = np.cumsum(count[order])
    return order[: max(1, int(np.searchsorted(total, wanted, side="right")))]


def averaging(first: np.ndarray, second: np.ndarray, truth: np.ndarray, members: int) -> float:
    """Return by what factor the mean of `members` has smaller errors than one of them, from two
    members' answers [n] to the same rows.

    With E the expectation over rows and s^2 = E (y_k - y_l)^2 / 2 the variance between members, the
    mean's squared error is E (y_k - t)^2 - s^2 (m - 1) / m: the ambiguity decomposition (Krogh &
    Vedelsby 1995). At least SMALLEST; 1 for too few rows.
    """
    if len(truth) < 20 or members < 2:
        return 1.0
    alone = float((np.square(first - truth) + np.square(second - truth)).mean()) / 2.0
    between = float(np.square(first - second).mean()) / 2.0
    if not alone > 0.0:
        return 1.0
    return math.sqrt(max(SMALLEST**2, 1.0 - between * (members - 1) / members / alone))
