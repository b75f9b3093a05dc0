"""Rewiring: other edges for the same nodes, so that far nodes hear each other.

    fosr       add the edges that widen the spectral gap most, to first order (Karhadkar et al. 2023, arXiv:2210.11790)
    sdrf       add edges around the most negatively curved one, take away the most positively curved (Topping et al. 2022, arXiv:2111.14522)
    borf       the same with Ollivier's curvature, some edges at a time (Nguyen et al. 2023, arXiv:2211.15779)
    digl       the strongest entries of a diffusion matrix instead of the edges (Gasteiger et al. 2019, arXiv:1911.05485)
    expander   a Cayley graph of SL(2, Z_n): sparse, without narrow places, whatever the graph was (Deac et al. 2022, arXiv:2210.02997)

They take and return SciPy's matrices of undirected graphs (`curvature.simple`); `Rewired(method)` is the view of it. They are for
graphs of some thousands of nodes: dense matrices are formed (not for the expander).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, final

import numpy as np
import scipy.linalg
import scipy.sparse
import torch
from torch import Tensor, nn

from heliograph.edge import Edge, EdgeTensor
from heliograph.errors import DataError, UsageError, suggest
from heliograph.graph import Feature, Graph, dense, take
from heliograph.views.curvature import Floats, Ints, Matrix, balanced_forman, ollivier, pairs_of, simple
from heliograph.views.matrices import precision

LARGEST = 5000  # nodes of a graph whose dense matrices are formed


def fosr(A: Matrix, add: int) -> Matrix:
    """Add `add` edges, each the one that widens the gap of 1 - D^-1/2 A D^-1/2 most to first order (`gains`). None is taken away."""
    M = _dense(A)
    for _ in range(add):
        gain = gains(M)
        best = int(gain.argmax())
        if not np.isfinite(gain.flat[best]):
            break  # the graph is complete
        i, j = divmod(best, len(M))
        M[i, j] = M[j, i] = 1
    return scipy.sparse.csr_array(M.astype(np.float32))


def gains(M: Floats) -> Floats:
    """Compute the first-order change of the spectral gap by each edge that is not there, [n, n]; -inf where there is one.

    With x the second eigenvector of S = D^-1/2 A D^-1/2 and mu its eigenvalue, the edge (u, v) adds 2 x_u x_v / sqrt((1 + d_u) (1 + d_v))
    + 2 mu x_u^2 (sqrt(d_u / (1 + d_u)) - 1) + 2 mu x_v^2 (sqrt(d_v / (1 + d_v)) - 1) to mu, and takes it from the gap.
    """
    d = M.sum(1)
    root = np.sqrt(np.maximum(d, 1e-12))
    value, vector = scipy.linalg.eigh(M / root / root[:, None], subset_by_index=(len(M) - 2, len(M) - 1))
    x, mu = vector[:, 0], value[0]
    own = 2 * mu * x**2 * (np.sqrt(d / (1 + d)) - 1)
    y = x / np.sqrt(1 + d)
    gain = -(2 * np.outer(y, y) + own[:, None] + own)
    gain[(M > 0) | np.eye(len(M), dtype=bool)] = -np.inf
    return gain


def sdrf(A: Matrix, add: int, temperature: float = 5.0, ceiling: float | None = None, seed: int = 0) -> Matrix:
    """Add `add` edges near the edge of least balanced Forman curvature, each drawn by a softmax of how much it lifts it.

    After each, the edge of largest curvature is taken away if that is above `ceiling` (None: never).
    """
    M, rng = _dense(A), np.random.default_rng(seed)
    for _ in range(add):
        S = scipy.sparse.csr_array(M)
        edges = pairs_of(S)
        if not len(edges):
            break  # no edge is narrow where there is none
        curved = balanced_forman(S, edges)
        i, j = edges[curved.argmin()]
        near_i, near_j = np.append(np.flatnonzero(M[i]), i), np.append(np.flatnonzero(M[j]), j)
        free = [(k, m) for k in near_i for m in near_j if k != m and not M[k, m]]
        if not free:
            break
        lifted = np.array([_lift(M, int(k), int(m), int(i), int(j)) for k, m in free]) - curved.min()
        weight = np.exp(temperature * (lifted - lifted.max()))
        k, m = free[int(rng.choice(len(free), p=weight / weight.sum()))]
        M[k, m] = M[m, k] = 1
        if ceiling is not None and curved.max() > ceiling:
            a, b = edges[curved.argmax()]
            M[a, b] = M[b, a] = 0
    return scipy.sparse.csr_array(M.astype(np.float32))


def _lift(M: Floats, k: int, m: int, i: int, j: int) -> float:
    """The curvature of (i, j) with the edge (k, m) in."""
    M[k, m] = M[m, k] = 1
    near = np.unique(np.concatenate([[i, j], np.flatnonzero(M[i]), np.flatnonzero(M[j])]))
    around = np.unique(np.concatenate([near, *(np.flatnonzero(M[v]) for v in near)]))
    S = scipy.sparse.csr_array(M[np.ix_(around, around)])
    a, b = np.searchsorted(around, (i, j))
    M[k, m] = M[m, k] = 0
    return float(balanced_forman(S, np.array([[a, b]]))[0])


def borf(A: Matrix, batches: int = 1, add: int = 4, remove: int = 2) -> Matrix:
    """In each batch add an edge for each of the `add` edges of least Ollivier curvature, and take away the `remove` of largest.

    The edge that is added joins a neighbour of one end with a neighbour of the other: those farthest apart, the lowest numbers first.
    (The paper picks them by its transport plan.)
    """
    M = _dense(A)
    for _ in range(batches):
        S = scipy.sparse.csr_array(M)
        edges = pairs_of(S)
        order = ollivier(S, edges).argsort(kind="stable")
        two = (M @ M > 0) | (M > 0)
        for i, j in edges[order[:add]]:
            free = [(not two[k, m], -k, -m) for k in np.flatnonzero(M[i]) for m in np.flatnonzero(M[j]) if k != m and not M[k, m]]
            if free:
                _, k, m = max(free)
                M[-k, -m] = M[-m, -k] = 1
        for i, j in edges[order[len(order) - remove :]]:
            if M[i].sum() > 1 and M[j].sum() > 1:
                M[i, j] = M[j, i] = 0
    return scipy.sparse.csr_array(M.astype(np.float32))


def digl(A: Matrix, top: int = 16, alpha: float | None = 0.15, time: float = 5.0) -> Matrix:
    """Keep the `top` largest entries of each row of a diffusion matrix, then make it symmetric by the larger of both; weights stay.

    alpha (1 - (1 - alpha) S)^-1 with S = D^-1/2 (A + 1) D^-1/2, or exp(time (S - 1)) where alpha is None.
    """
    M = _dense(A) + np.eye(A.shape[0])
    root = np.sqrt(M.sum(1))
    S, one = M / root / root[:, None], np.eye(len(M))
    P = scipy.linalg.expm(time * (S - one)) if alpha is None else alpha * np.linalg.inv(one - (1 - alpha) * S)
    np.fill_diagonal(P, 0)
    if top < len(P):
        least = np.partition(P, len(P) - top, axis=1)[:, len(P) - top, None]
        P = np.where(least <= P, P, 0)
    return scipy.sparse.csr_array(np.maximum(P, P.T).astype(np.float32))


def cayley(n: int) -> Matrix:
    """Make the first `n` nodes, breadth first, of the Cayley graph of SL(2, Z_m) for the smallest m that has so many: degree 4 at most."""
    m = 2
    while n > 1 and _order(m) < n:
        m += 1
    steps = np.array([[[1, 1], [0, 1]], [[1, -1], [0, 1]], [[1, 0], [1, 1]], [[1, 0], [-1, 1]]])
    number: dict[tuple[int, ...], int] = {(1, 0, 0, 1): 0}
    found, ends = [np.eye(2, dtype=np.int64)], []
    for k, g in enumerate(found):
        for s in steps:
            h = g @ s % m
            key = tuple(h.ravel().tolist())
            if key not in number and len(number) < n:
                number[key] = len(found)
                found.append(h)
            if key in number and number[key] != k:
                ends.append((k, number[key]))
    a, b = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    return simple(a, b, n)


def _order(m: int) -> int:
    """How many elements SL(2, Z_m) has: m^3 prod_p (1 - 1 / p^2) over primes p that divide m."""
    result, rest = m**3, m
    for p in range(2, m + 1):
        if rest % p == 0:
            result = result * (p * p - 1) // (p * p)
            while rest % p == 0:
                rest //= p
    return result


def _dense(A: Matrix) -> Floats:
    if A.shape[0] > LARGEST:
        n = f"{A.shape[0]:,}"
        raise DataError(
            f"this way of rewiring forms a matrix of {n} x {n} and is for graphs of at most {LARGEST:,} nodes; the expander has no limit"
        )
    return np.asarray(A.toarray(), dtype=float)


METHODS: dict[str, Callable[..., Matrix]] = {"fosr": fosr, "sdrf": sdrf, "borf": borf, "digl": digl}
REMEMBERED = 4_000_000  # edges of rewired graphs that a view keeps


@final
class Rewired(nn.Module):
    """The view of a rewiring: each graph's edges are those of `method(A)`; edges that were there keep their features, others get zeros.

    `method`: "fosr", "sdrf", "borf" or "digl" with its arguments, or a function of a matrix as these are. It must be a function of the
    matrix alone: what it made of a graph is kept, and looked up when the same edges come again. `weight` [E, 1]: the entries.
    Where several new edges are equally good the first one is taken, so that the order of a graph's nodes may decide.
    """

    def __init__(self, method: str | Callable[..., Matrix], **arguments: float | int | None):
        super().__init__()
        if isinstance(method, str) and method not in METHODS:
            raise UsageError(f"there is no way of rewiring {method!r}: {suggest(method, METHODS)}")
        self.method = partial(METHODS[method] if isinstance(method, str) else method, **arguments)
        self.known: dict[tuple[int, bytes], tuple[Ints, Floats]] = {}
        self.held = 0

    def forward(self, graph: Graph) -> Graph:
        t = graph.topology
        t.need_whole("rewiring")
        ends: list[Ints] = []
        weights: list[Floats] = []
        of, start = t.nodes_by_graph.index[t.receivers].cpu().numpy(), (t.n_node.cumsum(0) - t.n_node).tolist()
        senders, receivers = t.senders.cpu().numpy(), t.receivers.cpu().numpy()
        for g, n in enumerate(t.n_node.tolist()):
            if n < 2:
                continue
            own = of == g
            end, weight = self._remembered(np.stack([senders[own], receivers[own]]) - start[g], n)
            ends.append(end + start[g])
            weights.append(weight)
        pair = torch.from_numpy(np.concatenate(ends) if ends else np.zeros((0, 2), dtype=np.int64)).to(t.senders.device)
        topology, rows = t.rewired(pair[:, 0], pair[:, 1])
        before = t.between(pair[rows])  # [E] the edge that was there, -1: none
        edges: dict[str, Any] = {name: _kept(feature, before) for name, feature in graph.edges.items()}
        value = torch.from_numpy(np.concatenate(weights) if weights else np.zeros(0)).to(pair.device)[rows]
        edges["weight"] = value.to(precision(graph))[:, None]
        return Graph(topology, graph.nodes, edges, graph.globals, graph.asked)

    def _remembered(self, pair: Ints, n: int) -> tuple[Ints, Floats]:
        """The ends [E, 2] and weights [E] of one graph's new edges, computed once for the edges `pair` [2, E]."""
        key = (n, hashlib.blake2b(pair.tobytes(), digest_size=16).digest())
        if key not in self.known:
            B = self.method(simple(pair[0], pair[1], n)).tocoo()
            if self.held > REMEMBERED:
                self.known, self.held = {}, 0
            self.known[key] = np.stack([B.col, B.row], 1).astype(np.int64), B.data
            self.held += B.nnz
        return self.known[key]


def _kept(feature: Feature, before: Tensor) -> Tensor:
    rows = dense(feature)
    rows = torch.cat([rows, rows.new_zeros(1, *rows.shape[1:])])  # the last row is for what was no edge
    return rows[before]


@final
class Expander(nn.Module):
    """The view of `cayley`: nodes joined by a fixed expander, whatever their edges were; for every second layer (`OnView`)."""

    def __init__(self) -> None:
        super().__init__()
        self.rewired = Rewired(lambda A: cayley(A.shape[0]))

    def forward(self, graph: Graph) -> Graph:
        result: Graph = self.rewired(graph)
        return result


@final
class DropEdge(nn.Module):
    """In training, leave out each undirected pair of edges with probability `p` (Rong et al. 2020, arXiv:1907.10903)."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, graph: Graph) -> Graph:
        if not self.training or not self.p:
            return graph
        t = graph.topology
        kept = (torch.rand(t.pairs.P, device=t.senders.device) >= self.p)[t.pairs.index].nonzero().squeeze(1)
        topology, rows = t.rewired(t.senders[kept], t.receivers[kept], shift=None if t.shift is None else t.shift[kept])
        edges = {name: take(feature, kept[rows]) for name, feature in graph.edges.items()}
        return Graph(topology, graph.nodes, edges, graph.globals, graph.asked)


@final
class DropMessage(nn.Module):
    """In training, set each number of each message to zero with probability `p`, the others scaled (Fang et al. 2023, arXiv:2204.10037)."""

    def __init__(self, message: nn.Module, p: float):
        super().__init__()
        self.message, self.p = message, p

    def forward(self, e: Edge) -> dict[str, Any]:
        made: dict[str, Any] = self.message(e)
        if not self.training or not self.p:
            return made
        return {name: nn.functional.dropout(m.dense() if isinstance(m, EdgeTensor) else m, self.p) for name, m in made.items()}
