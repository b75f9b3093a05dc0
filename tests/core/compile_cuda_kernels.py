"""Compile every Triton kernel for a GPU that need not be there: what the interpreter lets pass and the compiler does not.

    python -m tests.core.compile_cuda_kernels [CAPABILITY] [--first]

A process of its own, since Triton decides at import whether it interprets. Prints a line for each kernel and form of its arguments,
with --first for the first form of each.
"""

from __future__ import annotations

import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from heliograph.kernels import programs

INDICES = ("index", "order", "pointer", "ia", "ib", "ic", "iq", "ig", "of_phi", "of_x")
NUMBERS = ("n", "d", "H", "K", "low", "high", "least")
ROWS, FLAT, TILE = {"R": 8, "C": 128}, {"C": 1024}, {"B": 64, "C": 64}
FORMS: list[tuple[str, dict[str, Any], dict[str, str | None]]] = [  # kernel, constants, types that differ; None: an argument that is None
    ("gather_sum", ROWS, {}),
    ("gather_sum", ROWS, {"index": None, "order": None}),
    ("gather_sum", ROWS, {"pointer": None}),
    ("product_sum", ROWS, {}),
    ("product_sum", ROWS, {"ia": None, "order": None}),
    ("dot_sum", ROWS, {}),
    ("dot_sum", ROWS, {"ib": None, "order": None, "pointer": None}),
    *(
        (name, ROWS | {"KIND": kind}, {} if terms == 4 else {"c": None, "ic": None, "q": None, "iq": None})
        for name in ("act_sum", "act_slope_sum")
        for kind in range(4)
        for terms in (2, 4)
    ),
    ("argmax", ROWS, {"out": "*i64"}),
    ("argmax", ROWS, {"out": "*i64", "index": None}),
    ("take_best", FLAT, {"best": "*i64"}),
    ("take_best", FLAT, {"best": "*i64", "index": None}),
    ("spread", ROWS, {"best": "*i64", "by": "*i64"}),
    ("softmax", ROWS, {}),
    ("softmax_slope", ROWS, {}),
    ("outer_sum", TILE, {}),
    ("outer_left", TILE, {"of_x": None}),
    ("outer_right", {"B": 128, "C": 32}, {}),
    ("shifted_softplus", FLAT, {}),
    ("sigmoid_times", FLAT, {}),
    ("dropout", FLAT, {}),
    ("dropout", FLAT, {"low": "i64", "high": "i64", "least": "i64"}),
]


def compiled(name: str, constants: dict[str, Any], types: dict[str, str | None], pointer: str, capability: int) -> str:
    """The PTX of one form."""
    kernel = getattr(programs, name)
    given = {k: None for k, t in types.items() if t is None} | constants
    kinds = dict.fromkeys(INDICES, "*i64") | dict.fromkeys(NUMBERS, "i32") | types | dict.fromkeys(given, "constexpr")
    signature = {k: kinds.get(k, pointer) for k in kernel.arg_names}
    values = {(kernel.arg_names.index(k),): v for k, v in given.items()}
    ptx: str = triton.compile(ASTSource(kernel, signature, values), target=GPUTarget("cuda", capability, 32)).asm["ptx"]
    return ptx


def main() -> None:
    first = "--first" in sys.argv
    capability = next((int(word) for word in sys.argv[1:] if word.isdigit()), 90)
    for name, constants, types in {form[0]: form for form in reversed(FORMS)}.values() if first else FORMS:
        both = not first and name in ("act_slope_sum", "softmax", "softmax_slope", "take_best")
        for pointer in ("*fp32", "*fp64") if both else ("*fp32",):
            print(name, constants, types, pointer, len(compiled(name, constants, types, pointer, capability)), flush=True)


if __name__ == "__main__":
    main()
