"""Features that turn as spherical harmonics do, [N, (L + 1)^2, d]: rows l^2 .. (l + 1)^2 - 1 are of degree l and parity (-1)^l.

Order and signs within a degree are those of `blocks.harmonics`. Maps never mix rows: what they may do is what commutes with rotation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from heliograph import kernels
from heliograph.blocks.coupling import coupling, paths, symmetric
from heliograph.blocks.harmonics import harmonics
from heliograph.blocks.radial import Bessel, PolynomialCutoff
from heliograph.graph import Graph, Indexed, dense
from heliograph.views import Neighbours

SILU = 1.6765  # 1 / sqrt(mean of silu(x)^2) for normal x: what keeps the size of values through a layer


def drawn(*shape: int, fan: float) -> nn.Parameter:
    """Normal weights of variance 1 / `fan`."""
    return nn.Parameter(torch.randn(*shape) * fan**-0.5)


def degrees(most: int) -> list[int]:
    """Rows of each degree: 1, 3, 5, ..."""
    return [2 * n + 1 for n in range(most + 1)]


def elements_of(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the atomic numbers that there are, ascending, [Z], and which of them each node has, [N]."""
    return torch.unique(z.long(), return_inverse=True)


@final
class Sphere(nn.Module):
    """Neighbours within the cutoff; their edges get `basis` [E, radial], once per pair: b_n(r) c(r), and `Y` [E, (most + 1)^2].

    b are Bessel functions, c is the polynomial cutoff of order p. Y are harmonics of the direction from receiver to sender times
    sqrt(4 pi): mean squares over the sphere are one.
    """

    def __init__(self, radial: int, cutoff: float, most: int, p: int = 5):
        super().__init__()
        self.near, self.b, self.c, self.most = Neighbours(cutoff), Bessel(radial, cutoff), PolynomialCutoff(cutoff, p), most

    def forward(self, graph: Graph) -> Graph:
        graph = self.near(graph)
        r = graph.edges["distance"]
        assert isinstance(r, Indexed)
        Y = harmonics(dense(graph.edges["direction"]), self.most) * (4 * np.pi) ** 0.5
        return graph.with_edges(basis=Indexed(self.b(r.table) * self.c(r.table), r.index), Y=Y)


@final
class TensorLinear(nn.Module):
    """W_l x_l for each degree: [N, (most + 1)^2, d] -> [N, (most + 1)^2, out], without bias."""

    def __init__(self, d: int, out: int, most: int):
        super().__init__()
        self.weight, self.rows = nn.ParameterList(drawn(out, d, fan=d) for _ in range(most + 1)), degrees(most)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part @ W.T for part, W in zip(x.split(self.rows, 1), self.weight, strict=True)], 1)


@final
class ElementTable(nn.Module):
    """A vector per element, [N, d]: what a map per element makes of a state that is itself a vector per element."""

    def __init__(self, d: int):
        super().__init__()
        self.element = nn.Embedding(119, d)

    def forward(self, z: Tensor) -> Tensor:
        rows: Tensor = self.element(z.long())
        return rows


@final
class ElementLinear(nn.Module):
    """W_(z, l) x_l: a map of its own for each element, and for each degree that has a width: a list of [N, 2 l + 1, widths[l]].

    There are matrices for all elements; those that no structure has stay as they began. Higher degrees of x are left out.
    """

    def __init__(self, d: int, widths: Sequence[int]):
        super().__init__()
        self.weight, self.rows = nn.ParameterList(drawn(119, out, d, fan=d) for out in widths), degrees(len(widths) - 1)

    def forward(self, x: Tensor, z: Tensor) -> list[Tensor]:
        present, kind = elements_of(z)
        order = kind.argsort(stable=True)
        back, counts = order.argsort(), torch.bincount(kind, minlength=len(present)).tolist()
        parts = x.index_select(0, order).split([*self.rows, x.shape[1] - sum(self.rows)], 1)
        mapped = []
        for part, weight in zip(parts, self.weight, strict=False):
            W = weight.index_select(0, present)
            each = [rows @ w.T for rows, w in zip(part.split(counts), W.unbind(), strict=True)] if counts else [part @ W.sum(0).T]
            mapped.append(torch.cat(each).index_select(0, back))
        return mapped


@final
class Convolution(nn.Module):
    """A_i = 1 / n sum_j sum_paths W R_path(r_ij) (Y(r_ij) x h_j)_path: [N, (most + 1)^2, d] -> a list of [N, 2 l + 1, widths[l]].

    A path couples degree l1 of h with l2 of Y to l3 of A. R_path is a perceptron of the edges' `basis`, on the rows of pairs, without bias,
    so that it vanishes at the cutoff as the basis does. The sum is one multilinear form: no [E, .., d] is made.
    """

    terms: Tensor
    spread: Tensor

    def __init__(self, d: int, radial: Sequence[int], most: int, sphere: int, widths: Sequence[int], n: float):
        super().__init__()
        out = len(widths) - 1
        self.paths, self.d, self.n = paths(most, sphere, out), d, n
        through = itertools.pairwise([*radial, len(self.paths) * d])
        self.radial = nn.ParameterList(drawn(b, a, fan=a / (SILU**2 if k else 1)) for k, (a, b) in enumerate(through))
        counts = [sum(c == k for _, _, c in self.paths) for k in range(out + 1)]
        self.mix = nn.ParameterList(drawn(wide, count * d, fan=count * d) for count, wide in zip(counts, widths, strict=True))
        self.blocks = [m * count for m, count in zip(degrees(out), counts, strict=True)]
        terms, spread = _terms(self.paths, sphere, counts)
        self.register_buffer("terms", terms, persistent=False)
        self.register_buffer("spread", spread, persistent=False)

    def forward(self, h: Tensor, graph: Graph) -> list[Tensor]:
        t, basis = graph.topology, graph.edges["basis"]
        assert isinstance(basis, Indexed)
        R = basis.table  # [P, K]
        for k, W in enumerate(self.radial):
            R = (nn.functional.silu(R) if k else R) @ W.T
        R = R.view(-1, len(self.paths), self.d)
        y = dense(graph.edges["Y"]) @ self.spread.to(R.dtype)  # [E, terms]
        A = kernels.coupled_sum(y, None, R, basis.index, h, t.senders, self.terms, sum(self.blocks), t.incoming)
        parts = zip(A.split(self.blocks, 1), self.mix, degrees(len(self.mix) - 1), strict=True)
        return [part.reshape(len(part), m, W.shape[1]) @ W.T / self.n for part, W, m in parts]


def _terms(paths: Sequence[tuple[int, int, int]], sphere: int, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Which rows of R, of h and of the result meet, [3, K], and the weights of Y in each, [(sphere + 1)^2, K].

    The result has rows (l3, m3, path): paths of a degree side by side.
    """
    terms, columns = [], []
    start = np.concatenate([[0], np.cumsum([(2 * n + 1) * count for n, count in enumerate(counts)])])
    seen = [0] * len(counts)
    for k, (a, b, c) in enumerate(paths):
        C = coupling(a, b, c) * (2 * c + 1) ** 0.5
        for m1 in range(2 * a + 1):
            for m3 in range(2 * c + 1):
                if np.abs(C[m1, :, m3]).max() > 1e-12:
                    column = np.zeros((sphere + 1) ** 2)
                    column[b * b : (b + 1) ** 2] = C[m1, :, m3]
                    columns.append(column)
                    terms.append((k, a * a + m1, int(start[c]) + m3 * counts[c] + seen[c]))
        seen[c] += 1
    return torch.tensor(terms).T.contiguous(), torch.from_numpy(np.stack(columns, 1))


@final
class Contraction(nn.Module):
    """B_i = sum over degrees nu <= `correlation` and polynomials k of w_(z_i, k) P_k(A_i): [N, (most + 1)^2, d] -> [N, (out + 1)^2, d].

    P are all symmetric polynomials that turn as their result must (`coupling.symmetric`), channel by channel. Sums of monomials are
    weighted per element first; then only monomials that occur are computed, 77 of 4,096 for nu = 3, l <= 3 and a scalar.
    """

    terms: Tensor
    U: Tensor

    def __init__(self, d: int, most: int, out: int, correlation: int):
        super().__init__()
        self.rows, one = (out + 1) ** 2, (most + 1) ** 2
        terms: list[tuple[int, ...]] = []
        blocks: list[np.ndarray] = []
        sizes: list[int] = []
        for n in range(out + 1):
            for degree in range(1, correlation + 1):
                monomials, found = symmetric(most, n, degree)
                rows = [(m, t) for m in range(2 * n + 1) for t in range(len(monomials)) if np.abs(found[:, m, t]).max(initial=0) > 0]
                terms += [(*monomials[t].tolist(), *[one] * (3 - degree), n * n + m) for m, t in rows]
                blocks.append(np.array([found[:, m, t] for m, t in rows]).reshape(len(rows), len(found)))
                sizes.append(len(found))
        self.register_buffer("terms", torch.tensor(terms).T.contiguous(), persistent=False)
        self.register_buffer("U", torch.from_numpy(_diagonal(blocks)), persistent=False)
        self.weight = nn.Parameter(torch.randn(119, sum(sizes), d) / torch.tensor([float(k) for k in sizes for _ in range(k)])[:, None])

    def forward(self, A: Tensor, z: Tensor) -> Tensor:
        present, kind = elements_of(z)
        w = self.U.to(A.dtype) @ self.weight.index_select(0, present)  # [Z, terms, d]
        return kernels.polynomial(w, kind, torch.cat([A, torch.ones_like(A[:, :1])], 1), self.terms, self.rows)


def _diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    whole = np.zeros((sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)))
    row = column = 0
    for b in blocks:
        whole[row : row + len(b), column : column + b.shape[1]] = b
        row, column = row + len(b), column + b.shape[1]
    return whole
