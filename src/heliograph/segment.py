"""Aggregations: (values [M, ...], segments) -> [n, ...], one row a segment, whatever the order of its rows.

Written once for edges -> receivers and nodes -> graphs. An empty segment gives zero (softmax: nothing). All are
differentiable twice, and they take lazy edge tensors too: `sum` and `mean` then use what linearity allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from heliograph import kernels
from heliograph.topology import Segments

Aggregate = Callable[[Tensor, Segments], Tensor]


def _column(x: Tensor, like: Tensor) -> Tensor:
    """A vector [n] with as many trailing axes as `like` has."""
    return x.to(like.dtype).view(-1, *[1] * (like.dim() - 1))


def sum(x: Tensor, segments: Segments) -> Tensor:
    """Sum of each segment's rows."""
    if has_torch_function_unary(x):
        return _dispatch(sum, x, segments)
    return kernels.segment_sum(x, segments)


def mean(x: Tensor, segments: Segments) -> Tensor:
    """Mean of each segment's rows."""
    if has_torch_function_unary(x):
        return _dispatch(mean, x, segments)
    total = kernels.segment_sum(x, segments)
    return total / _column(segments.count.clamp(min=1), total)


def max(x: Tensor, segments: Segments) -> Tensor:
    """Return the largest value of each segment, per channel; of equal values the first takes the gradient."""
    if has_torch_function_unary(x):
        return _dispatch(max, x, segments)
    return kernels.segment_max(x, segments)


def min(x: Tensor, segments: Segments) -> Tensor:
    """Return the smallest value of each segment, per channel."""
    return -max(-x, segments)


def std(x: Tensor, segments: Segments, epsilon: float = 1e-5) -> Tensor:
    """sqrt(variance + epsilon) with the variance over n rows (not n - 1); `epsilon` keeps the gradient finite. Empty: zero."""
    if has_torch_function_unary(x):
        return _dispatch(std, x, segments, epsilon)
    centred = x - kernels.gather(mean(x, segments), segments.index)
    root = (mean(centred * centred, segments) + epsilon).sqrt()
    return root * _column(segments.count > 0, root)


def prod(x: Tensor, segments: Segments) -> Tensor:
    """Product of each segment's rows; one, the empty product, for an empty segment.

    Neighbouring rows are multiplied in rounds (log2 of the longest segment), which stays exact and differentiable at zeros.
    """
    if has_torch_function_unary(x):
        return _dispatch(prod, x, segments)
    index, rank, longest = segments.index, segments.rank, segments.longest
    while longest > 1:
        left = (rank % 2 == 0).nonzero().squeeze(1)
        right = left + 1
        inside = right.clamp(max=len(index) - 1)
        joined = (right < len(index)) & (index[inside] == index[left])
        x = x[left] * torch.where(_column(joined, x).bool(), x[inside], torch.ones_like(x[left]))
        index, rank, longest = index[left], rank[left] // 2, (longest + 1) // 2
    return x.new_ones(segments.n, *x.shape[1:]).index_copy(0, index, x)


def softmax(x: Tensor, segments: Segments) -> Tensor:
    """exp(x) over its sum in the segment, [M, ...]: weights that add up to one in each segment. Not to be changed in place."""
    if has_torch_function_unary(x):
        return _dispatch(softmax, x, segments)
    return kernels.softmax(x, segments)


def _dispatch(function: Callable[..., Tensor], x: Tensor, *rest: Any) -> Tensor:
    result: Tensor = handle_torch_function(function, (x,), x, *rest)
    return result
