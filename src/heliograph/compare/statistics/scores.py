"""What learners scored on the folds of a repeated cross-validation: the one input of all tests here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.errors import DataError, UsageError, suggest


@dataclass(frozen=True, eq=False)
class Scores:
    """A table of scores: a row for each fold, a column for each learner. All learners see the same folds.

    `values` [J, L]: J = repeats x folds rows, the folds of a repeat together. Every fit has a seed of its own: a learner that keeps one
    seed on all folds is compared as that seed, and the better of two seeds is then found to be the better learner.
    `folds`: K of the K-fold splits. `overlap`: n_test / n_train, 1 / (K - 1) for K folds; n_train counts every molecule that the
    learners saw, those held out for early stopping or tuning too. The folds share molecules, so their differences are correlated,
    and a test that forgets it finds differences where there are none; `overlap` is what corrects for it, and 0 forgets it.
    Raises DataError for a score that is missing or infinite, UsageError where there is nothing to compare.
    """

    values: np.ndarray
    learners: tuple[str, ...]
    folds: int
    overlap: float
    smaller_is_better: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float64))
        if self.values.ndim != 2 or self.values.shape[1] != len(self.learners):
            raise UsageError(f"scores need a row per fold and a column for each of {len(self.learners)} learners, got {self.values.shape}")
        J, L = self.values.shape
        if L < 2 or len(set(self.learners)) < L:
            raise UsageError(f"a comparison needs at least two learners of different names, got {', '.join(self.learners) or 'none'}")
        if J < 2:
            raise UsageError(f"a comparison needs scores on at least two folds, got {J}: one says nothing about their spread")
        if self.folds < 1 or J % self.folds:
            raise UsageError(f"{J} rows of scores are not whole repeats of {self.folds} folds")
        if not (np.isfinite(self.overlap) and self.overlap >= 0):
            raise UsageError(f"overlap is n_test / n_train, a number from 0 on, got {self.overlap}")
        bad = np.argwhere(~np.isfinite(self.values))
        if len(bad):
            j, k = bad[0]
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise DataError(
                f"{self.learners[k]} has no finite score on fold {j % self.folds + 1} of repeat {j // self.folds + 1} "
                f"({self.values[j, k]}){more}: run the failed units again, or leave the learner out"
            )

    @property
    def repeats(self) -> int:
        return len(self.values) // self.folds

    @property
    def inflation(self) -> float:
        """Variance of the mean over all folds, in units of the variance between folds.

        1/J + n_test/n_train instead of the 1/J of independent folds: C. Nadeau, Y. Bengio, Inference for the generalization error,
        Machine Learning 52, 239 (2003); for repeated K-fold cross-validation: R. R. Bouckaert, E. Frank, PAKDD 2004, LNCS 3056, 3.
        It is an approximation: too small where little data makes the learners themselves vary (100 rows), too large for learners that
        vary by chance from fit to fit. `bench/calibration.py` measures both.
        """
        return 1 / len(self.values) + self.overlap

    def of(self, learner: str) -> np.ndarray:
        """The scores of one learner [J]."""
        if learner not in self.learners:
            raise UsageError(f"no scores of {learner!r}; {suggest(learner, self.learners)}")
        return np.asarray(self.values[:, self.learners.index(learner)])

    def only(self, learners: Sequence[str]) -> Scores:
        """The same folds with these learners, in this order."""
        values = np.stack([self.of(name) for name in learners], axis=1) if learners else self.values[:, :0]
        return Scores(values, tuple(learners), self.folds, self.overlap, self.smaller_is_better)

    def best_first(self) -> tuple[str, ...]:
        """Learners by mean score, the best first; equals in the order given."""
        mean = self.values.mean(0) if self.smaller_is_better else -self.values.mean(0)
        return tuple(self.learners[k] for k in np.argsort(mean, kind="stable"))


def mean_over_tasks(values: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """Scores of T tasks [J, L, T] -> [J, L]: the mean over tasks within each fold, which is where tasks of a molecule are correlated.

    `scale` [T]: what the scores of each task are divided by, so that a task in large units does not decide alone (for errors: those of
    predicting the mean, or the standard deviation of the target). A task that has no score on a fold for any learner (an AUC with one
    class only) is left out of that fold. Raises DataError where a task has a score for some learners only, or a fold has no task left.
    """
    values = np.asarray(values, dtype=np.float64)
    if scale is not None:
        values = values / np.asarray(scale, dtype=np.float64)
    missing = ~np.isfinite(values)
    some = np.asarray(missing.any(axis=1))  # [J, T]
    partly = np.argwhere(some & ~np.asarray(missing.all(axis=1)))
    if len(partly):
        j, t = partly[0]
        raise DataError(f"task {t + 1} has a score on row {j + 1} for some learners only: run the failed units again")
    empty = np.flatnonzero(some.all(axis=1))
    if len(empty):
        raise DataError(f"no task has a score on row {empty[0] + 1}")
    return np.asarray(np.where(missing, 0.0, values).sum(2) / (~missing).sum(2))
