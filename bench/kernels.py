"""Each kernel alone against the time that moving its bytes once takes at the measured copy bandwidth.

    python bench/kernels.py [--edges 20000 2000000] [--width 128] [--device cuda] [-o FILE.jsonl]

`bytes_once`: every input, index and output counted once. `bytes_gathered`: every gathered row counted as often as it is read, which is
what moves where a table is beyond the caches. Both are divided by the rate at which an array of about that size is copied here (read plus
written, so that small sizes are held against the caches' rate). Values are first compared with a plain PyTorch evaluation. Backward is
forward and backward together less forward alone, of the fastest runs; it is held against the bytes of forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from common import Lines, best, copy_rate, parser
from torch import Tensor
from torch.nn import functional as F

EDGES_PER_NODE = 17  # a complete graph of 18 atoms
K, TYPES, HEADS = 16, 12, 8  # width of phi; rows of a table of bond types
FLOAT, LONG = 4, 8


@dataclass(frozen=True)
class Case:
    """A kernel's call, its plain evaluation, its tensors with a gradient, and the rows of width d that it gathers beyond those it owns."""

    call: Callable[[], Tensor]
    plain: Callable[[], Tensor]
    leaves: tuple[Tensor, ...]
    indices: int  # index arrays of length E
    gathered: int = 0  # rows read through an index
    expected: Callable[[Tensor], Tensor] | None = None  # of the result, where the plain evaluation draws its own random numbers


def cases(E: int, d: int, device: str) -> dict[str, Case]:
    """All kernels on one seeded random graph, receivers sorted."""
    from heliograph import kernels
    from heliograph.topology import Segments

    rng = torch.Generator().manual_seed(0)
    N = max(E // EDGES_PER_NODE, 1)
    receivers = torch.randint(N, (E,), generator=rng).sort().values.to(device)
    near = (receivers + torch.randint(-8, 9, (E,), generator=rng).to(device)).clamp(0, N - 1)  # senders of one molecule stand together
    by = Segments(receivers, N)
    kind = torch.randint(TYPES, (E,), generator=rng).to(device)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng).to(device).requires_grad_()

    def total(x: Tensor) -> Tensor:
        return x.new_zeros(N, *x.shape[1:]).index_add(0, receivers, x)

    def heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1))

    h, a, table, w, w1, w8, phi = leaf(N, d), leaf(N, d), leaf(TYPES, d), leaf(E, d), leaf(E, 1), leaf(E, HEADS, 1), leaf(E, K)
    return {
        "segment_sum": Case(lambda: kernels.segment_sum(w, by), lambda: total(w), (w,), 1),
        "segment_max": Case(lambda: kernels.segment_max(w, by), lambda: w.new_zeros(N, d).scatter_reduce(
            0, receivers[:, None].expand_as(w), w, "amax", include_self=False), (w,), 1),
        "gather_sum": Case(lambda: kernels.gather_sum(h, near, by), lambda: total(h[near]), (h,), 2, E),
        "product_sum, a weight per channel": Case(
            lambda: kernels.product_sum(h, near, w, None, by), lambda: total(h[near] * w), (h, w), 2, E),
        "product_sum, a weight per edge": Case(
            lambda: kernels.product_sum(h, near, w1, None, by), lambda: total(h[near] * w1), (h, w1), 2, E),
        "product_sum, a weight per head": Case(
            lambda: kernels.product_sum(heads(h), near, w8, None, by), lambda: total(heads(h)[near] * w8), (h, w8), 2, E),
        "dot, eight heads": Case(
            lambda: kernels.dot(heads(h), near, heads(a), receivers),
            lambda: (heads(h)[near] * heads(a)[receivers]).sum(-1), (h, a), 2, 2 * E),
        "act_sum, relu(h_j + h_i + type)": Case(
            lambda: kernels.act_sum("relu", [(h, near), (a, receivers), (table, kind)], by),
            lambda: total((h[near] + a[receivers] + table[kind]).relu()), (h, a, table), 3, E),
        "act_sum, relu(h_j + h_i + edge)": Case(
            lambda: kernels.act_sum("relu", [(h, near), (a, receivers), (w, None)], by),
            lambda: total((h[near] + a[receivers] + w).relu()), (h, a, w), 2, E),
        "outer_sum": Case(lambda: kernels.outer_sum(phi, None, w, None, by), lambda: torch.stack(
            [total(phi[:, k : k + 1] * w) for k in range(K)], 1), (phi, w), 1),
        "softmax, eight heads": Case(lambda: kernels.softmax(w8, by), lambda: _plain_softmax(w8, receivers, N), (w8,), 1),
        "dropout": Case(lambda: kernels.dropout(w, 0.5), lambda: F.dropout(w, 0.5), (w,), 0, expected=lambda y: 2 * w * (y != 0)),
    }  # fmt: skip


def _plain_softmax(x: Tensor, receivers: Tensor, n: int) -> Tensor:
    place = receivers[:, None, None].expand_as(x)
    top = x.detach().new_zeros(n, *x.shape[1:]).scatter_reduce(0, place, x.detach(), "amax", include_self=False)
    weight = (x - top[receivers]).exp()
    return weight / torch.zeros_like(top).index_add(0, receivers, weight)[receivers]


def measure(case: Case, E: int, d: int, seconds: float) -> dict[str, object]:
    with torch.no_grad():
        out = case.call()
        expected = case.plain() if case.expected is None else case.expected(out)
    apart = float((out - expected).abs().max() / expected.abs().max())
    if not apart <= 1e-4:
        return {"failed": f"values differ by {apart:.1e}; nothing was timed"}
    once = FLOAT * (sum(x.numel() for x in case.leaves) + out.numel()) + LONG * E * case.indices
    gathered = once + FLOAT * d * case.gathered
    back = torch.randn_like(out)

    def forward() -> Tensor:
        with torch.no_grad():
            return case.call()

    def plain() -> Tensor:
        with torch.no_grad():
            return case.plain()

    t_forward, t_plain = best(forward, seconds), best(plain, seconds)
    t_both = best(lambda: torch.autograd.grad(case.call(), case.leaves, back), seconds)
    device = out.device.type
    limit, limit_gathered = (size / copy_rate(size // 2, device=device) for size in (once, gathered))
    return {
        "milliseconds": round(1e3 * t_forward, 4), "plain_milliseconds": round(1e3 * t_plain, 4),
        "backward_milliseconds": round(1e3 * (t_both - t_forward), 4), "bytes_once": once, "bytes_gathered": gathered,
        "times_bytes_once": round(t_forward / limit, 2), "times_bytes_gathered": round(t_forward / limit_gathered, 2),
        "backward_times_bytes_once": round((t_both - t_forward) / limit, 2), "largest_relative_difference": apart,
    }  # fmt: skip


def main() -> None:
    made = parser(__doc__, steps=1)
    made.add_argument("--edges", type=int, nargs="+", default=[20_000, 2_000_000])
    made.add_argument("--width", type=int, default=128)
    made.add_argument("--seconds", type=float, default=1.0, help="spent on each measurement; the fastest run counts")
    made.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = made.parse_args()
    lines = Lines(options)
    for E in options.edges:
        for name, case in cases(E, options.width, options.device).items():
            about = {"benchmark": "kernel alone", "kernel": name, "edges": E, "d": options.width, "device": options.device}
            lines(about | measure(case, E, options.width, options.seconds))


if __name__ == "__main__":
    main()
