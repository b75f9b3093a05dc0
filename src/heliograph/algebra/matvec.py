"""A matrix per edge times a vector per edge: the edge network's message, without a matrix per edge."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph import kernels
from heliograph.algebra.expression import Expression, Gather, Linear, as_gather
from heliograph.topology import Segments


@final
class MatVec(Expression):
    """A_ij x_ij: a matrix [a, b] per edge times a vector [b] per edge; `column`: the result is seen as [a, 1]."""

    def __init__(self, matrix: Expression, vector: Expression, column: bool):
        self.matrix, self.vector, self.column, self.E = matrix, vector, column, matrix.E
        self.shape = (matrix.shape[0], 1) if column else (matrix.shape[0],)

    def compute(self) -> Tensor:
        """With a table of matrices, rows of one matrix go through one matmul: no [E, a, b]."""
        known = not torch.compiler.is_compiling()  # how many edges a matrix has
        if known and isinstance(self.matrix, Gather) and self.matrix.index is not None and 0 < len(self.matrix.table) * 8 <= self.E:
            order = self.matrix.index.argsort()
            counts = torch.bincount(self.matrix.index, minlength=len(self.matrix.table)).tolist()
            parts = self.vector.value[order].split(counts)
            y = torch.cat([F.linear(x, A) for x, A in zip(parts, self.matrix.table, strict=True)])
            y = torch.zeros_like(y).index_copy(0, order, y)
        else:
            y = (self.matrix.value @ self.vector.value[..., None]).squeeze(-1)
        return y[..., None] if self.column else y

    def total(self, segments: Segments) -> Tensor:
        """sum_j (W phi_j + B) x_j = W : sum_j (phi_j (x) x_j) + B sum_j x_j: outer products [K, b], then one matmul; no [E, a, b]."""
        A = self.matrix
        if not isinstance(A, Linear) or len(A.inner.shape) != 1 or segments.n >= self.E:
            return kernels.segment_sum(self.value, segments)
        (a, b), phi, x = A.shape, as_gather(A.inner), as_gather(self.vector)
        outer = kernels.outer_sum(phi.table, phi.index, x.table, x.index, segments)  # [n, K, b]
        weight = A.weight.view(a, b, -1).permute(0, 2, 1).reshape(a, -1)  # [a, K * b]
        y = F.linear(outer.flatten(1), weight)  # [n, a]
        if A.bias is not None:
            y = y + F.linear(self.vector.total(segments), A.bias.view(a, b))
        return y[..., None] if self.column else y
