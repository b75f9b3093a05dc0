"""Will depth help or hurt: how far apart the atoms of a molecule are, and how well they are connected. From the graphs alone.

    within T      share of the pairs of different nodes that are at most T edges apart: the receptive field of T steps
    diameter      the largest distance between two nodes of one part
    spectral gap  the smallest eigenvalue of 1 - D^-1/2 A D^-1/2 beyond one zero for each part (Chung 1997, ch. 1). Averaging over
                  neighbours takes a share gap off the slowest smooth difference a round: about 1 / gap rounds even it out
    resistance    R_uv = (e_u - e_v)' L^+ (e_u - e_v), L = D - A: that between u and v of a network of unit resistors, at most their
                  distance, which it equals in a tree. The larger, the less u's state depends on v's input, whatever the weights: Black et
                  al. 2023, arXiv:2302.06835; in terms of commute times 2 |E| R_uv Di Giovanni et al. 2023, arXiv:2302.02941
    homophily     edges that join equal labels, and that share adjusted for what chance gives (Platonov et al. 2023, arXiv:2209.06177):
                  (h - sum_k p_k^2) / (1 - sum_k p_k^2), p_k the share of edge ends with label k

Graphs are taken as undirected, loops and parallel edges aside. Parts that no edge joins (salts) are looked at each on its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from heliograph.graph import Graph
from heliograph.views.encodings import laplacian

LARGEST = 2000  # nodes of a graph whose matrices are formed
_ENTRIES = 1 << 22  # of the matrices that are held at a time


@dataclass(frozen=True, eq=False)
class Connectivity:
    """Of each of G graphs: `nodes`, `parts`, `diameter`, `gap`, `resistance` (the largest) and `mean_resistance` of pairs of one part [G].

    `within` [T + 1, G]: the share of pairs (of different nodes, whether joined or not) at most 0, 1, ..., T apart, T the largest diameter.
    NaN where there is nothing to say: `gap` without edges, resistances and `within` without pairs, all of it for no nodes or more than
    `LARGEST`.
    """

    nodes: np.ndarray
    parts: np.ndarray
    diameter: np.ndarray
    within: np.ndarray
    gap: np.ndarray
    resistance: np.ndarray
    mean_resistance: np.ndarray

    def reach(self, rounds: int) -> np.ndarray:
        """`within` after so many rounds, [G]."""
        return np.asarray(self.within[min(rounds, len(self.within) - 1)])


def connectivity(graph: Graph) -> Connectivity:
    """Each graph of a batch; graphs of one skeleton are computed once. O(n^3) per skeleton."""
    n = graph.topology.n_node.cpu().numpy()
    which, skeletons = _skeletons(graph)
    G = len(skeletons)
    size = np.array([s[0] for s in skeletons], dtype=np.int64)
    parts, diameter, gap, resistance, mean = (np.full(G, np.nan) for _ in range(5))
    reached: list[np.ndarray] = [np.zeros(G)]  # ordered pairs of different nodes within 0, 1, ... steps
    for rows, A in _adjacencies(size, [s[1] for s in skeletons]):
        steps, same = _steps(A)  # [T + 1, g], [g, n, n]
        for k in range(len(steps)):
            if k == len(reached):
                reached.append(reached[-1].copy())
            reached[k][rows] = steps[k]
        for later in reached[len(steps) :]:
            later[rows] = steps[-1]
        diameter[rows] = (steps[1:] > steps[:-1]).sum(0)
        in_part = same.sum(-1, keepdim=True)  # [g, n, 1] nodes of each node's part
        parts[rows] = in_part.reciprocal().sum((1, 2)).round().numpy()
        gap[rows] = _gap(A, parts[rows])
        resistance[rows], mean[rows] = _resistance(A, same / in_part, same)
    there = size <= LARGEST
    pairs = np.where(there & (size > 1), size * (size - 1.0), np.nan)
    within = np.stack(reached) / pairs  # [T + 1, skeletons]
    return Connectivity(n, parts[which], diameter[which], within[:, which], gap[which], resistance[which], mean[which])


def _skeletons(graph: Graph) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Which skeleton each graph has [G]; of each its nodes, and the numbers i n + j of the ordered pairs that an edge joins either way.

    Equal is what has equal pairs: one shape numbered in two ways is computed twice, which costs less than putting nodes in order.
    """
    t = graph.topology
    n, own = t.n_node, t.edges_by_graph.index
    first = (n.cumsum(0) - n)[own]
    i, j, n_own, cells = t.receivers - first, t.senders - first, n[own], int(n.max()) ** 2 if t.G else 1
    code = torch.cat([i * n_own + j, j * n_own + i]) + torch.cat([own, own]) * cells
    code = code[torch.cat([i, j]) != torch.cat([j, i])].unique()  # sorted by graph, then by pair
    count = torch.bincount(code // cells, minlength=t.G).tolist()
    known: dict[tuple[int, bytes], int] = {}
    found: list[tuple[int, np.ndarray]] = []
    which, codes, end = np.empty(t.G, dtype=np.int64), (code % cells).cpu().numpy(), 0
    for g, (size, edges) in enumerate(zip(n.tolist(), count, strict=True)):
        own_code, end = codes[end : end + edges], end + edges
        which[g] = known.setdefault((size, own_code.tobytes()), len(known))
        if which[g] == len(found):
            found.append((size, own_code))
    return which, found


def _adjacencies(size: np.ndarray, codes: list[np.ndarray]) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Skeletons of one size at a time, a few at most: which, and their adjacency matrices [g, n, n]."""
    for n in np.unique(size[(size > 0) & (size <= LARGEST)]).tolist():
        rows = np.flatnonzero(size == n)
        for some in np.array_split(rows, -(-len(rows) * n * n // _ENTRIES)):
            A = torch.zeros(len(some), n * n, dtype=torch.float64)
            for k, row in enumerate(some):
                A[k, torch.from_numpy(codes[row])] = 1
            yield some, A.view(-1, n, n)


def _steps(A: Tensor) -> tuple[np.ndarray, Tensor]:
    """Ordered pairs of different nodes within 0, 1, ... steps, [T + 1, g], and whether two nodes are in one part [g, n, n]."""
    n = A.shape[-1]
    step = A.float() + torch.eye(n)
    reached, counts = torch.eye(n).expand_as(step), [np.zeros(len(A))]
    while True:
        reached = (reached @ step > 0).float()
        counts.append(reached.sum((1, 2)).double().numpy() - n)
        if (counts[-1] == counts[-2]).all():
            return np.stack(counts[:-1]), reached.double()


def _gap(A: Tensor, parts: np.ndarray) -> np.ndarray:
    """The first eigenvalue that is not one of the parts' zeros, [g]; NaN where there are no edges."""
    values = torch.linalg.eigvalsh(laplacian(A)).numpy()  # [g, n] ascending
    beyond = parts.astype(np.int64)
    found = values[np.arange(len(values)), beyond.clip(max=values.shape[1] - 1)]
    return np.where(beyond < values.shape[1], found, np.nan)


def _resistance(A: Tensor, null: Tensor, same: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The largest and the mean over pairs of different nodes of one part, [g] each; `null` projects on the null space of L = D - A."""
    M = torch.linalg.inv(A.sum(-1).diag_embed() - A + null)  # L^+ + null; null adds nothing to a difference within a part
    own = M.diagonal(dim1=1, dim2=2)
    R = (own[:, :, None] + own[:, None] - 2 * M) * same  # [g, n, n], zero on the diagonal
    pairs = same.sum((1, 2)) - A.shape[-1]
    largest = torch.where(pairs > 0, R.amax((1, 2)), torch.nan)
    return largest.numpy(), (R.sum((1, 2)) / pairs).numpy()


def sentences(found: Connectivity, rounds: int) -> dict[str, str]:
    """What it means for a network of `rounds` steps, a sentence for each measure that some graph has."""
    said = {}
    if np.isfinite(found.resistance).any():
        d = found.diameter[np.isfinite(found.diameter)]
        said["diameter"] = (
            f"The two atoms farthest apart are {np.median(d):.0f} bonds apart in a typical molecule and {d.max():.0f} in the longest: "
            f"with {rounds} steps an atom hears of others up to {rounds} bonds away, so {(d <= rounds).mean():.0%} of the molecules are "
            "seen whole from each of their atoms."
        )
        said["within"] = (
            f"After {rounds} steps an atom has heard from {np.nanmean(found.reach(rounds)):.0%} of the other atoms of its molecule on "
            f"average, after {2 * rounds} steps from {np.nanmean(found.reach(2 * rounds)):.0%}."
        )
        said["resistance"] = (
            f"Between its two worst connected atoms a typical molecule resists as {np.nanmedian(found.resistance):.1f} bonds in a row "
            f"do, the worst of all as {np.nanmax(found.resistance):.1f}: the more, the less of what one atom says arrives at the other "
            "(over-squashing), and shortcuts (virtual edges, a master node) help where more layers do not."
        )
    if np.isfinite(found.gap).any():
        gap = float(np.nanmedian(found.gap))
        said["gap"] = (
            f"Averaging over neighbours takes about {1 / gap:.0f} rounds to even out the two ends of a typical molecule (spectral gap "
            f"{gap:.3f}): far fewer steps keep its ends apart, far more make its atoms look alike (over-smoothing)."
        )
    return said


@dataclass(frozen=True, eq=False)
class Homophily:
    """Of each of G graphs: the share of edges that join nodes of one label, `edge` [G], and `adjusted` for chance [G]; NaN without edges.

    `adjusted` is 1 where all edges do, 0 where they do as often as chance has it, below where less often; NaN for one label alone.
    """

    edge: np.ndarray
    adjusted: np.ndarray

    def sentence(self) -> str:
        """What it means."""
        h, adjusted = (float(np.nanmean(x)) if np.isfinite(x).any() else float("nan") for x in (self.edge, self.adjusted))
        if not np.isfinite(adjusted):
            return "There are no labelled neighbours of two kinds, so whether neighbours resemble each other can't be said."
        beyond = (
            "neighbours tend to share their label, so averaging over them helps and layers add evidence"
            if adjusted > 0.05
            else "neighbours tend to differ in their label, so plain averaging blurs it: keep a node's own state apart from its neighbours'"
            if adjusted < -0.05
            else "a neighbour's label says next to nothing about a node's own, so what helps must come from features or from farther away"
        )
        return f"{h:.0%} of bonded neighbours share their label ({adjusted:+.2f} beyond chance, 1 being all): {beyond}."


def homophily(graph: Graph, y: np.ndarray) -> Homophily:
    """From labels `y` [N] that are classes (NaN = missing: edges of such a node do not count). Loops do not count either."""
    t = graph.topology
    j, i, own = (x.cpu().numpy() for x in (t.senders, t.receivers, t.edges_by_graph.index))
    kept = np.isfinite(y[i]) & np.isfinite(y[j]) & (i != j)
    first, second, own = y[i[kept]], y[j[kept]], own[kept]
    edges = np.bincount(own, minlength=t.G)
    labels, number = np.unique(np.append(first, second), return_inverse=True)
    ends = np.zeros((t.G, len(labels)))
    np.add.at(ends, (np.append(own, own), number), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        h = np.bincount(own, first == second, minlength=t.G) / edges
        chance = np.square(ends / (2 * edges)[:, None]).sum(1)
        adjusted = np.where(chance < 1, (h - chance) / (1 - chance), np.nan)
    return Homophily(h, adjusted)
