"""Three learners and more on the same folds, by their mean scores.

Repeated-measures analysis of variance says whether there is any difference, Tukey's test which pairs differ. Both are corrected for
the molecules that folds share as the paired test is: the variance of a mean is that between folds times `Scores.inflation`.
Scores of good and of bad learners spread differently between folds. Therefore the analysis of variance has Huynh and Feldt's degrees
of freedom, and a pair is judged by its own spread: with a pooled one, two unstable learners among many similar ones are told apart
too often (`bench/calibration.py` measures it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from heliograph.compare.statistics.paired import Paired, paired
from heliograph.compare.statistics.scores import Scores


@dataclass(frozen=True)
class Anova:
    """One question: are all learners equal? `statistic` is F on `df` and `df_error` degrees of freedom, `p` its probability.

    `epsilon`: 1 where all differences spread equally, down to 1 / (L - 1); both degrees of freedom are already times it.
    """

    statistic: float
    df: float
    df_error: float
    epsilon: float
    p: float


def anova(scores: Scores) -> Anova:
    """Repeated-measures analysis of variance with folds as subjects, corrected for their overlap.

    F = [sum_l (mean_l - mean)² / (L - 1)] / [MS_error (1/J + n_test/n_train)]; without overlap it is the textbook's, and for two
    learners the square of the paired t. Degrees of freedom by H. Huynh, L. S. Feldt, J. Educ. Stat. 1, 69 (1976).
    """
    J, L = scores.values.shape
    mean = scores.values.mean(0)  # [L]
    between = float(((mean - mean.mean()) ** 2).sum()) / (L - 1)
    centred = scores.values - scores.values.mean(1, keepdims=True)  # [J, L] less the fold
    residual = centred - centred.mean(0)
    S = residual.T @ residual / (J - 1)  # [L, L] covariance of the learners within folds
    error = float(np.trace(S)) / (L - 1)
    if error <= (1e-12 * np.abs(scores.values).max()) ** 2:  # learners are constants apart, or equal
        equal = between <= error
        return Anova(0.0 if equal else float("inf"), L - 1, (L - 1) * (J - 1), 1.0, float(equal))
    greenhouse_geisser = float(np.trace(S)) ** 2 / ((L - 1) * float((S * S).sum()))
    below = J - 1 - (L - 1) * greenhouse_geisser
    epsilon = min(1.0, (J * (L - 1) * greenhouse_geisser - 2) / ((L - 1) * below)) if below > 1e-9 else greenhouse_geisser
    F, df, df_error = between / (error * scores.inflation), epsilon * (L - 1), epsilon * (L - 1) * (J - 1)
    return Anova(F, df, df_error, epsilon, float(stats.f.sf(F, df, df_error)))


def pairs(scores: Scores, level: float = 0.95) -> tuple[Paired, ...]:
    """All pairs of learners, those of the best first; their intervals hold together with probability `level`.

    Tukey's studentized range of L learners on J - 1 degrees of freedom, with each pair's own corrected standard error; for two
    learners it is the paired test.
    """
    return tuple(paired(scores, a, b, level, family=len(scores.learners)) for a, b in combinations(scores.best_first(), 2))


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """p values adjusted for being asked together, where not all pairs are (each learner against one baseline): S. Holm, Scand. J.
    Stat. 6, 65 (1979). In the order given."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.arange(len(order), 0, -1) * np.asarray(p, dtype=np.float64)[order]))
    return tuple(adjusted.tolist())
