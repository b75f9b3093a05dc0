"""Tests of learners on the same folds that hold although the folds share molecules; `bench/calibration.py` measures that they do.

What a report concludes rests on `pairs` (by mean scores, with intervals and `letters`); `anova`, `friedman` and `diagram` show the same
from other sides, `holm` is for a few questions asked in advance, such as whether a learner beats each baseline.
"""

from __future__ import annotations

from heliograph.compare.statistics.letters import letters
from heliograph.compare.statistics.multiple import Anova, anova, holm, pairs
from heliograph.compare.statistics.paired import Needed, Paired, Practical, needed, paired, practical
from heliograph.compare.statistics.ranks import Diagram, Friedman, diagram, friedman
from heliograph.compare.statistics.scores import Scores, mean_over_tasks

__all__ = [
    "Anova",
    "Diagram",
    "Friedman",
    "Needed",
    "Paired",
    "Practical",
    "Scores",
    "anova",
    "diagram",
    "friedman",
    "holm",
    "letters",
    "mean_over_tasks",
    "needed",
    "paired",
    "pairs",
    "practical",
]
