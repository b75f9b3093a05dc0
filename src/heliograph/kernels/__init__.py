"""Reductions and gathers, each on the fastest loops that the machine offers for its tensors.

`reference` is plain PyTorch and runs everywhere. `cpu` (numba) and, for tensors on a GPU, `cuda` (Triton) take float32 and float64; both
are behind the operators of `ops`, `outer`, `maxima`, `segment_softmax` and `noise`.
`HELIOGRAPH_KERNELS=reference`, or `with use("reference")`, keeps to the first. `index` None means that edge e uses row e.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from math import prod

import torch
from torch import Tensor

from heliograph.errors import UsageError, suggest
from heliograph.kernels import reference
from heliograph.kernels.operator import PLAIN
from heliograph.kernels.reference import ACTIVATIONS, Index
from heliograph.topology import Segments

__all__ = ["ACTIVATIONS", "act_sum", "chosen", "compile_all", "coupled_sum", "dot", "dropout", "factorize", "form_sum", "gather",
           "gather_max", "gather_sum", "interpolate", "multisets", "outer_sum", "polynomial", "product_sum", "segment_max", "segment_sum",
           "select_segments", "shifted_softplus", "softmax", "use"]  # fmt: skip

SETS = ("fused", "reference")


def _known(kernels: str) -> str:
    if kernels not in SETS:
        raise UsageError(f"there are no kernels {kernels!r} (HELIOGRAPH_KERNELS): {suggest(kernels, SETS)}")
    return kernels


_fallback: str = _known(os.environ.get("HELIOGRAPH_KERNELS", "fused" if find_spec("numba") else "reference"))
_set: ContextVar[str | None] = ContextVar("kernels", default=None)


def chosen() -> str:
    """The set of kernels in use, "fused" or "reference"."""
    return _set.get() or _fallback


chosen._dynamo_marked_constant = True  # type: ignore[attr-defined]  # torch.compiler.assume_constant_result, which imports all of the compiler


@contextmanager
def use(kernels: str) -> Iterator[None]:
    """Keep to one set of kernels, "fused" or "reference", inside a `with` block.

    What `torch.compile` has made keeps to the set that was in use when it was made.
    """
    token = _set.set(_known(kernels))
    try:
        yield
    finally:
        _set.reset(token)


def _fused(*tables: Tensor) -> bool:
    """Whether there are loops for these tables: together on the CPU or a GPU, of one precision that they know (or under autocast)."""
    device = tables[0].device
    if chosen() == "reference" or not (device.type == "cpu" or (device.type == "cuda" and (torch.compiler.is_compiling() or _triton()))):
        return False
    if any(t.device != device for t in tables):
        return False
    types = {t.dtype for t in tables}
    return torch.is_autocast_enabled(device.type) or (len(types) == 1 and types <= {torch.float32, torch.float64})


def _fit(E: int, *columns: tuple[Tensor, Index]) -> bool:
    """Whether there is a row for each of E edges: the loops don't look; plain PyTorch broadcasts a single row, or says what is wrong."""
    return torch.compiler.is_compiling() or all((table if index is None else index).shape[0] == E for table, index in columns)


@lru_cache
def _triton() -> bool:
    """Whether Triton is there and its kernels run: it needs a C compiler, and a GPU that it knows."""
    if find_spec("triton") is None:
        return False
    try:
        from heliograph.kernels import cuda

        cuda.shifted_softplus(torch.zeros(1, device="cuda"), torch.zeros(1, device="cuda"))
    except Exception as error:  # whatever keeps it from running
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(f"Triton's kernels don't run here, plain PyTorch does ({reason})", stacklevel=2)
        return False
    return True


def _flat(x: Tensor) -> Tensor:
    """[R, ...] as [R, d], contiguous."""
    return (x if x.dim() == 2 else x.reshape(len(x), prod(x.shape[1:]))).contiguous()


def _shaped(x: Tensor, trailing: Sequence[int]) -> Tensor:
    """[n, d] as [n, *trailing]."""
    return x if x.shape[1:] == trailing else x.view(len(x), *trailing)


def gather(table: Tensor, index: Index) -> Tensor:
    """table[index], [E, ...]."""
    if index is None or not _fused(table) or not table.requires_grad:
        return reference.gather(table, index)
    from heliograph.kernels import ops

    x = _flat(table)
    return _shaped(ops.grouped(x, ops.column(index, len(x), True), ops.EDGES, len(index)), table.shape[1:])


def segment_sum(x: Tensor, segments: Segments) -> Tensor:
    """Sum of each segment's rows, [n, ...]; zero for an empty segment."""
    return gather_sum(x, None, segments)


def gather_sum(table: Tensor, index: Index, segments: Segments) -> Tensor:
    """Sum of table[index] over each segment, [n, ...]."""
    if not _fused(table) or not _fit(len(segments.index), (table, index)):
        return reference.gather_sum(table, index, segments)
    from heliograph.kernels import ops

    x = _flat(table)
    out = ops.grouped(x, ops.column(index, len(x), x.requires_grad), ops.by_segments(segments), segments.n)
    return _shaped(out, table.shape[1:])


def product_sum(a: Tensor, a_index: Index, b: Tensor, b_index: Index, segments: Segments) -> Tensor:
    """Sum of a[a_index] * b[b_index] over each segment, [n, ...]. One of the two may have trailing axes of size one (a weight per head).

    [K, 1] times [1, d] is a sum of outer products.
    """
    if a.dim() == 3 and b.shape[2] == a.shape[1] == 1:
        a, a_index, b, b_index = b, b_index, a, a_index
    if a.dim() == 3 and a.shape[2] == b.shape[1] == 1:
        return outer_sum(a[:, :, 0], a_index, b[:, 0], b_index, segments)
    if prod(a.shape[1:]) > prod(b.shape[1:]):
        a, a_index, b, b_index = b, b_index, a, a_index
    fit = _fit(len(segments.index), (a, a_index), (b, b_index))
    if not _fused(a, b) or not fit or not _per_head(a.shape[1:], b.shape[1:]) or not b.numel():
        return reference.product_sum(a, a_index, b, b_index, segments)
    from heliograph.kernels import ops

    x, y = _flat(a), _flat(b)
    of_a, of_b = ops.column(a_index, len(x), x.requires_grad), ops.column(b_index, len(y), y.requires_grad)
    out = ops.product_sum(x, y, of_a, of_b, ops.by_segments(segments), segments.n)
    return _shaped(out, b.shape[1:])


def dot(a: Tensor, a_index: Index, b: Tensor, b_index: Index) -> Tensor:
    """Dot products over the last axis of a[a_index] and b[b_index], edge by edge, [E, ...] for tables [R, ..., d] of one trailing shape."""
    E = len(next((i for i in (a_index, b_index) if i is not None), a))
    if not _fused(a, b) or not _fit(E, (a, a_index), (b, b_index)) or a.shape[1:] != b.shape[1:] or not a.numel() or not b.numel():
        return reference.dot(a, a_index, b, b_index)
    from heliograph.kernels import ops

    x, y = _flat(a), _flat(b)
    of_a, of_b = ops.column(a_index, len(x), x.requires_grad), ops.column(b_index, len(y), y.requires_grad)
    out: Tensor = ops.dot_sum(x, y, of_a, of_b, ops.EDGES, E, prod(a.shape[1:-1]))
    return out.view(E, *a.shape[1:-1])


def act_sum(name: str, terms: Sequence[tuple[Tensor, Index]], segments: Segments | None) -> Tensor:
    """Sum of f(T1[idx1] + T2[idx2] + ...) over each segment; `segments` None: of each edge on its own, [E, ...].

    f is one of ACTIVATIONS. Four terms at most go through one pass; the others are added before.
    """
    tables = [t for t, _ in terms]
    E = len(next((i for _, i in terms if i is not None), tables[0]) if segments is None else segments.index)
    if not _fused(*tables) or not _fit(E, *terms):
        return reference.act_sum(name, terms, segments)
    from heliograph.kernels import ops

    if len(terms) > 4:
        others = reference.act_sum("identity", terms[3:], None)
        return act_sum(name, [*terms[:3], (others, None)], segments)
    flat = [_flat(t) for t in tables]
    columns = [c for x, (_, i) in zip(flat, terms, strict=True) for c in ops.column(i, len(x), x.requires_grad)]
    n = E if segments is None else segments.n
    out = ops.act_sum(ops.KINDS[name], *flat, *[None] * (4 - len(flat)), columns, ops.by_segments(segments), n)
    return _shaped(out, tables[0].shape[1:])


def outer_sum(phi: Tensor, phi_index: Index, x: Tensor, x_index: Index, segments: Segments) -> Tensor:
    """Sum of outer products phi[phi_index] (x) x[x_index] over each segment, [n, K, d]; phi [Q, K], x [R, d]."""
    if not _fused(phi, x) or not _fit(len(segments.index), (phi, phi_index), (x, x_index)):
        return reference.outer_sum(phi, phi_index, x, x_index, segments)
    from heliograph.kernels import ops, outer

    phi, x = phi.contiguous(), x.contiguous()
    of_phi, of_x = ops.column(phi_index, len(phi), phi.requires_grad), ops.column(x_index, len(x), x.requires_grad)
    result: Tensor = outer.outer_sum(phi, x, of_phi, of_x, ops.by_segments(segments), segments.n)
    return result


def _per_head(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether a's axes are b's first ones, followed by ones."""
    same = next((k for k, (p, q) in enumerate(zip(a, b, strict=True)) if p != q), len(a))
    return all(size == 1 for size in a[same:])


def shifted_softplus(x: Tensor) -> Tensor:
    """ln(exp(x) / 2 + 1 / 2), elementwise."""
    if not _fused(x):
        return ACTIVATIONS["shifted_softplus"](x)
    from heliograph.kernels import ops

    result: Tensor = ops.shifted_softplus(x.contiguous())
    return result


def dropout(x: Tensor, p: float) -> Tensor:
    """Each element zeroed with probability p, the others divided by 1 - p. PyTorch's generator gives the mask's seed, not each element."""
    # neither a compiler, nor tensors without data, nor a captured graph can do with a number that is drawn now
    plain = torch.compiler.is_compiling() or type(x) not in PLAIN or (x.is_cuda and torch.cuda.is_current_stream_capturing())
    if plain or not 0 < p < 1 or not _fused(x):
        return reference.dropout(x, p)
    from heliograph.kernels import noise

    seed = int(torch.randint(1 << 62, (), device="cpu"))
    single = x if x.dtype in (torch.float32, torch.float64) else x.float()
    result: Tensor = noise.dropout(single.contiguous(), seed, p).to(x.dtype)
    return result


def segment_max(x: Tensor, segments: Segments) -> Tensor:
    """Largest value of each segment, [n, ...]; zero for an empty segment. Of equal values the first takes the gradient."""
    return gather_max(x, None, segments)


def gather_max(table: Tensor, index: Index, segments: Segments) -> Tensor:
    """Largest value of table[index] in each segment, [n, ...]; zero for an empty one. Of equal values the first takes the gradient."""
    if not _fused(table) or not _fit(len(segments.index), (table, index)) or not table.numel():
        return reference.gather_max(table, index, segments)
    from heliograph.kernels import maxima, ops

    x = _flat(table)
    best = maxima.argmax(x.detach(), index, segments.pointer)  # [n, d]
    out = maxima.take_best(x, best, ops.column(index, len(x), x.requires_grad), ops.by_segments(segments))
    return _shaped(out, table.shape[1:])


def form_sum(y: Tensor | None, y_index: Index, a: Tensor, a_index: Index, b: Tensor, b_index: Index, segments: Segments) -> Tensor:
    """Sum of y[y_index] * a[a_index] * b[b_index] over each segment, [n, M, d]; y [Q, M] or None, a and b [R, M or 1, d]."""
    columns = [(a, a_index), (b, b_index), *([] if y is None else [(y, y_index)])]
    tables = [t for t, _ in columns]
    if not _fused(*tables) or a.is_cuda or not _fit(len(segments.index), *columns) or not all(t.numel() for t in tables):
        return reference.form_sum(y, y_index, a, a_index, b, b_index, segments)
    from heliograph.kernels import form, ops

    a, b, y = a.contiguous(), b.contiguous(), None if y is None else y.contiguous()
    of_y, of_a, of_b = (
        ops.EDGES if t is None else ops.column(i, len(t), t.requires_grad) for t, i in ((y, y_index), (a, a_index), (b, b_index))
    )
    rows = max(a.shape[1], b.shape[1], 1 if y is None else y.shape[1])
    result: Tensor = form.form_sum(y, a, b, of_y, of_a, of_b, ops.by_segments(segments), segments.n, rows)
    return result


def coupled_sum(
    y: Tensor, y_index: Index, a: Tensor, a_index: Index, b: Tensor, b_index: Index, terms: Tensor, rows: int, segments: Segments
) -> Tensor:
    """Sum over terms k of y[k] * a[terms[0, k]] * b[terms[1, k]] into row terms[2, k], and over each segment: [n, rows, d].

    y [Q, K], a [R, A, d], b [R', B, d], terms [3, K]: features coupled by a list, `form_sum` being the list of m with m and m.
    """
    columns = [(y, y_index), (a, a_index), (b, b_index)]
    if not _fused(y, a, b) or a.is_cuda or not _fit(len(segments.index), *columns) or not all(t.numel() for t, _ in columns):
        return reference.coupled_sum(y, y_index, a, a_index, b, b_index, terms, rows, segments)
    from heliograph.kernels import form, ops

    y, a, b = y.contiguous(), a.contiguous(), b.contiguous()
    of_y, of_a, of_b = (ops.column(i, len(t), t.requires_grad) for t, i in ((y, y_index), (a, a_index), (b, b_index)))
    result: Tensor = form.coupled_sum(y, a, b, of_y, of_a, of_b, ops.by_segments(segments), list(terms.unbind()), segments.n, rows)
    return result


def polynomial(w: Tensor, index: Tensor, x: Tensor, terms: Tensor, rows: int) -> Tensor:
    """Sum over terms k of w[index, k] * x[terms[0, k]] * x[terms[1, k]] * x[terms[2, k]] into row terms[3, k]: [N, rows, d].

    w [Z, K, d], a row of it for each node by `index` [N], x [N, M, d], terms [4, K]: cubic polynomials, channel by channel.
    """
    if not _fused(w, x) or x.is_cuda or not w.numel() or not x.numel():
        return reference.polynomial(w, index, x, terms, rows)
    from heliograph.kernels import form, ops

    w, x = w.contiguous(), x.contiguous()
    of_w, own = ops.column(index, len(w), w.requires_grad), torch.arange(w.shape[1])
    result: Tensor = form.terms_sum(w, x, x, x, of_w, *[ops.EDGES] * 4, [own, *terms.unbind()], len(x), rows)
    return result


def interpolate(table: Tensor, r: Tensor, step: float) -> Tensor:
    """A function [P, F] at r [P] or [P, 1], from its values [K, F] at step * (j - knots.MARGIN). 0 <= r <= step * (K - TAPS + 1)."""
    from heliograph.kernels import knots

    k, r = knots.interval(r, step, len(table) - knots.TAPS + 1), r.view(-1)
    if not _fused(table, r) or r.device.type != "cpu":
        return knots.plain(table, r, k, step)
    result: Tensor = knots.knots_value(table, None, r, k, step, 0)
    return result


def softmax(x: Tensor, segments: Segments) -> Tensor:
    """exp(x) over its sum in the segment, [M, ...]: weights that add up to one in each segment."""
    # a GPU's kernel goes through a segment one row after the other: long ones (64: as `cuda.LONG`) are better summed in parts
    serial = x.is_cuda and not torch.compiler.is_compiling() and len(x) > 64 * segments.n
    if serial or not _fused(x) or not _fit(len(segments.index), (x, None)) or not x.numel():
        weight = (x - gather(segment_max(x.detach(), segments), segments.index)).exp()
        return weight / gather(segment_sum(weight, segments), segments.index)
    from heliograph.kernels import ops, segment_softmax

    return _shaped(segment_softmax.softmax(_flat(x), ops.by_segments(segments), segments.n), x.shape[1:])


def factorize(columns: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
    """A number 0, 1, ... for each row of several columns of whole numbers [n] (>= 0, below 2^31), equal for equal rows alone; where
    each appears first. None where there is no loop for it."""
    if chosen() == "reference" or columns[0].device.type != "cpu":
        return None
    from heliograph.kernels import numbering

    number, *others = [c.contiguous() for c in columns]
    for other in others or [number]:
        result, rows = torch.empty_like(number), torch.empty_like(number)
        count = numbering.number_pairs(number.numpy(), other.numpy(), result.numpy(), rows.numpy())
        number = result
    return number, rows[:count]


def multisets(values: Tensor, segments: Segments) -> tuple[Tensor, Tensor] | None:
    """The same of the multisets of values [M] in each segment, [n]."""
    if chosen() == "reference" or values.device.type != "cpu":
        return None
    from heliograph.kernels import numbering

    number, rows = values.new_empty(segments.n), values.new_empty(segments.n)
    count = numbering.number_multisets(values.contiguous().numpy(), segments.pointer.numpy(), number.numpy(), rows.numpy())
    return number, rows[:count]


def select_segments(rows: Tensor, segments: Segments) -> tuple[Tensor, Segments]:
    """What lies in some segments, one after the other: which rows of all, [M'], and those segments alone."""
    count = segments.pointer.index_select(0, rows + 1) - segments.pointer.index_select(0, rows)
    total = int(count.sum())
    if chosen() == "reference" or rows.device.type != "cpu":
        part = Segments(torch.repeat_interleave(torch.arange(len(rows), device=rows.device), count, output_size=total), len(rows))
        return segments.pointer[rows][part.index] + part.rank, part
    from heliograph.kernels import numbering

    edges, index = rows.new_empty(total), rows.new_empty(total)
    numbering.select_segments(rows.numpy(), segments.pointer.numpy(), edges.numpy(), index.numpy())
    return edges, Segments(index, len(rows))


def compile_all() -> None:
    """Compile every loop that training and prediction in float32 use, so that the first run need not wait. Nothing where none are used."""
    if chosen() == "reference":
        return
    from heliograph.kernels import ops  # noqa: F401  (registers the operators)

    index = torch.tensor([0, 0])
    segments, x, w = Segments(index, 1), torch.ones(1, 2, requires_grad=True), torch.ones(2, 1, requires_grad=True)
    w = softmax(w, Segments(index, 1))
    y = (
        product_sum(x, index, w, None, segments)
        + outer_sum(w, None, x, index, segments)[:, 0]
        + dot(x, index, w.view(1, 2), index).sum()
        + shifted_softplus(dropout(w, 0.5)).sum()
    )
    for terms in range(1, 5):
        y = y + act_sum("relu", [(x, index)] * terms, segments).sum()
    factorize([index]), multisets(index, segments), select_segments(index[:1], segments)
    (y + gather_max(gather_sum(x, index, segments), None, Segments(index[:1], 1))).sum().backward()
