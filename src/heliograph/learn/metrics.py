"""Figures of merit: per target over the labels there are, then the mean over targets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from heliograph.errors import UsageError, suggest
from heliograph.learn.figures import ALIASES, Kind, Metrics, metric
from heliograph.learn.task import Task

Score = Callable[[np.ndarray, np.ndarray], float]

_SMALLEST = float(np.finfo(np.float64).eps)  # probability that a log loss counts with at least, as scikit-learn does
DEFAULTS: dict[Kind, tuple[str, ...]] = {
    "regression": ("rmse", "mae", "r2"),
    "binary": ("roc_auc", "pr_auc", "accuracy", "mcc", "log_loss"),
    "multiclass": ("accuracy", "f1", "mcc", "log_loss"),
}


def resolve(names: Sequence[str], kind: Kind) -> tuple[str, ...]:
    """Canonical names; those asked for first, then the task's own. Raises UsageError for a name that is unknown or of another task."""
    known = OF_KIND[kind]
    asked = []
    for name in names:
        key = name.lower().replace("-", "_")
        key = ALIASES.get(key, key)
        if key not in known:
            elsewhere = [other for other, table in OF_KIND.items() if key in table and other != kind]
            why = f"is for {' and '.join(elsewhere)} targets, these are {kind}" if elsewhere else "is unknown"
            raise UsageError(f"--metrics {name}: this metric {why}; {suggest(key, known)}")
        asked.append(key)
    return tuple(dict.fromkeys([*asked, *DEFAULTS[kind]]))


def higher_is_better(name: str) -> bool:
    """The direction of a metric."""
    return metric(name).higher_is_better


def evaluate(task: Task, names: Sequence[str], truth: np.ndarray, y: np.ndarray, probabilities: np.ndarray | None = None) -> Metrics:
    """Metrics of answers `y` [n, T] against `truth` [n, T] (NaN = missing): {target or "mean": {metric: value}}.

    `probabilities` [n, T, C] for multiclass. A figure that can't be had (one class only, no labels) is NaN and left out of the mean.
    """
    figures: Metrics = {}
    for t, target in enumerate(task.targets):
        present = np.isfinite(truth[:, t]) & np.isfinite(y[:, t])
        p = None if probabilities is None else probabilities[present, t, : len(task.classes[t])]
        figures[target] = {name: score(task.kind, name, truth[present, t], y[present, t], p) for name in names}
    mean = {}
    for name in names:
        values = [v for target in task.targets if math.isfinite(v := figures[target][name])]
        mean[name] = float(np.mean(values)) if values else math.nan
    return {"mean": mean} | figures


def without_value(task: Task, figures: Metrics, truth: np.ndarray, part: str) -> list[str]:
    """Why some figures of a part have no value, in sentences; `truth` [n, T] as for `evaluate`."""
    found = []
    for t, target in enumerate(task.targets):
        names = [metric(name).label for name, value in figures[target].items() if not math.isfinite(value)]
        if not names:
            continue
        labels = truth[np.isfinite(truth[:, t]), t]
        if not len(labels):
            why = "has no label of it"
        elif len(np.unique(labels)) == 1 and task.kind != "regression":
            why = f"has {len(labels)} labels of one class only ({task.classes[t][int(labels[0])]})"
        elif len(np.unique(labels)) == 1:
            why = f"has {len(labels)} label{'s, all' if len(labels) > 1 else ','} {labels[0]:g}"
        else:
            why = "has answers that are all the same, or none"
        found.append(f"{target!r} has no {', '.join(names)}: the {part} part {why}.")
    return found


def score(kind: Kind, name: str, truth: np.ndarray, y: np.ndarray, probabilities: np.ndarray | None = None) -> float:
    """One metric of one target without missing values; NaN where it is not defined."""
    if len(truth) == 0:
        return math.nan
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if kind == "multiclass":
            assert probabilities is not None
            return float(_MULTICLASS[name](truth.astype(np.int64), probabilities))
        table = _REGRESSION if kind == "regression" else _BINARY
        return float(table[name](truth.astype(np.float64), y.astype(np.float64)))


def _r2(truth: np.ndarray, y: np.ndarray) -> float:
    spread = np.square(truth - truth.mean()).sum()
    return 1.0 - np.square(truth - y).sum() / spread if spread > 0 else math.nan


def _correlation(name: str) -> Score:
    def correlation(truth: np.ndarray, y: np.ndarray) -> float:
        from scipy import stats

        if len(truth) < 2 or np.ptp(truth) == 0 or np.ptp(y) == 0:
            return math.nan
        function = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}[name]
        return float(function(truth, y)[0])

    return correlation


def roc_auc(truth: np.ndarray, y: np.ndarray) -> float:
    """The share of pairs (a 1, a 0) in the right order, ties counted half; NaN where one class is missing."""
    positive = truth > 0.5
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if not n1 or not n0:
        return math.nan
    _, place, count = np.unique(y, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2.0)[place]  # mean rank of ties, from 1
    return float((rank[positive].sum() - n1 * (n1 + 1) / 2.0) / (n1 * n0))


def pr_auc(truth: np.ndarray, y: np.ndarray) -> float:
    """Average precision: the sum over thresholds of (gain in recall) x precision; NaN without a 1."""
    positive = truth > 0.5
    if not positive.any():
        return math.nan
    order = np.argsort(-y, kind="stable")
    last = np.append(np.flatnonzero(np.diff(y[order])), len(y) - 1)  # last row of each distinct score
    found = np.cumsum(positive[order])[last]
    precision, recall = found / (last + 1), found / positive.sum()
    return float((np.diff(np.append(0.0, recall)) * precision).sum())


def _confusion(truth: np.ndarray, chosen: np.ndarray, classes: int) -> np.ndarray:
    """[C, C], rows truth, columns chosen."""
    table = np.zeros((classes, classes))
    np.add.at(table, (truth.astype(np.int64), chosen.astype(np.int64)), 1.0)
    return table


def _mcc(table: np.ndarray) -> float:
    """Gorodkin 2004, eq. 8; zero where all truths or all choices are of one class."""
    n, right = table.sum(), np.trace(table)
    t, p = table.sum(1), table.sum(0)
    below = math.sqrt((n * n - (p * p).sum()) * (n * n - (t * t).sum()))
    return float((right * n - (t * p).sum()) / below) if below > 0 else 0.0


def _f1(table: np.ndarray) -> np.ndarray:
    """Per class; zero where a class is neither true nor chosen."""
    both = table.sum(0) + table.sum(1)
    return np.divide(2.0 * np.diag(table), both, out=np.zeros(len(table)), where=both > 0)


def _balanced(table: np.ndarray) -> float:
    there = table.sum(1) > 0
    return float((np.diag(table)[there] / table.sum(1)[there]).mean())


def _binary(of_table: Callable[[np.ndarray], float]) -> Score:
    return lambda truth, y: of_table(_confusion(truth, y >= 0.5, 2))


def _many(of_table: Callable[[np.ndarray], float]) -> Score:
    return lambda truth, p: of_table(_confusion(truth, p.argmax(1), p.shape[1]))


def _macro_f1(table: np.ndarray) -> float:
    there = (table.sum(0) + table.sum(1)) > 0
    return float(_f1(table)[there].mean())


def _log_loss(truth: np.ndarray, y: np.ndarray) -> float:
    p = np.clip(np.where(truth > 0.5, y, 1.0 - y), _SMALLEST, 1.0)
    return float(-np.log(p).mean())


def _multi_log_loss(truth: np.ndarray, p: np.ndarray) -> float:
    return float(-np.log(np.clip(p[np.arange(len(p)), truth], _SMALLEST, 1.0)).mean())


def _one_against_rest(truth: np.ndarray, p: np.ndarray) -> float:
    values = [roc_auc(truth == c, p[:, c]) for c in range(p.shape[1])]
    there = [v for v in values if math.isfinite(v)]
    return float(np.mean(there)) if there else math.nan


def _accuracy(table: np.ndarray) -> float:
    return float(np.trace(table) / table.sum())


_REGRESSION: dict[str, Score] = {
    "rmse": lambda t, y: math.sqrt(np.square(t - y).mean()),
    "mae": lambda t, y: float(np.abs(t - y).mean()),
    "r2": _r2,
    "mse": lambda t, y: float(np.square(t - y).mean()),
    "median_ae": lambda t, y: float(np.median(np.abs(t - y))),
    "max_error": lambda t, y: float(np.abs(t - y).max()),
    "pearson": _correlation("pearson"),
    "spearman": _correlation("spearman"),
    "kendall": _correlation("kendall"),
}
_BINARY: dict[str, Score] = {
    "roc_auc": roc_auc,
    "pr_auc": pr_auc,
    "accuracy": _binary(_accuracy),
    "balanced_accuracy": _binary(_balanced),
    "f1": _binary(lambda table: float(_f1(table)[1])),
    "mcc": _binary(_mcc),
    "brier": lambda t, y: float(np.square(t - y).mean()),
    "log_loss": _log_loss,
}
_MULTICLASS: dict[str, Score] = {
    "accuracy": _many(_accuracy),
    "balanced_accuracy": _many(_balanced),
    "f1": _many(_macro_f1),
    "mcc": _many(_mcc),
    "log_loss": _multi_log_loss,
    "roc_auc": _one_against_rest,
}
OF_KIND: dict[Kind, dict[str, Score]] = {"regression": _REGRESSION, "binary": _BINARY, "multiclass": _MULTICLASS}
