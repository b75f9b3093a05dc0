"""Plain PyTorch kernels: differentiable as often as one likes, on every device. All others are tested against these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from heliograph.topology import Segments

Index = Int[Tensor, " E"] | None  # which row of a table each edge uses; None: edge e uses row e
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {  # those that a sum can be fused with
    "identity": lambda x: x,
    "relu": torch.relu,
    "silu": F.silu,
    "shifted_softplus": lambda x: F.softplus(x) - log(2.0),
}


def gather(table: Tensor, index: Index) -> Tensor:
    """table[index], [E, ...]."""
    return table if index is None else table.index_select(0, index)


def segment_sum(x: Float[Tensor, "M ..."], segments: Segments) -> Float[Tensor, "n ..."]:
    """Sum of each segment's rows, [n, ...]; zero for an empty segment."""
    return x.new_zeros(segments.n, *x.shape[1:]).index_add(0, segments.index, x)


def gather_sum(table: Float[Tensor, "R ..."], index: Index, segments: Segments) -> Float[Tensor, "n ..."]:
    """Sum of table[index] over each segment."""
    return segment_sum(gather(table, index), segments)


def product_sum(a: Tensor, a_index: Index, b: Tensor, b_index: Index, segments: Segments) -> Tensor:
    """Sum of a[a_index] * b[b_index] over each segment; trailing axes of size one broadcast."""
    return segment_sum(gather(a, a_index) * gather(b, b_index), segments)


def form_sum(y: Tensor | None, y_index: Index, a: Tensor, a_index: Index, b: Tensor, b_index: Index, segments: Segments) -> Tensor:
    """Sum of y[y_index] * a[a_index] * b[b_index] over each segment, [n, M, d]; y [Q, M] or None, a and b [R, M or 1, d]."""
    product = gather(a, a_index) * gather(b, b_index)
    return segment_sum(product if y is None else gather(y, y_index)[:, :, None] * product, segments)


def coupled_sum(
    y: Tensor, y_index: Index, a: Tensor, a_index: Index, b: Tensor, b_index: Index, terms: Tensor, rows: int, segments: Segments
) -> Tensor:
    """Sum over terms k of y[k] * a[terms[0, k]] * b[terms[1, k]] into row terms[2, k], and over each segment, [n, rows, d]."""
    product = gather(y, y_index)[:, :, None] * gather(a[:, terms[0]], a_index) * gather(b[:, terms[1]], b_index)
    total = segment_sum(product, segments)
    return total.new_zeros(segments.n, rows, total.shape[2]).index_add(1, terms[2], total)


def polynomial(w: Tensor, index: Tensor, x: Tensor, terms: Tensor, rows: int) -> Tensor:
    """Sum over terms k of w[index, k] * x[terms[0, k]] * x[terms[1, k]] * x[terms[2, k]] into row terms[3, k], [N, rows, d]."""
    product = gather(w, index) * x[:, terms[0]] * x[:, terms[1]] * x[:, terms[2]]
    return product.new_zeros(len(x), rows, x.shape[2]).index_add(1, terms[3], product)


def dot(a: Tensor, a_index: Index, b: Tensor, b_index: Index) -> Tensor:
    """Sum over the last axis of a[a_index] * b[b_index], edge by edge."""
    return (gather(a, a_index) * gather(b, b_index)).sum(-1)


def act_sum(name: str, terms: Sequence[tuple[Tensor, Index]], segments: Segments | None) -> Tensor:
    """Sum of f(T1[idx1] + T2[idx2] + ...) over each segment; `segments` None: of each edge on its own, [E, ...]."""
    total = gather(*terms[0])
    for term in terms[1:]:
        total = total + gather(*term)
    value = ACTIVATIONS[name](total)
    return value if segments is None else segment_sum(value, segments)


def gather_max(table: Float[Tensor, "R ..."], index: Index, segments: Segments) -> Float[Tensor, "n ..."]:
    """Largest value of table[index] in each segment; zero for an empty segment. Of equal values the first takes the gradient."""
    x = gather(table, index)
    place = segments.index.view(-1, *[1] * (x.dim() - 1)).expand_as(x)
    with torch.no_grad():
        top = x.new_zeros(segments.n, *x.shape[1:]).scatter_reduce(0, place, x, "amax", include_self=False)
        row = torch.arange(len(x), device=x.device).view(-1, *[1] * (x.dim() - 1)).expand_as(x)
        last = torch.full_like(top, len(x), dtype=torch.long)
        here = (x == gather(top, segments.index)) | x.isnan()
        where = last.scatter_reduce(0, place, torch.where(here, row, len(x)), "amin")
    padded = torch.cat([x, x.new_zeros(1, *x.shape[1:])])  # row M stands for "empty"
    return padded.gather(0, where)


def outer_sum(
    phi: Float[Tensor, "Q K"], phi_index: Index, x: Float[Tensor, "R d"], x_index: Index, segments: Segments
) -> Float[Tensor, "n K d"]:
    """Sum of outer products phi[phi_index] (x) x[x_index] over each segment.

    Segments are padded to the longest and multiplied as one batch; where that would be mostly padding, edge by edge.
    """
    a, b = gather(phi, phi_index), gather(x, x_index)
    n, D = segments.n, segments.longest
    if n * D > 4 * len(a):
        return segment_sum(a[:, :, None] * b[:, None, :], segments)
    place = segments.index * D + segments.rank
    pad_a = a.new_zeros(n * D, a.shape[1]).index_copy(0, place, a).view(n, D, a.shape[1])
    pad_b = b.new_zeros(n * D, b.shape[1]).index_copy(0, place, b).view(n, D, b.shape[1])
    return pad_a.transpose(1, 2) @ pad_b


def dropout(x: Tensor, p: float) -> Tensor:
    """Each element zeroed with probability p, the others divided by 1 - p."""
    return F.dropout(x, p)
