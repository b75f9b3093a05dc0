"""The floor: what no network bounded by 1-WL can go below on a table, from the data alone.

    c^T(G) = {{ c_i^T : i in G }}          the colour of a graph after T rounds: the multiset of its nodes' colours (`heliograph.wl`)

A network of T message passing steps that starts from these features and adds nothing to them gives equal answers to graphs of equal
colour (Xu et al. 2019, arXiv:1810.00826, lemma 2; Morris et al. 2019, arXiv:1810.02244, theorem 1). So on rows that share a colour the
best it can do is one constant, and the best constants, chosen knowing the labels, are the floor:

    RMSE     the mean of each class              ROC-AUC     classes ranked by their share of ones, ties counted half
    MAE      the median of each class            accuracy    the most frequent label of each class

What is bounded: the error, on exactly the rows given, of *any* function of those colours, however wide, however long trained, whatever
its readout (a mean does not see how many nodes there are, a sum does; the multiset is the most that either could see). Given the
test rows of a fold it bounds the test error there. It is no estimate of an error that can be reached: a molecule alone in its class costs
nothing here, and the oracle knows the labels. For molecules yet to come it is optimistic.

What is not bounded: networks that read positions, structural encodings, or a feature that is not among `nodes` and `edges`. Steps
that weigh a message by its sender's degree (gcn and its kin) see one round further than they have steps; some architectures make
more rounds than they have layers (chebnet, appnp, sgc). The last floor, of settled colours, holds for all of these; `rounds_seen` asks a
network.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import nn

from heliograph.graph import Graph
from heliograph.learn.figures import Metrics
from heliograph.learn.metrics import evaluate
from heliograph.learn.task import Task
from heliograph.wl import multisets, refinements

OF_MEANS = {  # metrics that are best when each answer is the mean of its class (or the share of each label in it)
    "regression": ("rmse", "mse", "r2"),
    "binary": ("roc_auc", "accuracy", "brier", "log_loss"),
    "multiclass": ("accuracy", "roc_auc", "log_loss"),
}


@dataclass(frozen=True, eq=False)
class Classes:
    """`number` [T + 1, n]: which class each row is in after 0, 1, ..., T rounds. `settled`: further rounds split nothing any more."""

    number: np.ndarray
    settled: bool

    def at(self, rounds: int) -> np.ndarray:
        """Return the class of each graph after so many rounds, [n]; beyond the last round, those of the last."""
        return np.asarray(self.number[min(rounds, len(self.number) - 1)])

    def apart(self, i: int, j: int) -> int | None:
        """Return after how many rounds graphs i and j are first in different classes; None if they never are."""
        differ = np.flatnonzero(self.number[:, i] != self.number[:, j])
        return int(differ[0]) if len(differ) else None


@dataclass(frozen=True)
class Floor:
    """After `rounds` rounds: target (or "mean") -> metric -> the best any function of the colours can do on these rows.

    A floor for errors, a ceiling for scores. `classes` of equal colour; of these `shared` have more than one row, `rows` in all.
    """

    rounds: int
    metrics: Metrics
    classes: int
    shared: int
    rows: int


def graph_classes(graph: Graph, rounds: int | None = None, nodes: Sequence[str] = ("x",), edges: Sequence[str] = ("edge_attr",)) -> Classes:
    """Graphs of a batch by colour, after 0, 1, ... rounds until no node's colour splits, `rounds` at most.

    `nodes` and `edges`: the features that the networks in question start from; none of them: the skeleton.
    """
    by_graph = graph.topology.nodes_by_graph
    steps = refinements(graph, nodes, edges)
    number = [multisets(colour, by_graph).int().cpu().numpy() for colour in islice(steps, None if rounds is None else rounds + 1)]
    return Classes(np.stack(number), settled=next(steps, None) is None)


def structure_classes(smiles: Sequence[str]) -> Classes:
    """Rows of equal canonical SMILES: their floor is below every function of the structure, with or without 1-WL's limit."""
    return Classes(np.unique(np.asarray(smiles, dtype=str), return_inverse=True)[1].reshape(1, -1), settled=True)


def rounds_seen(net: nn.Module, graph: Graph, classes: Classes) -> int | None:
    """Which floor is a network's: the least number of rounds whose classes all have one answer each; None: it sees more than colours.

    `graph`: the rows of `classes`, with all that `net` reads. What its form allows is asked, not what its weights do: a copy gets weights
    drawn at one scale, since steps that begin small (as those of `gilmer`) or that training has silenced would not be seen. Answers are
    compared in float64, to 1e-12 of the largest.
    """
    y = _answers(net, graph)
    same = 1e-12 * np.abs(y).max(0)
    for rounds, number in enumerate(classes.number):
        order = np.argsort(number, kind="stable")
        first = np.flatnonzero(np.diff(number[order], prepend=-1))
        within = np.maximum.reduceat(y[order], first) - np.minimum.reduceat(y[order], first)  # [classes, out]
        if (within <= same).all():
            return rounds
    return None


@torch.no_grad()
def _answers(net: nn.Module, graph: Graph) -> np.ndarray:
    """[G, out] of a copy in float64 whose weights are normal, of variance 1 / fan-in; biases and what norms multiply by stay."""
    copied, generator = copy.deepcopy(net).double().eval(), torch.Generator().manual_seed(0)
    for p in copied.parameters():
        if p.dim() > 1 and p.numel():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / p[0].numel() ** 0.5)
    return np.asarray(copied(graph)["y"].cpu().numpy())


def floors(classes: Classes, task: Task, y: np.ndarray, rows: np.ndarray | None = None) -> list[Floor]:
    """Compute the floor after 0, 1, ... rounds on `rows` (None: all): what an oracle reaches that knows the labels of these very rows.

    `y` [n, tasks], NaN = missing; multiclass: indices of classes. Regression has rmse, mse, mae and r2; binary roc_auc, accuracy,
    brier and log_loss; multiclass accuracy, roc_auc and log_loss.
    """
    rows = np.arange(len(y)) if rows is None else np.asarray(rows)
    found: list[Floor] = []
    before: np.ndarray = np.empty(0, dtype=np.int64)
    for rounds, number in enumerate(classes.number):
        number = np.unique(number[rows], return_inverse=True)[1]
        same = found and len(np.unique(before * len(number) + number)) == found[-1].classes == number.max(initial=-1) + 1
        found.append(replace(found[-1], rounds=rounds) if same else _floor(rounds, number, task, y[rows]))
        before = number
    return found


def _floor(rounds: int, number: np.ndarray, task: Task, y: np.ndarray) -> Floor:
    size = np.bincount(number)
    means = np.stack([_means(number, column) for column in y.T], 1)  # [n, tasks]
    shares = _shares(number, task, y) if task.kind == "multiclass" else None
    metrics = evaluate(task, OF_MEANS[task.kind], y, means, shares)
    if task.kind == "regression":
        medians = np.stack([_medians(number, column) for column in y.T], 1)
        of_medians = evaluate(task, ("mae",), y, medians)
        metrics = {target: figures | of_medians[target] for target, figures in metrics.items()}
    return Floor(rounds, metrics, len(size), int((size > 1).sum()), int(size[size > 1].sum()))


def _means(number: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The mean of the labels there are in each row's class, [n]; NaN where the row has none."""
    there = np.isfinite(y)
    out = np.full(len(y), np.nan)
    if there.any():
        k = number[there]
        out[there] = (np.bincount(k, y[there]) / np.maximum(np.bincount(k), 1))[k]
    return out


def _medians(number: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same with medians."""
    there = np.isfinite(y)
    out = np.full(len(y), np.nan)
    _, k, count = np.unique(number[there], return_inverse=True, return_counts=True)
    values = y[there][np.lexsort((y[there], k))]  # by class, ascending within
    first = np.cumsum(count) - count
    out[there] = ((values[first + (count - 1) // 2] + values[first + count // 2]) / 2)[k]
    return out


def _shares(number: np.ndarray, task: Task, y: np.ndarray) -> np.ndarray:
    """How often each label stands in each row's class, [n, tasks, C]."""
    labels = np.arange(task.n_classes)
    one_hot = np.where(np.isfinite(y)[..., None], y[..., None] == labels, np.nan)  # [n, tasks, C]
    return np.stack([np.stack([_means(number, c) for c in of_task.T], 1) for of_task in one_hot.swapaxes(0, 1)], 1)
