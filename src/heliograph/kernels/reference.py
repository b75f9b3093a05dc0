"""Plain PyTorch kernels: differentiable as often as one likes, on every device. All others are tested against these."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heliograph.graph import Segments


def gather(table: Tensor, index: Int[Tensor, " M"]) -> Tensor:
    """table[index], [M, ...]. `index_select` because its gradient is one `index_add`."""
    return table.index_select(0, index)


def segment_sum(x: Float[Tensor, "M ..."], segments: Segments) -> Float[Tensor, "n ..."]:
    """Sum of each segment's rows, [n, ...]; zero for an empty segment."""
    return x.new_zeros(segments.n, *x.shape[1:]).index_add(0, segments.index, x)


def segment_max(x: Float[Tensor, "M ..."], segments: Segments) -> Float[Tensor, "n ..."]:
    """Largest value of each segment, [n, ...]; zero for an empty segment. Of equal values the first takes the gradient."""
    index = segments.index.view(-1, *[1] * (x.dim() - 1)).expand_as(x)
    with torch.no_grad():
        top = x.new_zeros(segments.n, *x.shape[1:]).scatter_reduce(0, index, x, "amax", include_self=False)
        row = torch.arange(len(x), device=x.device).view(-1, *[1] * (x.dim() - 1)).expand_as(x)
        last = torch.full_like(top, len(x), dtype=torch.long)
        where = last.scatter_reduce(0, index, torch.where(x == gather(top, segments.index), row, len(x)), "amin")
    padded = torch.cat([x, x.new_zeros(1, *x.shape[1:])])  # row M stands for "empty" (and for NaN, which equals nothing)
    return padded.gather(0, where)


def outer_sum(phi: Float[Tensor, "M K"], x: Float[Tensor, "M d"], segments: Segments) -> Float[Tensor, "n K d"]:
    """Sum of outer products phi (x) x over each segment: segments are padded to the longest and multiplied as one batch."""
    n, D = segments.n, segments.longest
    place = segments.index * D + segments.rank
    pad_phi = phi.new_zeros(n * D, phi.shape[1]).index_copy(0, place, phi).view(n, D, -1)
    pad_x = x.new_zeros(n * D, x.shape[1]).index_copy(0, place, x).view(n, D, -1)
    return pad_phi.transpose(1, 2) @ pad_x
