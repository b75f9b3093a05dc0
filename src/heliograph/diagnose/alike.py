"""What can't be told apart and what stands twice: graphs that 1-WL takes for one, and copies across the parts of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from heliograph import wl
from heliograph.batching import batch
from heliograph.graph import Graph

SMALL = 64  # nodes of graphs that folklore 2-WL compares; larger ones by their spectra


@dataclass(frozen=True, eq=False)
class Alike:
    """Of G graphs with their features: `colours` after each round, over all nodes; groups of graphs that 1-WL takes for one.

    `twins`: pairs of graphs in one group that are different graphs (their 2-WL colours or spectra differ); `copies`: pairs of which
    nothing told here says so; both at most one pair a graph. `leaks`: the copies whose graphs are in different parts.
    """

    graphs: int
    colours: tuple[int, ...]
    twins: tuple[tuple[int, int], ...]
    copies: tuple[tuple[int, int], ...]
    leaks: tuple[tuple[int, int], ...]


def alike(graph: Graph, parts: np.ndarray | None = None) -> Alike:
    """Compare the graphs of a batch; `parts` [G] numbers the part of the split that each is in (-1: none)."""
    nodes = tuple(name for name in ("x", "z") if name in graph.nodes)
    edges = tuple(name for name in ("edge_attr",) if name in graph.edges)
    steps = list(wl.refinements(graph, nodes, edges))
    t = graph.topology
    of_graph = wl.multisets(steps[-1], t.nodes_by_graph)
    known = torch.stack([of_graph, t.n_node], 1).unique(dim=0, return_inverse=True)[1].numpy()
    twins, copies = [], []
    singles = None
    for group in np.flatnonzero(np.bincount(known, minlength=1) > 1):
        rows = np.flatnonzero(known == group)
        singles = graph.unbatch() if singles is None else singles
        first: dict[int, int] = {}
        for row, mark in zip(rows.tolist(), _marks([singles[r] for r in rows], nodes, edges), strict=True):
            if mark in first:
                copies.append((first[mark], row))
            elif first:
                twins.append((next(iter(first.values())), row))
            first.setdefault(mark, row)
    leaks = [] if parts is None else [(a, b) for a, b in copies if parts[a] != parts[b] and min(parts[a], parts[b]) >= 0]
    counts = tuple(int(c.max()) + 1 if len(c) else 0 for c in steps)
    return Alike(t.G, counts, tuple(twins), tuple(copies), tuple(leaks))


def _marks(graphs: list[Graph], nodes: tuple[str, ...], edges: tuple[str, ...]) -> list[int]:
    """A number for each graph of a group: different ones for what folklore 2-WL, or the spectrum of larger graphs, tells apart."""
    if graphs[0].N <= SMALL:
        colour, pairs = wl.pair_colours(batch(graphs), None, nodes, edges)
        return list(wl.multisets(colour, pairs).tolist())
    spectra = np.stack([_spectrum(g) for g in graphs])
    return list(np.unique(np.round(spectra, 6), axis=0, return_inverse=True)[1].ravel().tolist())


def _spectrum(graph: Graph) -> np.ndarray:
    t = graph.topology
    one = torch.ones(t.E, dtype=torch.float64)
    A = torch.zeros(t.N, t.N, dtype=torch.float64).index_put((t.receivers, t.senders), one, accumulate=True)
    return np.asarray(torch.linalg.eigvalsh(A + A.T).numpy()) + 0.0


def node_leaks(graph: Graph, parts: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Pairs of nodes in different parts (`parts` [N], -1: none) with equal features `x` and equal neighbours."""
    t = graph.topology
    label = wl.labels(graph.N, *(graph.nodes[name] for name in ("x",) if name in graph.nodes))
    around = wl.multisets(t.senders, t.incoming)
    key = wl.together(label, around).numpy()
    joined = t.incoming.count.numpy() > 0  # without neighbours there is nothing to compare but the features
    order = np.lexsort((parts, key))
    a, b = order[:-1], order[1:]
    found = (key[a] == key[b]) & (parts[a] != parts[b]) & (parts[a] >= 0) & (parts[b] >= 0) & joined[a] & joined[b]
    return tuple(zip(a[found].tolist(), b[found].tolist(), strict=True))
