"""Blank cells of a table of nodes filled in, and cells that look wrong: each is predicted from the other cells and the neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field, PositiveInt

from heliograph import zoo
from heliograph.data.columns import Column
from heliograph.data.formats.graph_tables import as_text
from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import LARGE, Nodes
from heliograph.data.splits import random_split
from heliograph.errors import DataError, UsageError, suggest
from heliograph.learn import ensemble
from heliograph.learn.config import FitConfig, Group
from heliograph.learn.job import Job
from heliograph.learn.objectives.masked import Cells, Masked, hide
from heliograph.learn.progress import Lines, Progress
from heliograph.learn.state import network as network_of
from heliograph.model import MPNN, Inputs
from heliograph.onegraph.asked import free, write_table
from heliograph.onegraph.baselines import adjacency
from heliograph.onegraph.config import GraphDataConfig
from heliograph.onegraph.data import OneGraph, load
from heliograph.onegraph.networks import Network, optimizer

FOLDS = 4  # networks: the cells of a quarter of the rows are judged by the one that did not learn to find them
TIMES = 10  # that a network answers, a tenth of the cells hidden at each
FAR, RARE = 5.0, 0.05  # robust standard deviations, and probability, beyond which a cell looks wrong


class ImputeConfig(Group):
    """Which table, and how its cells are learned."""

    data_path: Path = Field(description="table of nodes (CSV, TSV, Parquet)")
    edges: Path = Field(description="table of edges")
    columns: tuple[str, ...] | None = Field(default=None, description="columns to learn and to fill (default: all that are features)")
    arch: str = Field(default="sage", description="a file of the zoo, or none: from the row's other cells alone")
    epochs: PositiveInt = Field(default=200, description="steps of the training, on the whole graph")
    seed: int = Field(default=0, ge=0, description="everything random follows from it")
    output_path: Path = Field(default=Path("filled.csv"), description="where to write; the name's ending says the format")


@dataclass(frozen=True)
class Imputed:
    """What came of it. By column: `filled` and `suspect` cells, and `scores` of the known cells, each judged while hidden.

    A score is (its name, the network's, that of the column's mean or majority, that of the neighbours' mean or majority).
    """

    rows: int
    filled: dict[str, int]
    suspect: dict[str, int]
    scores: dict[str, tuple[str, float, float, float]]


def impute(config: ImputeConfig, *, overwrite: bool = False, progress: Progress | None = None) -> Imputed:
    """Write the table with blanks filled, and columns `imputed` and `suspect` that name cells. Raises UsageError, DataError."""
    progress = progress or Lines()
    if config.output_path.exists() and not overwrite:
        raise UsageError(f"{config.output_path} exists: --overwrite replaces it, or choose another -o")
    graph = load(GraphDataConfig(feature_columns=config.columns), (config.data_path, config.edges))
    if graph.store.E > LARGE:
        raise UsageError(f"impute takes the whole graph at each step, and {graph.store.E:,} edges are too many")
    columns, cells, X, known = _cells(graph)
    store = graph.store.with_columns(x=np.concatenate([X, known], 1).astype(np.float32))
    fold = np.random.default_rng([config.seed, 9]).permutation(np.arange(graph.N) % FOLDS)
    found = np.zeros_like(X, dtype=np.float64)
    for k, model in enumerate(_learned(config, store, cells, known, fold)):
        progress("imputing", k, FOLDS)
        said, own = _answers(model, store, cells, known, config.seed), np.repeat((fold == k)[:, None] & known, [c.width for c in cells], 1)
        found += said * np.where(np.repeat(known, [c.width for c in cells], 1), own, 1 / FOLDS)
    wrong = _suspect(cells, X, known, found)
    scores = {c.name: _score(c, k, X, known, found, adjacency(graph.store)) for k, c in enumerate(cells)}
    _write(config, graph, columns, cells, known, found, wrong)
    each = lambda m: {c.name: int(m[:, k].sum()) for k, c in enumerate(cells)}  # noqa: E731
    return Imputed(graph.N, each(~known), each(wrong), scores)


def _cells(graph: OneGraph) -> tuple[list[Column], list[Cells], np.ndarray, np.ndarray]:
    """Columns, their values [N, V] (zero where blank), and which cells are known [N, C] bool."""
    assert graph.node_table is not None
    columns = [c for c in graph.encoders.nodes.columns if c.kind != "vector"]
    if not columns:
        raise DataError(f"{graph.node_table.name} has no column of numbers or of few different values to learn")
    table, cells, values, known, start = graph.node_table.cells.take(pa.array(graph.node_rows)), [], [], [], 0
    for column in columns:
        x = column.encode(table[column.name])
        width = column.features - column.gaps
        there = x[:, -1] == 0 if column.gaps else np.ones(len(x), bool)
        if column.kind == "category":
            there &= x[:, :width].sum(1) > 0
        values.append(np.where(there[:, None], x[:, :width], 0.0))
        known.append(there)
        cells.append(Cells(column.name, start, width, column.kind))  # type: ignore[arg-type]  # no vectors
        start += width
    return columns, cells, np.concatenate(values, 1), np.stack(known, 1)


def _learned(config: ImputeConfig, store: GraphStore, cells: list[Cells], known: np.ndarray, fold: np.ndarray) -> Iterator[MPNN]:
    """A network a fold, which sees all rows and learns to find the cells of the other folds."""
    V, C = sum(c.width for c in cells), len(cells)
    args: dict[str, Any] = {}
    if config.arch != "none":
        if config.arch not in zoo.names():
            raise UsageError(f"--arch {config.arch}: it is a name of the zoo, or none; {suggest(config.arch, zoo.names())}")
        args = zoo.resolved(zoo.load(config.arch), {"d": 64, "depth": 2})
    network = Network(config.arch, args, Inputs(V + C, store.edge_width), V, "node")
    folds = []
    for k in range(FOLDS):
        others = np.flatnonzero(fold != k)
        parts = random_split(len(others), (0.9, 0.1, 0.0), config.seed)
        folds.append({part: others[rows] for part, rows in parts.items()})
    job = Job(
        source=Nodes(store, {"cells": torch.from_numpy(known.astype(np.float32))}), parts=folds[0], folds=tuple(folds), members=FOLDS,
        build=network, objective=Masked(cells),
        fit=FitConfig(
            epochs=config.epochs, batch_size=max(store.N, 2), init_lr=1e-2, max_lr=1e-2, final_lr=1e-3, warmup_epochs=0,
            weight_decay=1e-4, seed=config.seed,
        ),
        optimizer=optimizer, unit="nodes",
    )  # fmt: skip
    for member in ensemble.train(job, Lines(lambda text: None))[1]:
        yield network_of(job, member).eval()


def _answers(model: MPNN, store: GraphStore, cells: list[Cells], known: np.ndarray, seed: int) -> np.ndarray:
    """What the network says of each cell while it is hidden, [N, V]: numbers, probabilities. A blank cell gets the mean of all answers."""
    time = np.random.default_rng([seed, 7]).integers(0, TIMES, known.shape)
    total, graph = np.zeros((store.N, sum(c.width for c in cells))), store.graph()
    of = np.repeat(np.arange(len(cells)), [c.width for c in cells])
    for k in range(TIMES):
        hidden = (time == k) & known
        with torch.no_grad():
            y = model(hide(graph, torch.from_numpy(hidden), cells))["y"]
        parts = [y[:, c.start : c.start + c.width] for c in cells]
        p = [v.softmax(-1) if c.kind == "category" else v.sigmoid() if c.kind == "flag" else v for c, v in zip(cells, parts, strict=True)]
        total += torch.cat(p, 1).double().numpy() * np.where(known, hidden, 1 / TIMES)[:, of]
    return total


def _suspect(cells: list[Cells], X: np.ndarray, known: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Known cells that are far from what is predicted, [N, C] bool."""
    wrong = np.zeros_like(known)
    for k, c in enumerate(cells):
        x, y = X[:, c.start : c.start + c.width], found[:, c.start : c.start + c.width]
        if c.kind == "number":
            error = x[:, 0] - y[:, 0]
            middle = np.median(error[known[:, k]]) if known[:, k].any() else 0.0
            spread = 1.4826 * np.median(np.abs(error[known[:, k]] - middle)) if known[:, k].any() else 0.0
            wrong[:, k] = np.abs(error - middle) > FAR * max(spread, 1e-9)
        else:
            p = np.where(x[:, 0] > 0, y[:, 0], 1 - y[:, 0]) if c.kind == "flag" else (x * y).sum(1)
            wrong[:, k] = p < RARE
    return wrong & known


def _score(c: Cells, k: int, X: np.ndarray, known: np.ndarray, found: np.ndarray, A: Any) -> tuple[str, float, float, float]:
    """Of all known cells: the error of numbers in standard deviations, else the share that is right."""
    x, seen = X[:, c.start : c.start + c.width], known[:, k]
    rows = np.flatnonzero(seen)
    mean = x[rows].mean(0) if len(rows) else np.zeros(c.width)
    count = A @ seen.astype(np.float64)
    near = np.where(count[:, None] > 0, (A @ (x * seen[:, None])) / count.clip(min=1)[:, None], mean)
    answers = (found[:, c.start : c.start + c.width], np.repeat(mean[None], len(X), 0), near)
    if c.kind == "number":
        return "rmse", *(float(np.sqrt(np.square(a[rows, 0] - x[rows, 0]).mean())) for a in answers)  # type: ignore[return-value]
    right = [(a[rows, 0] > 0.5) == (x[rows, 0] > 0) if c.kind == "flag" else a[rows].argmax(1) == x[rows].argmax(1) for a in answers]
    return "accuracy", *(float(r.mean()) for r in right)  # type: ignore[return-value]


def _write(
    config: ImputeConfig, graph: OneGraph, columns: list[Column], cells: list[Cells], known: np.ndarray, found: np.ndarray,
    wrong: np.ndarray,
) -> None:  # fmt: skip
    assert graph.node_table is not None
    table = graph.node_table.cells
    named = {"imputed": [""] * len(table), "suspect": [""] * len(table)}
    for column, c, there, bad in zip(columns, cells, known.T, wrong.T, strict=True):
        texts = as_text(table[c.name]).to_pylist()
        for node in np.flatnonzero(~there):
            texts[graph.node_rows[node]] = _text(column, found[node, c.start : c.start + c.width])
        table = table.set_column(table.column_names.index(c.name), c.name, pa.array(texts))
        for name, mask in (("imputed", ~there), ("suspect", bad)):
            for node in np.flatnonzero(mask):
                row = graph.node_rows[node]
                named[name][row] += f"{'; ' if named[name][row] else ''}{c.name}"
    for name, values in named.items():
        table = table.append_column(free(name, table), pa.array(values))
    write_table(table, config.output_path)


def _text(column: Column, y: np.ndarray) -> str:
    """An answer as a cell of its column."""
    if column.kind == "number":
        return f"{float(y[0]) * column.std + column.mean:.6g}"
    return str(int(y[0] > 0.5)) if column.kind == "flag" else column.categories[int(y.argmax())]
