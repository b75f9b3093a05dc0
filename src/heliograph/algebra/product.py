"""Products of expressions from different tables, and the identities that sum them without forming them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import final

import torch
from torch import Tensor

from heliograph import kernels
from heliograph.algebra.colour import made_of
from heliograph.algebra.expression import Expression, Gather, Linear, Map, Shape, TensorFunction, as_gather
from heliograph.algebra.radial import Radial, joined
from heliograph.derived import derived
from heliograph.topology import Segments

MOST_PASSES = 9  # over edges: components of a tensor of rank two


@final
class Product(Expression):
    """a * b * ...: expressions from different tables, multiplied with broadcasting; or columns and a table that they scale."""

    def __init__(self, factors: Sequence[Expression]):
        self.factors, self.E = tuple(factors), factors[0].E
        self.shape = reduce(_broadcast, (f.shape for f in factors))

    @derived
    def merged(self) -> Expression:
        """T[idx] * U[idx] = (T * U)[idx], whatever the widths."""
        return _merge(self.factors, lambda f, g: True)

    def parts(self) -> Sequence[Expression]:
        return self.factors

    def _take(self, rows: Tensor) -> Expression:
        return Product([f.take(rows) for f in self.factors])

    @property
    def rows(self) -> int:
        return self.merged.rows if isinstance(self.merged, Gather) else self.E

    def compute(self) -> Tensor:
        if not isinstance(self.merged, Product):
            return self.merged.value
        total = self.merged.factors[0].value
        for factor in self.merged.factors[1:]:
            total = total * factor.value
        return total

    def linear(self, weight: Tensor, bias: Tensor | None) -> Expression:
        """On the table, where all factors share one."""
        return Linear(self, weight, bias) if isinstance(self.merged, Product) else self.merged.linear(weight, bias)

    def map(self, f: TensorFunction, name: str = "") -> Expression:
        """On the table, where all factors share one."""
        return Map(f, self, name) if isinstance(self.merged, Product) else self.merged.map(f, name)

    def rowwise(self, f: TensorFunction) -> Expression:
        """On the table, where all factors share one."""
        return super().rowwise(f) if isinstance(self.merged, Product) else self.merged.rowwise(f)

    def axes(self, f: TensorFunction) -> Expression:
        """f(a * b) = f(a) * f(b): factors have as many axes as their product."""
        return multiplied([factor.axes(f) for factor in self.factors])

    def along(self, dim: int, f: TensorFunction) -> Expression:
        """f(a * b) = f(a) * f(b); a factor of size one there stays as it is."""
        return multiplied([x if x.shape[dim] == 1 < self.shape[dim] else x.along(dim, f) for x in self.factors])

    def dot(self) -> Expression:
        """sum_c a_ijc b_ijc over the last axis in one pass, without the products."""
        *others, last = self.factors
        if isinstance(self.merged, Gather) or any(f.shape != last.shape for f in others):
            return self.rowwise(lambda t: t.sum(-1))
        a, b = as_gather(others[0] if len(others) == 1 else Product(others)), as_gather(last)
        return Gather(kernels.dot(a.table, a.index, b.table, b.index), None)

    def total(self, segments: Segments) -> Tensor:
        """sum_j w_ij T[j] in one pass, the columns w multiplied first; sum_j w[i] a_ij = w[i] sum_j a_ij: a receiver's factor leaves it.

        sum_j w_ij a_ij = sum over those j whose w_ij is not zero, where w is data: the other a_ij are not computed.
        """
        columns = [f for f in self.factors if prod(f.shape) == 1 < prod(self.shape)]
        wide = [f for f in self.factors if f not in columns]
        if len(wide) == 1 and columns:
            w = as_gather(_merge(columns, lambda f, g: True))
            if not isinstance(wide[0], Gather) and (rows := _not_zero(w)) is not None:
                some = Segments(segments.index[rows], segments.n)
                return kernels.product_sum(w.at(rows), None, wide[0].at(rows), None, some)
            T = as_gather(wide[0])
            return kernels.product_sum(w.table, w.index, T.table, T.index, segments)
        factors = self.merged.factors if isinstance(self.merged, Product) else (self.merged,)
        mine = [f for f in factors if isinstance(f, Gather) and f.index is segments.index and len(f.table) == segments.n]
        rest: Sequence[Expression] = [f for f in factors if f not in mine]
        if len(rest) < 2:
            total = (rest or mine)[0].total(segments)
            mine = mine if rest else mine[1:]
        else:
            form = _form([as_gather(f) for f in rest], segments) if len(rest) in (2, 3) else None
            if form is not None:
                total = form
            else:
                *others, last = [as_gather(f) for f in _by_axes(rest)]
                first = others[0] if len(others) == 1 else Gather(Product(others).value, None)
                total = _sum_of_two(first, last, segments)
        for factor in mine:
            total = total * factor.table
        return total


def _sum_of_two(a: Gather, b: Gather, segments: Segments) -> Tensor:
    """The sum of a * b; of [1, F] and [m, F] it is one pass for each of the m rows, which never meet as [E, m, F]."""
    if len(a.shape) == 2 and a.shape[0] == 1 < b.shape[0] <= MOST_PASSES and a.shape[1] == b.shape[1] > 1:
        a, b = b, a
    if len(b.shape) == 2 and b.shape[0] == 1 < a.shape[0] <= MOST_PASSES and a.shape[1] == b.shape[1] > 1:
        w = b.table[:, 0]
        each = [kernels.product_sum(w, b.index, row, a.index, segments) for row in a.table.unbind(1)]
        return torch.stack(each, 1)  # [n, m, F]
    return kernels.product_sum(a.table, a.index, b.table, b.index, segments)


def _by_axes(factors: Sequence[Expression]) -> Sequence[Expression]:
    """Factors [m, 1] and factors [1, F] of products [m, F], each multiplied with their like: [E, m, F] of them is not formed."""
    if len(factors) < 3 or any(len(f.shape) != 2 for f in factors):
        return factors
    whole = reduce(_broadcast, (f.shape for f in factors))
    kinds: dict[Shape, list[Expression]] = {}
    for f in factors:
        kinds.setdefault((1, whole[1]) if f.shape == (1, 1) else f.shape, []).append(f)
    if min(whole) < 2 or ((whole[0], 1) not in kinds and (1, whole[1]) not in kinds):
        return factors
    return [multiplied(same) for same in kinds.values()]


def _form(tables: Sequence[Gather], segments: Segments) -> Tensor | None:
    """sum_j y_ij[m] a_j[m, c] b_ij[m, c] in one pass, without the products; None where the factors are not of that form.

    y has one column for each m, and may be missing; a and b have all columns c, and one row m or all of them.
    """
    if any(len(t.shape) != 2 for t in tables):
        return None
    M, d = (max(t.shape[k] for t in tables) for k in range(2))
    y = [t for t in tables if t.shape == (M, 1) and d > 1]
    wide = [t for t in tables if t.shape in ((M, d), (1, d)) and t not in y]
    if M == 1 or len(y) > 1 or len(wide) != 2 or len(y) + 2 != len(tables) or (not y and wide[0].shape == wide[1].shape):
        return None
    a, b = wide
    w, index = (y[0].table[:, :, 0], y[0].index) if y else (None, None)
    return kernels.form_sum(w, index, a.table, a.index, b.table, b.index, segments)


def _broadcast(a: Shape, b: Shape) -> Shape:
    """As `torch.broadcast_shapes`, which takes longer than a small product."""
    if a == b:
        return a
    if len(a) != len(b) or any(p != q and p != 1 and q != 1 for p, q in zip(a, b, strict=True)):
        return tuple(torch.broadcast_shapes(a, b))
    return tuple(q if p == 1 else p for p, q in zip(a, b, strict=True))


def multiply(a: Expression, b: Expression) -> Expression:
    """Elementwise product; gathers of one width through one index are multiplied on the table."""
    return multiplied([a, b])


def multiplied(expressions: Sequence[Expression]) -> Expression:
    """Their elementwise product; functions of the same distances become one."""
    factors = [f for x in expressions for f in (x.factors if isinstance(x, Product) else [x])]
    of_distances = [f for f in factors if isinstance(f, Radial)]
    if len(of_distances) > 1:
        shape = reduce(_broadcast, (f.shape for f in of_distances))
        one = joined(of_distances, lambda *values: reduce(torch.mul, values), shape, "mul")
        factors = factors if one is None else [f for f in factors if not isinstance(f, Radial)] + [one]
    return _merge(factors, lambda f, g: f.shape == g.shape)


def _merge(factors: Sequence[Expression], also: Callable[[Gather, Gather], bool]) -> Expression:
    """Multiply factors that share an index on their table, if `also(f, g)`."""
    merged: list[Expression] = []
    for factor in factors:
        for k, other in enumerate(merged):
            if isinstance(factor, Gather) and isinstance(other, Gather) and factor.index is other.index and also(factor, other):
                merged[k] = Gather(made_of(other.table * factor.table, other.table, factor.table), other.index)
                break
        else:
            merged.append(factor)
    return merged[0] if len(merged) == 1 else Product(merged)


def _not_zero(w: Gather) -> Tensor | None:
    """The rows of a column that are not zero; None where that is not known from data alone, or they are more than half."""
    if w.table.requires_grad or torch.compiler.is_compiling():
        return None
    there = w.table.view(len(w.table)) != 0
    rows = (there if w.index is None else there[w.index]).nonzero().squeeze(1)
    return rows if 2 * len(rows) <= w.E else None
