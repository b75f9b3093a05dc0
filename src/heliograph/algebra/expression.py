"""What an edge tensor knows about itself: expressions over tables, and the identities that keep them on the tables.

Every expression stands for E rows. `dense()` computes them; `linear`, `map`, `rowwise` and `total` (the sum over each
segment) do better where an identity allows it. Each rule says its identity in its docstring and has a test of its own
against `dense()`; all are exact up to the order of floating-point sums. A table with more rows than there are edges is never used.

    T[idx]   gather of a table T [R, ...] by idx [E]; idx = None means the edges themselves (R = E)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import prod
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph import kernels
from heliograph.algebra import colour
from heliograph.algebra.colour import Distinct, made_of
from heliograph.derived import derived
from heliograph.topology import Segments

TensorFunction = Callable[[Tensor], Tensor]
Shape = tuple[int, ...]


class Expression(ABC):
    """E rows of trailing shape `shape`, not computed yet."""

    E: int
    shape: Shape
    _taken: tuple[Tensor, Expression] | None = None  # the last of `take`

    @abstractmethod
    def compute(self) -> Tensor:
        """The E rows, computed now."""

    @derived
    def value(self) -> Tensor:
        """The E rows, computed once."""
        return self.compute()

    def linear(self, weight: Tensor, bias: Tensor | None) -> Expression:
        """x -> weight x + bias, kept open: what follows decides on how many rows it runs."""
        return Linear(self, weight, bias)

    def map(self, f: TensorFunction, name: str = "") -> Expression:
        """An elementwise f, kept open; `name` if the kernels may know it."""
        return Map(f, self, name)

    def rowwise(self, f: TensorFunction) -> Expression:
        """An f of whole rows (a norm, a slice, a reshape), never of several rows at once; once for each colour, where that is known."""
        return as_gather(self).rowwise(f)

    def axes(self, f: TensorFunction) -> Expression:
        """An f that only puts in axes of size one; it leaves a product open."""
        return self.rowwise(f)

    def along(self, dim: int, f: TensorFunction) -> Expression:
        """An f that only picks entries along the axis `dim` < 0; it leaves a product open."""
        return self.rowwise(f)

    def total(self, segments: Segments) -> Tensor:
        """Sum over each segment, [n, ...]."""
        return kernels.segment_sum(self.value, segments)

    def largest(self, segments: Segments) -> Tensor:
        """Largest value of each segment, [n, ...]."""
        return kernels.segment_max(self.value, segments)

    @property
    def rows(self) -> int:
        """On how many rows a function of this expression would run."""
        return self.E

    def parts(self) -> Sequence[Expression]:
        """What each row is a function of, row by row; nothing where that is not known."""
        return ()

    def take(self, rows: Tensor) -> Expression:
        """Some of the E rows, not computed yet: the same object for the same `rows`, so that what is used twice is computed once."""
        if self._taken is None or self._taken[0] is not rows:
            self._taken = rows, self._take(rows)
        return self._taken[1]

    def _take(self, rows: Tensor) -> Expression:
        return Gather(kernels.gather(self.value, rows), None)

    def at(self, rows: Tensor) -> Tensor:
        """Some of the E rows, computed on their own."""
        return self.take(rows).value

    @derived
    def coloured(self) -> bool:
        """Whether it is known which rows must be equal."""
        parts = self.parts()
        return bool(parts) and all(p.coloured for p in parts)

    def colours(self) -> list[Tensor]:
        """Colours [E] that together tell unequal rows apart."""
        return self._colours

    @derived
    def _colours(self) -> list[Tensor]:
        return list({id(c): c for p in self.parts() for c in p.colours()}.values())

    @derived
    def distinct(self) -> Distinct | None:
        """One row of each colour, where that pays."""
        if torch.compiler.is_compiling():
            return None
        worth = self.E >= colour.LEAST_ROWS and prod(self.shape) >= colour.LEAST_WIDTH and self.coloured
        return colour.distinct(self.colours()) if worth else None

    @derived
    def gathered(self) -> Gather:
        """As rows of one table: one row for each colour, where colours are known, else one for each edge."""
        return Gather(self.value, None) if self.distinct is None else Gather(self.at(self.distinct.rows), self.distinct.colour)


@final
class Gather(Expression):
    """T[idx]: `table` [R, ...] seen through `index` [E]."""

    def __init__(self, table: Tensor, index: Tensor | None):
        self.table, self.index = table, index
        self.E, self.shape = len(table if index is None else index), tuple(table.shape[1:])

    @property
    def small(self) -> bool:
        return self.index is not None and len(self.table) <= self.E

    @property
    def rows(self) -> int:
        return len(self.table) if self.small else self.E

    def compute(self) -> Tensor:
        return self.table if self.index is None else kernels.gather(self.table, self.index)

    def linear(self, weight: Tensor, bias: Tensor | None) -> Expression:
        """linear(T[idx]) = linear(T)[idx]."""
        return Gather(made_of(F.linear(self.table, weight, bias), self.table), self.index) if self.small else Linear(self, weight, bias)

    def map(self, f: TensorFunction, name: str = "") -> Expression:
        """f(T[idx]) = f(T)[idx] for an f that acts on each row alone."""
        return self.rowwise(f) if self.small else Map(f, self, name)

    def rowwise(self, f: TensorFunction) -> Expression:
        """The same identity; what is not on a small table runs on the edges."""
        return Gather(made_of(f(self.table), self.table), self.index) if self.small else Gather(f(self.value), None)

    def total(self, segments: Segments) -> Tensor:
        """sum_j T[i] = degree_i T[i] where the table is the receivers'; else gather and sum in one pass."""
        if self.index is segments.index and len(self.table) == segments.n:
            return self.table * _column(segments.count, self.table)
        return kernels.gather_sum(self.table, self.index, segments)

    def largest(self, segments: Segments) -> Tensor:
        """The rows are read where they are."""
        return kernels.gather_max(self.table, self.index, segments)

    def _take(self, rows: Tensor) -> Expression:
        return Gather(self.table, rows if self.index is None else self.index.index_select(0, rows))

    @property
    def coloured(self) -> bool:
        return colour.is_colour(self.index) or colour.known(self.table)

    def colours(self) -> list[Tensor]:
        """The index, where that is a colour; else the colours of the table's rows, seen through it."""
        if self.index is not None and colour.is_colour(self.index):
            return [colour.of(self.index)]
        return [colour.of(self.table) if self.index is None else colour.of(self.table).index_select(0, self.index)]


@final
class Sum(Expression):
    """T1[idx1] + T2[idx2] + ...: gathers of one shape, at most one per index."""

    def __init__(self, terms: Sequence[Gather]):
        self.terms, self.E, self.shape = tuple(terms), terms[0].E, terms[0].shape

    @property
    def rows(self) -> int:
        return sum(t.rows for t in self.terms)

    def compute(self) -> Tensor:
        return kernels.act_sum("identity", [(t.table, t.index) for t in self.terms], None)

    def parts(self) -> Sequence[Expression]:
        return self.terms

    def _take(self, rows: Tensor) -> Expression:
        return Sum([Gather(t.table, rows if t.index is None else t.index.index_select(0, rows)) for t in self.terms])

    def linear(self, weight: Tensor, bias: Tensor | None) -> Expression:
        """linear(a + b) = W a + W b + bias, on the tables, where they have fewer rows than the edges together; or once a colour."""
        once = _once(self, weight, bias, lambda rows: F.linear(self.at(rows), weight, bias), self.rows - 1)
        if once is not None:
            return once
        if self.rows >= self.E:
            return Linear(self, weight, bias)
        tables = [made_of(F.linear(t.table, weight, bias if k == 0 else None), t.table) for k, t in enumerate(self.terms)]
        return add([Gather(table, t.index) for table, t in zip(tables, self.terms, strict=True)])

    def total(self, segments: Segments) -> Tensor:
        """sum_j (a + b) = sum_j a + sum_j b: a receiver's own term needs no edges."""
        total = self.terms[0].total(segments)
        for term in self.terms[1:]:
            total = total + term.total(segments)
        return total


@final
class Plus(Expression):
    """a + b + ...: expressions of one shape that stay open, so that each is summed over edges in its own way."""

    def __init__(self, pieces: Sequence[Expression]):
        self.pieces, self.E, self.shape = tuple(pieces), pieces[0].E, pieces[0].shape

    def compute(self) -> Tensor:
        total = self.pieces[0].value
        for piece in self.pieces[1:]:
            total = total + piece.value
        return total

    def parts(self) -> Sequence[Expression]:
        return self.pieces

    def _take(self, rows: Tensor) -> Expression:
        return Plus([p.take(rows) for p in self.pieces])

    def total(self, segments: Segments) -> Tensor:
        """sum_j (a + b) = sum_j a + sum_j b."""
        total = self.pieces[0].total(segments)
        for piece in self.pieces[1:]:
            total = total + piece.total(segments)
        return total

    def axes(self, f: TensorFunction) -> Expression:
        """f(a + b) = f(a) + f(b)."""
        return Plus([p.axes(f) for p in self.pieces])

    def along(self, dim: int, f: TensorFunction) -> Expression:
        """f(a + b) = f(a) + f(b)."""
        return Plus([p.along(dim, f) for p in self.pieces])


@final
class Cat(Expression):
    """Concatenation along the last axis."""

    def __init__(self, pieces: Sequence[Expression]):
        self.pieces, self.E = tuple(pieces), pieces[0].E
        self.shape = (*pieces[0].shape[:-1], sum(p.shape[-1] for p in pieces))

    def compute(self) -> Tensor:
        return torch.cat([p.value for p in self.pieces], -1)

    def parts(self) -> Sequence[Expression]:
        return self.pieces

    def _take(self, rows: Tensor) -> Expression:
        return Cat([p.take(rows) for p in self.pieces])

    def linear(self, weight: Tensor, bias: Tensor | None) -> Expression:
        """linear(cat(a, b, c)) = A a + B b + C c + bias with W = [A B C]; what lives on edges anyway stays one matmul."""
        blocks = weight.split([p.shape[-1] for p in self.pieces], -1)
        small = [(p, w) for p, w in zip(self.pieces, blocks, strict=True) if p.rows < self.E]
        large = [(p, w) for p, w in zip(self.pieces, blocks, strict=True) if p.rows >= self.E]
        if not small:
            return Linear(self, weight, bias)
        done = [p.linear(w, None) for p, w in small]
        if large:
            joined = torch.cat([p.value for p, _ in large], -1) if len(large) > 1 else large[0][0].value
            done.append(Gather(F.linear(joined, torch.cat([w for _, w in large], -1), bias), None))
        elif bias is not None:
            done[0] = add([*terms(done[0])[:-1], Gather(terms(done[0])[-1].table + bias, terms(done[0])[-1].index)])
        return add([t for d in done for t in terms(d)])

    def total(self, segments: Segments) -> Tensor:
        """sum_j cat(a, b) = cat(sum_j a, sum_j b)."""
        return torch.cat([p.total(segments) for p in self.pieces], -1)

    def map(self, f: TensorFunction, name: str = "") -> Expression:
        """f(cat(a, b)) = cat(f(a), f(b)) for an elementwise f."""
        return Cat([p.map(f, name) for p in self.pieces])


@final
class Map(Expression):
    """f(a), elementwise, not computed yet; `name` is f's among the activations that the kernels fuse with a sum, or nothing."""

    def __init__(self, f: TensorFunction, inner: Expression, name: str = ""):
        self.f, self.inner, self.E, self.shape = f, inner, inner.E, inner.shape
        self.name = name if name in kernels.ACTIVATIONS and isinstance(inner, (Sum, Gather)) else ""

    def parts(self) -> Sequence[Expression]:
        return (self.inner,)

    def _take(self, rows: Tensor) -> Expression:
        return Map(self.f, self.inner.take(rows), self.name)

    def compute(self) -> Tensor:
        """f(a[idx1] + b[idx2] + ...) in one pass where f is known."""
        if self.name and isinstance(self.inner, Sum):
            return kernels.act_sum(self.name, [(t.table, t.index) for t in self.inner.terms], None)
        return self.f(self.inner.value)

    def total(self, segments: Segments) -> Tensor:
        """sum_j f(a[j] + b[i] + c[ij]) in one pass: nothing of size E but what has rows of its own there."""
        if self.name:
            return kernels.act_sum(self.name, [(t.table, t.index) for t in terms(self.inner)], segments)
        return kernels.segment_sum(self.value, segments)


@final
class Linear(Expression):
    """W a + bias on E rows, not computed yet; `view` is the trailing shape it is seen in (a matrix per edge, say)."""

    def __init__(self, inner: Expression, weight: Tensor, bias: Tensor | None, view: Shape | None = None):
        self.inner, self.weight, self.bias, self.E = inner, weight, bias, inner.E
        self.shape = view or (*inner.shape[:-1], len(weight))

    def compute(self) -> Tensor:
        """Once for each colour, where that is known."""
        if self.distinct is not None:
            return as_gather(self).compute()
        return F.linear(self.inner.value, self.weight, self.bias).view(self.E, *self.shape)

    def parts(self) -> Sequence[Expression]:
        return (self.inner,)

    def _take(self, rows: Tensor) -> Expression:
        return Linear(self.inner.take(rows), self.weight, self.bias, self.shape)

    def at(self, rows: Tensor) -> Tensor:
        return F.linear(self.inner.at(rows), self.weight, self.bias).view(len(rows), *self.shape)

    @derived
    def gathered(self) -> Gather:
        """Once for each colour: a linear map is what may be kept from batch to batch."""
        return _once(self, self.weight, self.bias, self.at, self.E) or Gather(self.value, None)

    def total(self, segments: Segments) -> Tensor:
        """sum_j (W a_j + bias) = W sum_j a_j + degree bias: the matmul runs on the segments, where they are fewer."""
        if segments.n >= self.E:
            return kernels.segment_sum(self.value, segments)
        total = F.linear(self.inner.total(segments), self.weight)
        if self.bias is not None:
            total = total + _column(segments.count, total) * self.bias
        return total.view(segments.n, *self.shape)


def as_gather(x: Expression) -> Gather:
    """An expression as rows of one table."""
    return x if isinstance(x, Gather) else x.gathered


def _once(x: Expression, weight: Tensor, bias: Tensor | None, at: TensorFunction, most: int) -> Gather | None:
    """A linear map for one row of each of x's colours; None where they are not known, or more than `most` would have to be computed."""
    if x.distinct is None:
        return None
    table = colour.once([weight] if bias is None else [weight, bias], x.distinct, at, most)
    return None if table is None else Gather(table, x.distinct.colour)


def terms(x: Expression) -> list[Gather]:
    """An expression as a list of gathers that add up to it."""
    if isinstance(x, Sum):
        return list(x.terms)
    return [as_gather(x)]


def add(gathers: Sequence[Gather]) -> Expression:
    """Sum of gathers of one shape; those through one index are added on the table: T[idx] + U[idx] = (T + U)[idx]."""
    merged: list[Gather] = []
    for term in gathers:
        for k, other in enumerate(merged):
            if term.index is other.index and len(term.table) == len(other.table):
                merged[k] = Gather(made_of(other.table + term.table, other.table, term.table), other.index)
                break
        else:
            merged.append(term)
    return merged[0] if len(merged) == 1 else Sum(merged)


def concatenate(parts: Sequence[Expression]) -> Expression:
    """cat(T[idx], U[idx]) = cat(T, U)[idx]; parts seen through several indices stay apart until something mixes them."""
    gathers = [p for p in parts if isinstance(p, Gather) and p.small]
    one = gathers[0] if len(gathers) == len(parts) else None
    same = one is not None and all(g.index is one.index and len(g.table) == len(one.table) for g in gathers)
    return Gather(torch.cat([g.table for g in gathers], -1), gathers[0].index) if same else Cat(parts)


def pieces(x: Expression) -> list[Expression]:
    """An expression as what adds up to it, each left open."""
    return list(x.pieces) if isinstance(x, Plus) else [x]


def reshape(x: Expression, f: TensorFunction, shape: Shape) -> Expression:
    """A change of trailing shape; an open linear stays open."""
    if isinstance(x, Linear) and prod(shape) == prod(x.shape):
        return Linear(x.inner, x.weight, x.bias, shape) if len(x.inner.shape) == 1 else x.rowwise(f)
    return x.rowwise(f)


def _column(x: Tensor, like: Tensor) -> Tensor:
    return x.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
