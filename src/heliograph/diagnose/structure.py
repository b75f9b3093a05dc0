"""What one graph looks like, at any size: parts, degrees, cuts, distances, resistances, curvature, colours, homophily.

Exact where the graph is small; beyond `DENSE` nodes by sparse solvers and samples, and `Structure.estimated` says which measures are
estimates. Everything sees the undirected graph without loops and parallel edges, which are counted apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph as csgraph
from scipy.sparse.linalg import LinearOperator, eigsh

from heliograph.errors import DataError
from heliograph.views.curvature import Floats, Ints, Matrix, balanced_forman, forman, pairs_of, simple

DENSE = 2000  # nodes of a graph whose matrices are formed
SOURCES = 16  # nodes from which distances are measured in larger graphs
SKETCHES = 8  # random right sides of the resistances' estimate: a relative error of about sqrt(2 / 8)
CURVED = 400  # edges whose balanced curvature is computed in larger graphs
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, eq=False)
class Structure:
    """The measures of one graph; NaN where there is nothing to measure.

    `degrees`: smallest, median, mean, largest. `gap`, `cut_*` and `resistance_*` are of the largest part. `cut_share` is the share of
    all pairs of nodes that the sweep cut parts, `cut_edges` how many edges cross it, `cut_load` how many times more pairs an
    edge of the cut must serve than a typical edge does. `bridge_share`: the pairs that the heaviest bridge parts. `reach` [T + 1]: share of
    pairs within 0, 1, ... steps. `colours`: 1-WL colours after 0, 1, ... rounds without features.
    """

    nodes: int
    edges: int
    loops: int
    repeated: int
    isolated: int
    parts: int
    largest_part: float
    degrees: tuple[float, float, float, float]
    diameter: float
    reach: Floats
    gap: float
    bridges: int
    bridge_share: float
    cut_share: float
    cut_edges: int
    cut_load: float
    resistance_mean: float
    resistance_max: float
    forman_mean: float
    curvature_min: float
    curvature_mean: float
    colours: tuple[int, ...]
    estimated: frozenset[str] = field(default_factory=frozenset)


def structure(senders: Ints, receivers: Ints, n: int, progress: Progress | None = None) -> Structure:
    """Measure a graph of `n` nodes from its edges in any order. Raises DataError for no nodes at all or ends outside of 0 .. n - 1."""
    say = progress or (lambda stage, done, total: None)
    if n == 0:
        raise DataError("this graph has no nodes: there is nothing to diagnose")
    if len(senders) and not 0 <= min(senders.min(), receivers.min()) <= max(senders.max(), receivers.max()) < n:
        raise DataError(f"an edge's end lies outside of the nodes 0 to {n - 1}")
    say("reading", 0, 8)
    A = simple(senders, receivers, n)
    loops = int((senders == receivers).sum())
    degree = np.diff(A.indptr)
    say("parts", 1, 8)
    parts, part = csgraph.connected_components(A, directed=False)
    sizes = np.bincount(part)
    largest = np.flatnonzero(part == sizes.argmax())
    B = A if parts == 1 else A[largest][:, largest]
    say("distances", 2, 8)
    diameter, reach, mean_steps = _distances(A, largest)
    say("spectrum", 3, 8)
    gap, fiedler = _gap(B)
    say("cuts", 4, 8)
    share, crossing, load = _cut(B, fiedler, mean_steps)
    bridges, bridge_share = _bridges(B)
    say("resistances", 5, 8)
    mean_R, max_R = _resistance(B)
    say("curvature", 6, 8)
    edges = pairs_of(A)
    every = edges if n <= DENSE and len(edges) <= 20 * CURVED else edges[_some(len(edges), CURVED)]
    curved = balanced_forman(A, every)
    flat = forman(A, every) if len(every) else np.zeros(0)
    say("colours", 7, 8)
    colours = _colours(A)
    say("colours", 8, 8)
    guessed = {"diameter", "reach", "resistance_mean", "resistance_max", "cut_load"} if n > DENSE else set()
    guessed |= {"curvature_min", "curvature_mean", "forman_mean"} if len(every) < len(edges) else set()
    quartiles = (float(degree.min()), float(np.median(degree)), float(degree.mean()), float(degree.max()))
    lowest = float(curved.min()) if len(curved) else np.nan
    return Structure(
        n, A.nnz // 2, loops, _repeats(senders, receivers, n), int((degree == 0).sum()), int(parts), float(sizes.max() / n), quartiles,
        diameter, reach, gap, bridges, bridge_share, share, crossing, load, mean_R, max_R, _mean(flat), lowest, _mean(curved), colours,
        frozenset(guessed),
    )  # fmt: skip


def _repeats(senders: Ints, receivers: Ints, n: int) -> int:
    """Count the edges that are given more than once in one direction; loops aside."""
    kept = senders != receivers
    once = scipy.sparse.csr_array((np.ones(int(kept.sum()), dtype=bool), (senders[kept], receivers[kept])), shape=(n, n))
    return int(kept.sum()) - int(once.nnz)


def _mean(x: Floats) -> float:
    return float(x.mean()) if len(x) else np.nan


def _some(n: int, at_most: int) -> Ints:
    """At most so many of 0 .. n - 1, seeded."""
    return np.arange(n) if n <= at_most else np.sort(np.random.default_rng(0).choice(n, at_most, replace=False))


def _distances(A: Matrix, largest: Ints) -> tuple[float, Floats, float]:
    """Diameter of the largest part (a lower bound where sampled), `reach`, and the mean distance of pairs in one part."""
    n = A.shape[0]
    if n < 2:
        return 0.0, np.zeros(1), np.nan
    sources = np.arange(n) if n <= DENSE else _some(n, SOURCES)
    if n > DENSE:  # one end of a long way, as it is usually found
        far = _hops(A, int(largest[0])).argmax()
        sources = np.append(sources, far)
    counts = np.zeros(1)
    for source in sources:
        hops = _hops(A, int(source))
        found = np.bincount(hops[hops >= 0]).astype(float)
        counts = np.append(counts, np.zeros(max(0, len(found) - len(counts))))
        counts[: len(found)] += found
    steps = np.arange(len(counts))
    others = counts[1:].sum()
    reach = (counts.cumsum() - counts[0]) / (len(sources) * (n - 1))
    return float(len(counts) - 1), reach, float((steps * counts).sum() / others) if others else np.nan


def _hops(A: Matrix, source: int) -> Ints:
    """Edges from the source, -1 where there is no way: breadth first, level by level."""
    hops = np.full(A.shape[0], -1, dtype=np.int64)
    hops[source], level, k = 0, np.array([source]), 0
    while len(level):
        k += 1
        if len(level) < 64:
            reached = np.unique(np.concatenate([A.indices[A.indptr[v] : A.indptr[v + 1]] for v in level]))
        else:
            front = np.zeros(A.shape[0], dtype=np.float32)
            front[level] = 1
            reached = np.flatnonzero(A @ front)
        level = reached[hops[reached] < 0]
        hops[level] = k
    return hops


def _normal(B: Matrix) -> tuple[Matrix, Floats]:
    root = 1 / np.sqrt(np.maximum(np.diff(B.indptr), 1)).astype(B.dtype)
    return scipy.sparse.diags_array(root) @ B @ scipy.sparse.diags_array(root), root


def _gap(B: Matrix) -> tuple[float, Floats]:
    """The second eigenvalue of 1 - D^-1/2 A D^-1/2 of a connected graph, and its vector scaled by D^-1/2."""
    n = B.shape[0]
    if n < 2:
        return np.nan, np.zeros(n)
    S, root = _normal(B.astype(float) if n <= DENSE else B)
    if n <= DENSE:
        value, vector = np.linalg.eigh(S.toarray())
        return float(1 - value[-2]), vector[:, -2] * root
    first = 1 / root / np.linalg.norm(1 / root)  # the known eigenvector, moved out of the way
    shifted = LinearOperator((n, n), matvec=lambda x: S @ x + x - 2 * first * (first @ x), dtype=S.dtype)
    start = np.random.default_rng(0).standard_normal(n).astype(S.dtype)
    try:
        value, vector = eigsh(shifted, k=1, which="LA", tol=1e-3, v0=start, ncv=16, maxiter=40)
        return float(2 - value[0]), vector[:, 0] * root
    except scipy.sparse.linalg.ArpackNoConvergence:
        x = start
        for _ in range(60):
            x = shifted @ x
            x /= np.linalg.norm(x)
        return float(2 - x @ (shifted @ x)), x * root


def _cut(B: Matrix, fiedler: Floats, mean_steps: float) -> tuple[float, int, float]:
    """Sweep the Fiedler vector for the cut whose edges serve most pairs each: share of pairs, edges across, load over a typical one."""
    n, m = B.shape[0], B.nnz // 2
    if n < 2 or m == 0:
        return np.nan, 0, np.nan
    rank = np.empty(n, dtype=np.int64)
    rank[fiedler.argsort(kind="stable")] = np.arange(n)
    i = np.repeat(np.arange(n), np.diff(B.indptr))
    a, b = rank[i], rank[B.indices]
    low, high = a[a < b], b[a < b]
    opened = np.bincount(low, minlength=n) - np.bincount(high, minlength=n)
    crossing = opened.cumsum()[:-1]  # edges across, with the first k + 1 on one side
    k = np.arange(1, n)
    pairs = k * (n - k) / (n * (n - 1) / 2)
    best = int(np.argmax(pairs / np.maximum(crossing, 1)))
    share, across = float(pairs[best]), int(crossing[best])
    return share, across, share / max(across, 1) * m / mean_steps


def _bridges(B: Matrix) -> tuple[int, float]:
    """How many edges are bridges, and the largest share of pairs that one of them parts.

    An edge of a spanning tree is a bridge if no other edge leaps over it: random labels of those, added up over subtrees, cancel.
    """
    n = B.shape[0]
    if n < 2:
        return 0, 0.0
    order, parent = csgraph.breadth_first_order(B, 0, directed=False)
    rng = np.random.default_rng(0)
    coo = scipy.sparse.triu(B, 1).tocoo()
    tree = (parent[coo.row] == coo.col) | (parent[coo.col] == coo.row)
    label = rng.integers(1, 2**63, size=len(tree), dtype=np.uint64)
    label[tree] = 0
    above, size = np.zeros(n, dtype=np.uint64), np.ones(n, dtype=np.int64)
    np.bitwise_xor.at(above, coo.row, label)
    np.bitwise_xor.at(above, coo.col, label)
    level = [order[:1]]
    start = 1
    position = np.empty(n, dtype=np.int64)
    position[order] = np.arange(n)
    up = position[parent[order[1:]]]  # ascending: breadth first
    while start < n:  # levels are runs of `order`
        stop = 1 + int(np.searchsorted(up, start))
        level.append(order[start:stop])
        start = stop
    for nodes in level[:0:-1]:
        np.bitwise_xor.at(above, parent[nodes], above[nodes])
        np.add.at(size, parent[nodes], size[nodes])
    below = order[1:][above[order[1:]] == 0]
    share = size[below] * (n - size[below]) / (n * (n - 1) / 2)
    return len(below), float(share.max()) if len(below) else 0.0


def _resistance(B: Matrix) -> tuple[float, float]:
    """Mean and largest effective resistance of pairs: exact, or from L^+ applied to a few random sides (Spielman & Srivastava 2008)."""
    n = B.shape[0]
    if n < 2:
        return np.nan, np.nan
    degree = np.diff(B.indptr).astype(float)
    if n <= DENSE:
        M = np.linalg.inv(np.diag(degree) - B.toarray() + 1 / n)
        R = M.diagonal()[:, None] + M.diagonal() - 2 * M
        return float(R.sum() / (n * (n - 1))), float(R.max())
    rng, coo = np.random.default_rng(0), scipy.sparse.triu(B, 1).tocoo()
    Z = np.zeros((n, SKETCHES), dtype=np.float32)
    for k in range(SKETCHES):
        sign = rng.choice(np.array([-1, 1], dtype=np.float32), size=len(coo.row))
        Z[:, k] = np.bincount(coo.row, sign, n) - np.bincount(coo.col, sign, n)
    Z = _solve(B, degree.astype(np.float32), Z)
    a, b = rng.integers(n, size=(2, 200_000))
    R = np.square(Z[a] - Z[b]).mean(1)[a != b]  # the mean over sketches is without bias; its largest is not, hence a high quantile
    return float(R.mean()), float(np.quantile(R, 0.999))


def _solve(B: Matrix, degree: Floats, Y: Floats, rounds: int = 60, tolerance: float = 1e-2) -> Floats:
    """Solve (D - A) Z = Y column by column at once: conjugate gradients with the diagonal as preconditioner."""
    X, R = np.zeros_like(Y), Y - Y.mean(0)
    P = Q = R / degree[:, None]
    old, first = (R * Q).sum(0), np.linalg.norm(R)
    for _ in range(rounds):
        AP = degree[:, None] * P - B @ P
        step = old / np.maximum((P * AP).sum(0), 1e-30)
        X, R = X + step * P, R - step * AP
        if np.linalg.norm(R) < tolerance * first:
            break
        Q = R / degree[:, None]
        new = (R * Q).sum(0)
        P, old = Q + new / np.maximum(old, 1e-30) * P, new
    return X - X.mean(0)


def _colours(A: Matrix, most: int = 8) -> tuple[int, ...]:
    """1-WL colours after 0, 1, ... rounds, until none splits: hashes of 64 bits, added up over neighbours."""
    colour, counts = np.zeros(A.shape[0], dtype=np.uint64), [1]
    for _ in range(most if A.shape[0] > DENSE else A.shape[0]):
        mixed = np.append(_mix(colour)[A.indices], np.uint64(0))
        total = np.add.reduceat(mixed, np.minimum(A.indptr[:-1], len(mixed) - 1)) * (np.diff(A.indptr) > 0)
        colour = _mix(colour * np.uint64(3) + total)
        counts.append(len(np.unique(colour)))
        if counts[-1] == counts[-2]:
            return tuple(counts[:-1])
    return tuple(counts)


def _mix(x: np.ndarray) -> np.ndarray:
    """Scatter the bits (splitmix64, Steele et al. 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
