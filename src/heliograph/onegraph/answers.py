"""Answers as tables: the parts of a run, and the rows of a user's table in their places."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliograph.files import atomic
from heliograph.learn.task import Task
from heliograph.onegraph.data import OneGraph

if TYPE_CHECKING:
    from heliograph.onegraph.assemble import Training

Answers = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


@contextmanager
def table(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """A CSV file, whole or not there."""
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield writer


def columns_of(task: Task, std: bool) -> list[str]:
    """Names of what is answered for each target: TARGET_pred, of classes their probabilities, and TARGET_std with an ensemble."""
    names = []
    for t, target in enumerate(task.targets):
        names.append(f"{target}_pred")
        if task.kind == "multiclass":
            names += [f"{target}_p_{c}" for c in task.classes[t]]
        if std:
            names.append(f"{target}_std")
    return names


def cells_of(task: Task, y: np.ndarray, p: np.ndarray | None, std: np.ndarray | None) -> list[str]:
    """The answers [T] of one row as text; nothing where there is none."""
    cells = []
    for t in range(len(task.targets)):
        known = np.isfinite(y[t])
        if task.kind == "multiclass":
            assert p is not None
            cells.append(task.classes[t][int(y[t])] if known else "")
            cells += [number(v) if known else "" for v in p[t, : len(task.classes[t])]]
        else:
            cells.append(number(y[t]))
        if std is not None:
            cells.append(number(std[t]) if known else "")
    return cells


def number(value: float) -> str:
    """A number with nine digits; nothing for NaN."""
    return f"{value:.9g}" if np.isfinite(value) else ""


def write_labelled(path: Path, training: Training, rows: np.ndarray, y: np.ndarray, p: np.ndarray | None, std: np.ndarray | None) -> None:
    """Labels and answers of some nodes or edges."""
    task, graph = training.task, training.graph
    nodes = training.network.level == "node"
    ids = graph.ids.to_pylist()
    head = ["id"] if nodes else list(graph.end_columns)
    assert training.y is not None
    with table(path, ["row", *head, *task.targets, *columns_of(task, std is not None)]) as writer:
        for k, r in enumerate(rows):
            which = [ids[r]] if nodes else [ids[e] for e in graph.ends[r]]
            row = graph.node_rows[r] if nodes else graph.edge_rows[r]
            truth = [_label(task, t, v) for t, v in enumerate(training.y[r])]
            writer.writerow(
                [
                    row,
                    *which,
                    *truth,
                    *cells_of(task, y[k], None if p is None else p[k], None if std is None else std[k]),
                ]
            )


def _label(task: Task, t: int, value: float) -> str:
    return task.classes[t][int(value)] if task.kind == "multiclass" and np.isfinite(value) else number(value)


def write_links(path: Path, graph: OneGraph, pairs: np.ndarray, y: np.ndarray, links: int) -> None:
    """Scores of `links` edges and of the pairs without one after them."""
    ids = graph.ids.to_pylist()
    with table(path, [*graph.end_columns, "link", "score"]) as writer:
        for k, (a, b) in enumerate(pairs):
            writer.writerow([ids[a], ids[b], int(k < links), number(float(y[k]))])
