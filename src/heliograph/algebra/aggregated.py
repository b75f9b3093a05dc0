"""Sums over neighbours that are not computed yet: nodes of equal 1-WL colour get equal messages, so each distinct one is summed once."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import final

from torch import Tensor

from heliograph import kernels, segment
from heliograph.algebra import colour
from heliograph.algebra.colour import Distinct
from heliograph.algebra.expression import Expression, Gather
from heliograph.derived import derived
from heliograph.topology import Segments

Reduce = Callable[[Expression, Segments], Tensor]


@final
class Aggregated(Expression):
    """One row for each segment: a sum, mean or maximum of the rows of `inner` in it."""

    def __init__(self, inner: Expression, segments: Segments, reduce: Reduce):
        self.inner, self.segments, self.reduce = inner, segments, reduce
        self.E, self.shape = segments.n, inner.shape

    @property
    def rows(self) -> int:
        return self.E if self.distinct is None else len(self.distinct.rows)

    @property
    def coloured(self) -> bool:
        return self.inner.coloured

    def colours(self) -> list[Tensor]:
        """That of the multiset of the colours of the segment's rows."""
        return [self.distinct.colour if self.distinct is not None else self._numbered[0]]

    @derived
    def distinct(self) -> Distinct | None:
        """One segment of each colour, where that pays."""
        colour_, rows = self._numbered
        return colour.held(colour_, rows) if rows is not None else colour.distinct([colour_])

    @derived
    def _numbered(self) -> tuple[Tensor, Tensor | None]:
        return colour.of_sums(colour.together(*self.inner.colours()), self.segments)

    def linear(self, weight: Tensor, bias: Tensor | None) -> Expression:
        """W sum_j a_j + bias = sum_j W a_j + bias, a mean likewise: on a table with fewer rows than there are distinct sums."""
        if self.reduce is _max or self.inner.rows >= self.rows:
            return super().linear(weight, bias)
        total = Aggregated(self.inner.linear(weight, None), self.segments, self.reduce)
        total._numbered = self._numbered  # the same rows are equal
        return total if bias is None else total.map(lambda t: t + bias)

    def compute(self) -> Tensor:
        return self.reduce(self.inner, self.segments)

    def _take(self, rows: Tensor) -> Expression:
        return Gather(self.at(rows), None)

    def at(self, rows: Tensor) -> Tensor:
        """The sums of some segments: only what lies in them is looked at."""
        edges, part = kernels.select_segments(rows, self.segments)
        return self.reduce(self.inner.take(edges), part)


def coloured(aggregate: Tensor, inner: Expression, segments: Segments) -> Tensor:
    """An aggregate that is computed, with its colour: equal multisets of colours, equal rows."""
    if inner.coloured and prod(inner.shape) >= colour.LEAST_WIDTH:
        colour.put(aggregate, inner.colours(), lambda *colours: colour.of_sum(colour.together(*colours), segments))
    return aggregate


def _sum(x: Expression, segments: Segments) -> Tensor:
    return x.total(segments)


def _mean(x: Expression, segments: Segments) -> Tensor:
    """mean_j = sum_j / degree, so every identity of the sum serves it."""
    total = x.total(segments)
    return total / segments.count.clamp(min=1).to(total.dtype).view(-1, *[1] * (total.dim() - 1))


def _max(x: Expression, segments: Segments) -> Tensor:
    return x.largest(segments)


def reduction(aggregate: segment.Aggregate) -> Reduce | None:
    """The same aggregate of an expression's rows, where there is one."""
    known = ((segment.sum, _sum), (segment.mean, _mean), (segment.max, _max))
    return next((reduce for function, reduce in known if function is aggregate), None)
