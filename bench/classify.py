"""Sets of graphs, and the plain training of a classifier on them: what `tu.py` and `expressivity.py` share."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import networkx
import numpy as np
import torch
from common import DATA
from torch import Tensor
from torch.nn import functional as F

from heliograph.batching import batch
from heliograph.graph import Graph
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


def passes(rows: Tensor, size: int) -> Iterator[Tensor]:
    """All rows in random batches; a last one of a single graph is left out, since batch norm needs two."""
    shuffled = rows[torch.randperm(len(rows))].split(size)
    yield from shuffled if len(shuffled[-1]) > 1 or len(shuffled) == 1 else shuffled[:-1]


def draws(rows: Tensor, size: int, steps: int) -> Iterator[Tensor]:
    """`steps` random batches, each drawn from all rows."""
    for _ in range(steps):
        yield rows[torch.randperm(len(rows))[:size]]


def train(
    net: MPNN, data: Labelled, epoch: Callable[[], Iterator[Tensor]], held: Tensor, epochs: int, lr: float, half: int, enough: int = 0
) -> list[float]:
    """Accuracy in percent on the rows held out after each epoch; Adam, the rate halved every `half` epochs; where the network is.

    What the network's view makes of each graph is made once; the network has no view afterwards. With `enough`, training ends after so
    many epochs in a row that had every row right, as each batch came.
    """
    device = next(net.parameters()).device
    y = data.y.to(device)
    graphs = data.graphs if net.view is None else [net.view(graph) for graph in data.graphs]
    net.view = None
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, half, 0.5)
    together = [batch([graphs[k] for k in part]).to(device) for part in held.split(256)]
    accuracies: list[float] = []
    perfect = 0
    for _ in range(epochs):
        net.train()
        wrong = 0
        for part in epoch():
            optimizer.zero_grad()
            z = net(batch([graphs[k] for k in part]).to(device))["y"]
            F.cross_entropy(z, y[part]).backward()
            optimizer.step()
            wrong += int((z.argmax(1) != y[part]).sum())
        schedule.step()
        net.eval()
        with torch.no_grad():
            found = torch.cat([net(graph)["y"].argmax(1) for graph in together])
        accuracies.append(100 * float((found == y[held]).float().mean()))
        perfect = 0 if wrong else perfect + 1
        if enough and perfect == enough:
            break
    return accuracies
