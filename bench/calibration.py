"""How often the tests of a comparison tell learners apart: equal ones (at most 8 % of the time at a level of 5 %), and unequal ones.

    python bench/calibration.py [--trials 300] [--only ridge classes ...] [-o FILE.jsonl]

A trial is a fresh data set from a pool of 100,000 rows and a real 5 x 5 cross-validation of small learners, whose table of scores goes
through `heliograph.compare.statistics`. Equal risk: the target is a sum of the same function of each quarter of the features and each
learner sees one quarter, so that none is better, but on any data set one looks so. Seeds: one randomised learner, a new seed for each
fit. Procedures marked * are offered; beside them stands what they correct: the same with overlap forgotten, ranks by their measured
variance, one spread for all pairs, one seed for all folds. "limits" is where the correction is too careful (trees, whose scores
depend on chance in their training more than on which rows they are tested) and where it is at its edge (100 rows). Two learners alone
get five times as many trials, which cost little.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import machine
from scipy import stats
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from heliograph.compare.statistics import Scores, anova, diagram, friedman, holm, mean_over_tasks, paired, pairs, practical
from heliograph.compare.statistics.paired import critical
from heliograph.learn.metrics import roc_auc

POOL, K, REPEATS, WIDTH, MORE = 100_000, 5, 5, 5, 5
NAMES = tuple("abcdefghijkl")
ROPE = 0.2  # of the mean score: wide enough that 200 rows can show equivalence at all

Rng = np.random.Generator
Finds = Callable[[Scores], bool]
Questions = dict[str, Finds]


class World(NamedTuple):
    """Learners on data sets: `table` makes scores [25, L] from x [n, 20], y [n]."""

    name: str
    learner: str
    table: Callable[[np.ndarray, np.ndarray, Rng], np.ndarray]
    rows: int
    smaller_is_better: bool = True


# ---- tables of scores


def symmetric(planted: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Pool x [P, 20], y [P]: the same function of each quarter, and noise. `planted` takes from the second quarter for the first."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((POOL, 4 * WIDTH))
    part = x.reshape(POOL, 4, WIDTH)
    y = part.sum(2) + 0.5 * part[:, :, 0] ** 2  # [P, 4]
    return x, y @ np.array([1 + planted, 1 - planted, 1, 1]) + 2 * rng.standard_t(5, POOL)


def quarters(x: np.ndarray) -> list[np.ndarray]:
    return [x[:, k * WIDTH : (k + 1) * WIDTH] for k in range(4)]


def splits(rows: int, rng: Rng) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Train and test rows of each fold of each repeat."""
    for _ in range(REPEATS):
        parts = np.array_split(rng.permutation(rows), K)
        yield from ((np.concatenate(parts[:k] + parts[k + 1 :]), parts[k]) for k in range(K))


def ridge(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predictions for the test rows; penalty 1."""
    mean, level = x[train].mean(0), y[train].mean(0)
    a = x[train] - mean
    return (x[test] - mean) @ np.linalg.solve(a.T @ a + np.eye(a.shape[1]), a.T @ (y[train] - level)) + level


def logistic(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Log-odds of the test rows after eight Newton steps; penalty 1."""
    a = np.column_stack([x[train], np.ones(len(train))])
    penalty = np.diag([1.0] * x.shape[1] + [0.0])
    w = np.zeros(a.shape[1])
    for _ in range(8):
        p = 1 / (1 + np.exp(-(a @ w)))
        w = w + np.linalg.solve((a * (p * (1 - p))[:, None]).T @ a + penalty, a.T @ (y[train] - p) - penalty @ w)
    return x[test] @ w[:-1] + w[-1]


def rmse(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.sqrt(((y - p) ** 2).mean(0))


def on_views(views: list[np.ndarray], y: np.ndarray, rng: Rng) -> np.ndarray:
    """RMSE of a ridge regression on each view of the same rows."""
    return np.array([[rmse(y[test], ridge(view, y, train, test)) for view in views] for train, test in splits(len(y), rng)])


def with_ridge(x: np.ndarray, y: np.ndarray, rng: Rng) -> np.ndarray:
    return on_views(quarters(x), y, rng)


def with_classes(x: np.ndarray, y: np.ndarray, rng: Rng) -> np.ndarray:
    """ROC AUC of logistic regression: larger is better."""
    y = (y > 2).astype(float)
    return np.array([[roc_auc(y[test], logistic(part, y, train, test)) for part in quarters(x)] for train, test in splits(len(y), rng)])


def with_tasks(x: np.ndarray, y: np.ndarray, rng: Rng) -> np.ndarray:
    """Three targets in different units, of which two are correlated, averaged within each fold."""
    noise = rng.standard_normal((len(y), 2))
    y = np.stack([y, 10 * (y + noise[:, 0]), 0.1 * x.sum(1) + noise[:, 1]], axis=1)
    return mean_over_tasks(on_views(quarters(x), y, rng), y.std(0))


def with_trees(x: np.ndarray, y: np.ndarray, rng: Rng) -> np.ndarray:
    made = DecisionTreeRegressor(max_depth=4, random_state=0)
    return np.array([[np.abs(y[test] - made.fit(part[train], y[train]).predict(part[test])).mean() for part in quarters(x)]
                     for train, test in splits(len(y), rng)])  # fmt: skip


def with_seeds(x: np.ndarray, y: np.ndarray, rng: Rng) -> np.ndarray:
    """A tree with random thresholds, a new seed for each fit."""

    def fit(train: np.ndarray, test: np.ndarray) -> float:
        tree = ExtraTreeRegressor(max_depth=6, random_state=int(rng.integers(2**31)))
        return float(rmse(y[test], tree.fit(x[train], y[train]).predict(x[test])))

    return np.array([[fit(train, test) for _ in range(4)] for train, test in splits(len(y), rng)])


def with_one_seed(x: np.ndarray, y: np.ndarray, rng: Rng) -> np.ndarray:
    """Ridge on random features; a learner keeps the features of its seed on all folds."""
    return on_views([np.maximum(x @ rng.standard_normal((x.shape[1], 20)), 0) for _ in range(2)], y, rng)


def with_two_unstable(x: np.ndarray, y: np.ndarray, rng: Rng) -> np.ndarray:
    """Two learners see half of the features each, ten others all of them and a column of noise of their own."""
    noise = rng.standard_normal((10, len(y), 1))
    return on_views([x[:, :10], x[:, 10:], *(np.hstack([x, column]) for column in noise)], y, rng)


# ---- questions put to a table


def first(scores: Scores, learners: int, repeats: int = REPEATS) -> Scores:
    return replace(scores, values=scores.values[: repeats * K, :learners], learners=scores.learners[:learners])


def forgotten(scores: Scores) -> Scores:
    return replace(scores, overlap=0.0)


def divided(scores: Scores) -> bool:
    """Whether Nemenyi's test finds any difference."""
    return diagram(scores).bars != ((0, len(scores.learners) - 1),)


def measured_ranks(scores: Scores) -> bool:
    """The corrected test on two ranks with the variance that they have in this table; their correlation is 2/pi asin(rho)."""
    rho = 2 / math.pi * math.asin(scores.overlap / (1 + scores.overlap))
    return anova(replace(scores, values=stats.rankdata(scores.values, axis=1), overlap=rho / (1 - rho))).p < 0.05


def pooled(scores: Scores) -> bool:
    """Tukey's corrected test of the first two learners with one spread for all pairs."""
    J, L = scores.values.shape
    residual = scores.values - scores.values.mean(1, keepdims=True)
    residual = residual - residual.mean(0)
    error = math.sqrt(2 * (residual**2).sum() / ((J - 1) * (L - 1)) * scores.inflation)
    return abs(float(np.diff(scores.values.mean(0)[:2])[0])) > critical(0.95, (J - 1) * (L - 1), L) * error


def at_the_rope(scores: Scores, says: str) -> bool:
    """Whether the posterior says, with 95 %, that a is "better" by more than the rope, or "equivalent", where a is better by the rope."""
    rope = ROPE * float(scores.values.mean())
    values = scores.values - rope * np.eye(len(scores.learners))[0] * (1 if scores.smaller_is_better else -1)
    return getattr(practical(replace(scores, values=values), "a", "b", rope), says) > 0.95


TWO: Questions = {
    "* paired": lambda s: paired(s, "a", "b").differ,
    "* paired, 2 x 5": lambda s: paired(first(s, 2, 2), "a", "b").differ,
    "* paired, 1 x 5": lambda s: paired(first(s, 2, 1), "a", "b").differ,
    "  t over 25 folds": lambda s: bool(stats.ttest_rel(s.values[:, 0], s.values[:, 1]).pvalue < 0.05),
    "* practical: better, truth at the rope": partial(at_the_rope, says="better"),
    "* practical: equal, truth at the rope": partial(at_the_rope, says="equivalent"),
    "* nemenyi": divided,
    "  ranks, measured variance": measured_ranks,
}
MANY: Questions = {
    "* tukey": lambda s: any(pair.differ for pair in pairs(s)),
    "* holm, all against one": lambda s: min(holm([paired(s, "a", b).p for b in s.learners[1:]])) < 0.05,
    "* anova": lambda s: anova(s).p < 0.05,
    "  anova, overlap forgotten": lambda s: anova(forgotten(s)).p < 0.05,
    "* friedman": lambda s: friedman(s).p < 0.05,
    "* nemenyi": divided,
    "  nemenyi, overlap forgotten": lambda s: divided(forgotten(s)),
}
TWELVE: Questions = {
    "* tukey, the two": lambda s: paired(s, "a", "b", family=12).differ,
    "  tukey, the two, pooled spread": pooled,
}
POWER: Questions = {
    "* paired": TWO["* paired"],
    "* tukey, four learners": lambda s: paired(s, "a", "b", family=4).differ,
    "* nemenyi, four learners": lambda s: abs(np.subtract(*(dict(diagram(s).ranks)[n] for n in "ab"))) > diagram(s).distance,
    "* better, 95 %": lambda s: practical(s, "a", "b", 0).better > 0.95,
}
EQUAL: list[tuple[World, dict[int, Questions]]] = [
    (World("equal risk", "ridge", with_ridge, 200), {2: TWO}),
    (World("equal risk", "ridge", with_ridge, 500), {2: TWO}),
    (World("equal risk", "classes", with_classes, 200, False), {2: TWO}),
    (World("equal risk", "classes", with_classes, 500, False), {2: TWO}),
    (World("equal risk", "ridge", with_ridge, 200), {3: MANY, 4: MANY}),
    (World("equal risk", "ridge", with_ridge, 500), {3: MANY, 4: MANY}),
    (World("equal risk", "classes", with_classes, 200, False), {3: MANY, 4: MANY}),
    (World("equal risk", "classes", with_classes, 500, False), {3: MANY, 4: MANY}),
    (World("equal risk", "tasks", with_tasks, 500), {2: TWO}),
    (World("seeds", "random tree", with_seeds, 500), {2: TWO, 3: MANY, 4: MANY}),
    (World("one seed for all folds", "random features", with_one_seed, 500), {2: {"  paired": TWO["* paired"]}}),
    (World("two unstable of", "views", with_two_unstable, 500), {12: TWELVE}),
    (World("limits", "tree", with_trees, 500), {4: {"* tukey": MANY["* tukey"], "* nemenyi": divided}}),
    (World("limits", "small classes", with_classes, 100, False), {2: TWO}),
]


# ---- trials


def run(world: World, asked: dict[int, Questions], trials: int, planted: float = 0.0) -> tuple[dict[tuple[int, str], list[bool]], float]:
    """{(learners, procedure): whether it found a difference, per trial}, and by what share a's mean score is below b's."""
    x, y = symmetric(planted)
    found: dict[tuple[int, str], list[bool]] = {(L, name): [] for L, named in asked.items() for name in named}
    gaps = []
    for trial in range(trials * MORE if set(asked) == {2} else trials):
        rng = np.random.default_rng([world.rows, trial])
        rows = rng.choice(POOL, world.rows, replace=False)
        values = world.table(x[rows], y[rows], rng)
        gaps.append(1 - values[:, 0].mean() / values[:, 1].mean())
        scores = Scores(values, NAMES[: values.shape[1]], K, 1 / (K - 1), world.smaller_is_better)
        for (L, name), answers in found.items():
            answers.append(bool(asked[L][name](first(scores, L))))
    return found, float(np.mean(gaps))


class Results:
    """A table on the screen, JSON lines in the file."""

    def __init__(self, output: Path | None):
        self.output = output

    def write(self, line: dict[str, Any]) -> None:
        if self.output is not None:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            with open(self.output, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def rate(self, about: dict[str, Any], procedure: str, found: list[bool]) -> None:
        rate, ends = float(np.mean(found)), stats.binomtest(sum(found), len(found)).proportion_ci(method="wilson")
        low, high = round(float(ends.low), 3), round(float(ends.high), 3)
        self.write(about | {"procedure": procedure[2:], "offered": procedure.startswith("*"), "trials": len(found),
                            "rate": round(rate, 4), "rate_low_high": [low, high]})  # fmt: skip
        text = "  ".join(str(value) for value in about.values())
        print(f"{text:44s} {procedure:40s} {100 * rate:5.1f} %   ({100 * low:.1f} to {100 * high:.1f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300, help="data sets for each world (300)")
    parser.add_argument("--only", nargs="+", choices=sorted({world.learner for world, _ in EQUAL} | {"power"}), help="some worlds only")
    parser.add_argument("-o", "--output", type=Path, help="append JSON lines to this file")
    options = parser.parse_args()
    results = Results(options.output)
    protocol = {"command": f"calibration.py --trials {options.trials}", "level": 0.05, "cv": f"{REPEATS}x{K}"}
    results.write(machine(1) | protocol)
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for world, asked in EQUAL:
            if not options.only or world.learner in options.only:
                for (L, name), answers in run(world, asked, options.trials)[0].items():
                    results.rate({"world": world.name, "learner": world.learner, "rows": world.rows, "learners": L}, name, answers)
        for planted in (0.0, 0.03, 0.06, 0.1, 0.15, 0.2):
            if not options.only or "power" in options.only:
                found, gap = run(World("planted", "ridge", with_ridge, 500), {4: POWER}, options.trials, planted)
                for (_, name), answers in found.items():
                    results.rate({"world": "planted", "learner": "ridge", "rows": 500, "error_lower_by": round(gap, 3)}, name, answers)


if __name__ == "__main__":
    main()
