"""How far our training steps are from their own roofline: every operation at the rate that this machine has for its class.

    python bench/roofline.py [--only schnet gilmer ...] [--precision bf16] [-o FILE.jsonl]

The steps are those of `training_step.py`. One of them is recorded operation by operation (forward, backward, Adam): this is the roofline of
the operations that we run, not of the fewest that would do. What each would take at best:

    matrix products     the same product, same shapes and precision, alone
    transcendental      exp of an array of its output's size, alone (exp, log, softplus, cos, tanh, roots ... and their derivatives)
    moved bytes         all else: its inputs and outputs once, at the rate of a copy of as many bytes; views take nothing

`limit_ms` is the sum of that by class, `spent_ms` what PyTorch's profiler says that the class took, `between_ms` the step's time outside of
all operations: Python, autograd, dispatch (a profiled step is slower than a timed one, so this may come out low or below zero).
`times_roofline` is of the timed step. A kernel of ours counts as moved bytes, also where it multiplies matrices within (`outer_sum`).
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from typing import Any

import inputs
import torch
import training_step
from common import Lines, best, copy_rate, parser
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from heliograph.allocator import keep_freed_memory

PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}
TRANSCENDENTAL = {"exp", "log", "softplus", "softplus_backward", "cos", "sin", "tanh", "tanh_backward", "sigmoid", "sigmoid_backward",
                  "sqrt", "rsqrt", "silu", "silu_backward", "gelu", "gelu_backward", "_softmax", "_thnn_fused_gru_cell",
                  "_thnn_fused_lstm_cell"}  # fmt: skip
Key = tuple[str, str, tuple[Any, ...]]  # class, operation, what it takes depends on


def kind(name: str) -> str:
    """The class of an operation by its name, `aten::mm` or `mm_`."""
    base = name.rpartition("::")[2].removesuffix("_")
    return "matrix products" if base in PRODUCTS else "transcendental" if base in TRANSCENDENTAL else "moved bytes"


class Record(TorchDispatchMode):
    """Counts operations by what their least time depends on: shapes for products, sizes for the others."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[Key] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        ins = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        outs = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        name = func._schema.name.rpartition("::")[2]
        if view(func) or name.startswith(("empty", "new_empty")):
            return out
        what = kind(name)
        if what == "matrix products":
            a, b = ins[-2:]
            key: tuple[Any, ...] = (tuple(a.shape), a.stride(), tuple(b.shape), b.stride(), a.dtype)
        elif what == "transcendental":
            key = (max((x.numel() for x in outs), default=0), outs[0].dtype)
        else:
            key = (sum({x.data_ptr(): nbytes(x) for x in [*ins, *outs]}.values()),)  # in place: once
        self.seen[what, name, key] += 1
        return out


def view(func: Any) -> bool:
    """Whether the result shares its input's memory and nothing is written."""
    returns = func._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def nbytes(x: Tensor) -> int:
    """Bytes of what is stored: an expanded axis is not."""
    size = x.element_size()
    for n, stride in zip(x.shape, x.stride(), strict=True):
        size *= n if stride else 1
    return size


class Limits:
    """Seconds that an operation takes at best, measured once for each shape or size."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, tuple[Any, ...]], float] = {}

    def __call__(self, what: str, key: tuple[Any, ...]) -> float:
        if what == "moved bytes":
            size = max(key[0], 8)
            bucket = 1 << (size - 1).bit_length()  # rates are those of the next power of two
            if ("rate", (bucket,)) not in self.known:
                self.known["rate", (bucket,)] = copy_rate(max(bucket // 2, 4), 0.02)
            return size / self.known["rate", (bucket,)]
        if (what, key) not in self.known:
            self.known[what, key] = self.measure(what, key)
        return self.known[what, key]

    def measure(self, what: str, key: tuple[Any, ...]) -> float:
        if what == "transcendental":
            x = torch.rand(max(key[0], 1), dtype=key[1])
            out = torch.empty_like(x)
            return best(lambda: torch.exp(x, out=out), 0.02)
        shape, stride, other_shape, other_stride, dtype = key
        a, b = strided(shape, stride, dtype), strided(other_shape, other_stride, dtype)
        return best(lambda: a @ b, 0.05)


def strided(shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Random numbers laid out in memory as they were."""
    length = 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    return torch.randn(max(length, 1)).to(dtype).as_strided(shape, stride)


def measure(name: str, molecules: int, precision: str, steps: int, limits: Limits) -> dict[str, Any]:
    contestant = training_step.ours(name, molecules, precision)
    contestant.step(), contestant.step()
    seconds = statistics.median(contestant.step() for _ in range(steps))
    with Record() as record:
        contestant.step()
    limit: Counter[str] = Counter()
    for (what, _, key), count in record.seen.items():
        limit[what] += 1e3 * count * limits(what, key)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        contestant.step()
    spent: Counter[str] = Counter()
    rows: list[tuple[float, str]] = []
    for event in profile.key_averages():
        if "::" in event.key and "#" not in event.key:
            spent[kind(event.key)] += event.self_cpu_time_total / 1000
            rows.append((event.self_cpu_time_total / 1000, event.key))
    return {
        "milliseconds": round(1e3 * seconds, 2), "roofline_milliseconds": round(sum(limit.values()), 2),
        "times_roofline": round(1e3 * seconds / sum(limit.values()), 2),
        "limit_ms": {k: round(v, 2) for k, v in limit.items()}, "spent_ms": {k: round(v, 2) for k, v in spent.items()},
        "between_ms": round(1e3 * seconds - sum(spent.values()), 2), "operations": sum(record.seen.values()),
        "largest_ms": {key: round(ms, 2) for ms, key in sorted(rows, reverse=True)[:12]},
    }  # fmt: skip


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--only", nargs="+", choices=training_step.CASES, default=list(training_step.CASES), metavar="NAME")
    made.add_argument("--precision", choices=training_step.TOLERANCE, default="float32")
    made.add_argument("--molecules", type=int, default=64)
    options = made.parse_args()
    lines, limits = Lines(options), Limits()
    keep_freed_memory()
    for name in options.only:
        graphs = training_step.CASES[name][0]
        if graphs == training_step.BONDS and not inputs.LIPOPHILICITY.is_file():
            print(f"skipped: {name} needs {inputs.LIPOPHILICITY} (set HELIOGRAPH_DATA)", file=sys.stderr)
            continue
        about = {"benchmark": f"roofline of a training step, {name}, {graphs}, batch {options.molecules}", "precision": options.precision}
        lines(about | measure(name, options.molecules, options.precision, options.steps, limits))


if __name__ == "__main__":
    main()
