"""The figures that a training leaves, typed and without torch: metrics with their directions, and epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["regression", "binary", "multiclass"]
Metrics = dict[str, dict[str, float]]  # target (or "mean" over targets) -> metric -> value


class Metric(NamedTuple):
    """What a reader must know of a metric: its name in words, its direction, and the power of the target's unit in it."""

    label: str
    higher_is_better: bool
    unit_power: int = 0


METRICS: dict[str, Metric] = {
    "rmse": Metric("RMSE", False, 1),
    "mae": Metric("MAE", False, 1),
    "mse": Metric("MSE", False, 2),
    "median_ae": Metric("median absolute error", False, 1),
    "max_error": Metric("largest error", False, 1),
    "r2": Metric("R²", True),
    "pearson": Metric("Pearson r", True),
    "spearman": Metric("Spearman ρ", True),
    "kendall": Metric("Kendall τ", True),
    "roc_auc": Metric("ROC-AUC", True),
    "pr_auc": Metric("PR-AUC", True),
    "accuracy": Metric("accuracy", True),
    "balanced_accuracy": Metric("balanced accuracy", True),
    "f1": Metric("F1", True),
    "mcc": Metric("Matthews correlation", True),
    "brier": Metric("Brier score", False),
    "log_loss": Metric("log loss", False),
    "ece": Metric("calibration error", False),
    "nll": Metric("negative log likelihood", False),
    "calibrated_nll": Metric("calibrated NLL", False),
    "mrr": Metric("mean reciprocal rank", True),
    "mean_rank": Metric("mean rank", False),
    "hits@1": Metric("hits@1", True),
    "hits@3": Metric("hits@3", True),
    "hits@10": Metric("hits@10", True),
    "recall@20": Metric("recall@20", True),
    "ndcg@20": Metric("NDCG@20", True),
}
ALIASES = {
    "roc": "roc_auc",
    "auc": "roc_auc",
    "prc": "pr_auc",
    "prc_auc": "pr_auc",
    "average_precision": "pr_auc",
    "bce": "log_loss",
    "ce": "log_loss",
    "cross_entropy": "log_loss",
    "acc": "accuracy",
}


def metric(name: str) -> Metric:
    """The metric's label and direction; a name of one's own counts as an error: lower is better."""
    key = name.lower().replace("-", "_")
    return METRICS.get(ALIASES.get(key, key), Metric(name, False))


class Epoch(NamedTuple):
    """One epoch of one member of the ensemble (both from 0); NaN where a number does not exist."""

    member: int
    epoch: int
    train_loss: float
    val_loss: float = math.nan
    val_metrics: Mapping[str, float] = {}  # never changed
    learning_rate: float = math.nan
    gradient_norm: float = math.nan
    node_similarity: float = math.nan  # mean cosine similarity of node states within a molecule after the last layer: 1 = all alike
    seconds: float = math.nan
