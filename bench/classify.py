"""Sets of graphs, and how classifiers are trained on them: what `tu.py` and `expressivity.py` share."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx
import numpy as np
import torch
from common import DATA
from torch import Tensor
from torch.nn import functional as F

from heliograph.data.sources.graphs import Graphs
from heliograph.data.targets import Target, Targets
from heliograph.graph import Graph
from heliograph.learn import FitConfig, Job, Objective, Supervised
from heliograph.learn.figures import Epoch, Metrics
from heliograph.model import MPNN


@dataclass(frozen=True)
class Labelled:
    """Graphs with one-hot tags as `x` [N, tags] and ones as `edge_attr` [E, 1], and their classes [G]."""

    graphs: list[Graph]
    y: Tensor
    tags: int

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1


def text(path: str) -> Labelled:
    """The text format of Xu et al. 2019: a line "n label" for each graph, then n lines "tag degree neighbour neighbour ..."."""
    with gzip.open(DATA / path, "rt") as file:
        rows = iter(file.read().splitlines())
    raw, labels = [], []
    for _ in range(int(next(rows))):
        n, label = map(int, next(rows).split())
        nodes = [list(map(int, next(rows).split())) for _ in range(n)]
        raw.append((n, [(k, neighbour) for k, node in enumerate(nodes) for neighbour in node[2:]], [node[0] for node in nodes]))
        labels.append(label)
    return _labelled(raw, labels)


def csl() -> Labelled:
    """Circular skip link graphs, 150 of 10 classes (Murphy et al. 2019, arXiv:1903.02541)."""
    with np.load(DATA / "expressivity" / "csl.npz") as file:
        edges, y, n = file["edges"].astype(int), file["y"], int(file["n_nodes"])
    return _labelled([(n, [*map(tuple, e), *map(tuple, e[:, ::-1])], [0] * n) for e in edges], y)


def sr25() -> Labelled:
    """The 15 strongly regular graphs with parameters (25, 12, 5, 6), each its own class."""
    graphs = networkx.read_graph6(DATA / "expressivity" / "sr251256.g6")
    return _labelled([(25, [e for a, b in g.edges for e in ((a, b), (b, a))], [0] * 25) for g in graphs], range(len(graphs)))


def _labelled(raw: Sequence[tuple[int, list[tuple[int, int]], list[int]]], labels: Sequence[int]) -> Labelled:
    tags = {tag: k for k, tag in enumerate(sorted({tag for *_, tags in raw for tag in tags}))}
    kinds = {label: k for k, label in enumerate(sorted(set(map(int, labels))))}
    graphs = []
    for n, edges, own in raw:
        senders, receivers = torch.tensor(sorted(set(edges)), dtype=torch.long).view(-1, 2).T
        x = F.one_hot(torch.tensor([tags[t] for t in own]), len(tags)).float()
        graphs.append(
            Graph.build(senders, receivers, [n], [len(senders)], nodes={"x": x}, edges={"edge_attr": torch.ones(len(senders), 1)})
        )
    return Labelled(graphs, torch.tensor([kinds[int(label)] for label in labels]), len(tags))


def folds(y: Tensor, k: int, seed: int, together: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows to train and rows held out, k times, stratified; runs of `together` rows stay on one side."""
    from sklearn.model_selection import StratifiedKFold

    first = y[::together].numpy()
    for parts in StratifiedKFold(k, shuffle=True, random_state=seed).split(np.zeros(len(first)), first):
        train, held = ((together * torch.from_numpy(part)[:, None] + torch.arange(together)).flatten() for part in parts)
        yield train, held


@dataclass(frozen=True)
class Drawn:
    """The graphs as a source; with `rows`, each training batch is drawn anew from all of these."""

    data: Graphs
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.data)

    def drawn(self, rows: np.ndarray, step: int) -> np.ndarray:
        return rows if self.rows is None else np.random.default_rng(step).permutation(self.rows)[: len(rows)]

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        return self.data.batch(rows, step)

    def targets(self, rows: np.ndarray) -> Targets:
        return self.data.targets(rows)


class Classes(Objective):
    """Cross entropy; it counts errors as each batch came, and has enough after so many epochs in a row without one (0: never)."""

    def __init__(self, enough: int = 0):
        super().__init__()
        self.inner, self.enough, self.wrong, self.perfect = Supervised({"y": "ce"}), enough, 0, 0

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        return self.inner.outputs(model, graph, targets)

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        self.wrong += int((outputs["y"].argmax(1) != targets["y"].value).sum()) if outputs["y"].requires_grad else 0
        return self.inner.losses(outputs, targets)

    def counts(self, targets: Targets) -> dict[str, float]:
        return self.inner.counts(targets)

    def stop(self, row: Epoch) -> bool:
        self.perfect, self.wrong = 0 if self.wrong else self.perfect + 1, 0
        return self.perfect == self.enough > 0


def training(
    data: Labelled, build: Callable[[], MPNN], fit: FitConfig, rows: Tensor, watched: Tensor | None = None, steps: int = 0, enough: int = 0
) -> Job:
    """A training on `rows`, whose accuracy in percent on the rows that are `watched` is noted after each epoch: the best of these is kept,
    without such the last. With `steps`, an epoch has so many batches drawn from all rows; `enough` as `Classes` has it."""

    def accuracy(outputs: Mapping[str, Tensor], rows: np.ndarray) -> Metrics:
        return {"mean": {"accuracy": 100 * float((outputs["y"].argmax(1) == data.y[rows]).float().mean())}}

    given, objective = rows.numpy(), Classes(enough)
    source = Drawn(Graphs(data.graphs, [{"y": Target(y[None])} for y in data.y]), given if steps else None)
    train, val = np.resize(given, steps * fit.batch_size) if steps else given, given[:0] if watched is None else watched.numpy()
    return Job(source, {"train": train, "val": val}, build, objective, fit, accuracy, ("accuracy",), stop=objective.stop, unit="graphs")


def halved(lr: float, every: int, epochs: int, **more: Any) -> FitConfig:
    """A rate that is halved every so many epochs."""
    return FitConfig(epochs=epochs, warmup_epochs=0, max_lr=lr, final_lr=lr * 0.5 ** (epochs / every), schedule="halving", **more)
