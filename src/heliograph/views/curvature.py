"""Curvature of edges: where a graph is narrow (negative) and where it is dense (positive).

Graphs are undirected, without loops and parallel edges: SciPy's CSR matrix of ones. Formulas are as in the papers named at each function.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.optimize import linprog

Matrix: TypeAlias = Any  # SciPy's csr_array, which has no types
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.floating[Any]]


def simple(senders: Ints, receivers: Ints, n: int) -> Matrix:
    """Make the matrix [n, n] of an undirected graph from edges of any kind: direction, loops and repeats are dropped."""
    kept = senders != receivers
    i, j = senders[kept], receivers[kept]
    A = scipy.sparse.csr_array((np.ones(2 * len(i), dtype=np.float32), (np.append(i, j), np.append(j, i))), shape=(n, n))
    A.sum_duplicates()
    A.data[:] = 1
    return A


def pairs_of(A: Matrix) -> Ints:
    """List each undirected edge once, i < j, [P, 2]."""
    upper = scipy.sparse.triu(A, 1).tocoo()
    ends = np.stack([upper.row, upper.col], 1).astype(np.int64)
    return ends[np.lexsort((ends[:, 1], ends[:, 0]))]


def triangles(A: Matrix, edges: Ints) -> Floats:
    """Count the triangles over each edge, [P]."""
    found = np.empty(len(edges))
    for start in range(0, len(edges), 1 << 16):
        some = edges[start : start + (1 << 16)]
        found[start : start + len(some)] = A[some[:, 0]].multiply(A[some[:, 1]]).sum(1)
    return found


def forman(A: Matrix, edges: Ints) -> Floats:
    """Compute 4 - d_i - d_j + 3 triangles of each edge, [P] (Samal et al. 2018, doi:10.1038/s41598-018-27001-3: augmented Forman)."""
    degree = np.diff(A.indptr)
    return 4.0 - degree[edges[:, 0]] - degree[edges[:, 1]] + 3 * triangles(A, edges)


def balanced_forman(A: Matrix, edges: Ints) -> Floats:
    """Compute the balanced Forman curvature of edges [P] (Topping et al. 2022, arXiv:2111.14522, definition 1).

        2/d_i + 2/d_j - 2 + 2 T / max(d_i, d_j) + T / min(d_i, d_j) + (S_i + S_j) / (gamma max(d_i, d_j)), zero where an end has degree 1

    T triangles over the edge; S_i the neighbours of i that close a square over it without a diagonal, gamma the most such squares that
    one node is in.
    """
    near = _Neighbours(A)
    return np.array([_balanced(near, int(i), int(j)) for i, j in edges])


class _Neighbours(dict[int, set[int]]):
    """The neighbours of a node, made a set when they are first asked for."""

    def __init__(self, A: Matrix):
        super().__init__()
        self.A = A

    def __missing__(self, k: int) -> set[int]:
        found = self[k] = set(self.A.indices[self.A.indptr[k] : self.A.indptr[k + 1]].tolist())
        return found


def _balanced(near: _Neighbours, i: int, j: int) -> float:
    di, dj = len(near[i]), len(near[j])
    if min(di, dj) <= 1:
        return 0.0
    T = len(near[i] & near[j])
    large, small = max(di, dj), min(di, dj)
    result = 2 / di + 2 / dj - 2 + 2 * T / large + T / small
    squares_i = _squares(near, i, j)
    squares_j = _squares(near, j, i)
    if squares_i and squares_j:
        gamma = max(*squares_i.values(), *squares_j.values())
        result += (len(squares_i) + len(squares_j)) / (gamma * large)
    return result


def _squares(near: _Neighbours, i: int, j: int) -> dict[int, int]:
    """For each neighbour k of i, not of j, the squares i k w j without diagonals: w a neighbour of j, not of i."""
    beyond = near[j] - near[i] - {i}
    counts = ((k, len(near[k] & beyond)) for k in near[i] - near[j] - {j})
    return {k: c for k, c in counts if c}


def ollivier(A: Matrix, edges: Ints) -> Floats:
    """Compute 1 - W_1(mu_i, mu_j) of edges [P], mu uniform on a node's neighbours (Ollivier 2009, doi:10.1016/j.jfa.2008.11.001)."""
    found = np.empty(len(edges))
    near = [A.indices[A.indptr[k] : A.indptr[k + 1]] for k in range(A.shape[0])]
    for p, (i, j) in enumerate(edges):
        a, b = near[i], near[j]
        joined = A[a][:, b].toarray() > 0
        cost = np.where((A[a] @ A[:, b]).toarray() > 0, 2.0, 3.0)  # at most 3: through the edge itself
        cost = np.where(a[:, None] == b, 0, np.where(joined, 1, cost))
        rows = scipy.sparse.kron(scipy.sparse.eye_array(len(a)), np.ones((1, len(b))))
        columns = scipy.sparse.kron(np.ones((1, len(a))), scipy.sparse.eye_array(len(b)))
        mass = np.append(np.full(len(a), 1 / len(a)), np.full(len(b), 1 / len(b)))
        done = linprog(cost.ravel(), A_eq=scipy.sparse.vstack([rows, columns]), b_eq=mass, bounds=(0, None), method="highs")
        found[p] = 1 - done.fun
    return found
