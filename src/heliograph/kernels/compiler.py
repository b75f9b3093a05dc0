"""Numba's settings, and what the loops of `cpu` share: which rows a thread has, which edges a row has, functions that vectorise."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import local
from typing import Any

import numba
import numpy as np
import torch
from numba.core import event
from numba.extending import overload, register_jitable

from heliograph.data.cache import cache_dir, own_cache_dir
from heliograph.kernels.kept import Kept, Unsafe, own_folder, own_key

config: Any = numba.config
_OF_LOOPS = ("compiler.py", "cpu.py", "cpu_forms.py", "numbering.py", "sampling.py", "splines.py")
_loops = sha256(b"".join(Path(__file__).with_name(name).read_bytes() for name in _OF_LOOPS)).digest()
_USER = getattr(os, "getuid", lambda: "")()
folder = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_dir()) / f"loops-{_USER}"  # each user's own, also in a shared cache folder
_key: bytes | None = None
unkept = ""  # why compiled loops are not kept for later runs: compiled anew by each process, then
try:
    _key = own_key(own_cache_dir() / f"loops-key-{_USER}" / "key")
    own_folder(folder)
except (Unsafe, RuntimeError) as error:  # RuntimeError: no home folder
    _key, unkept = None, str(error)
config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


def keep(loop: Any) -> Any:
    """Let compiled forms of a loop be kept for later runs, where that is safe (`kept`)."""
    if _key is not None:
        loop._cache = Kept(loop.py_func, folder, _key, _loops)
    return loop


def jit(function: Callable[..., Any]) -> Any:
    """Compile a parallel loop when it is called first, for each combination of types."""
    return keep(numba.njit(parallel=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})(function))


_set = local()
inner, always = register_jitable(inline="never"), register_jitable(inline="always")


@inner
def first(pointer: Any, n: int, part: int, parts: int) -> int:
    """The first row of a part, so that all parts have about as many rows and edges together."""
    if len(pointer) == 0:
        return n * part // parts
    target, low, high = (pointer[n] + n) * part // parts, 0, n
    while low < high:
        middle = (low + high) // 2
        if pointer[middle] + middle < target:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def segment_bounds(pointer: Any, i: int) -> tuple[int, int]:
    return (i, i + 1) if len(pointer) == 0 else (pointer[i], pointer[i + 1])


@inner
def at(index: Any, e: int) -> int:
    return index[e] if len(index) else e


def term(table: Any, row: int, column: int, zero: Any) -> Any:
    """An element of a table, or zero for a table that is not there, an empty tuple: known when a loop is compiled, so it costs nothing."""
    return table[row, column] if len(table) else zero


@overload(term)
def _term_of(table: Any, row: int, column: int, zero: Any) -> Any:
    def element(table: Any, row: int, column: int, zero: Any) -> Any:
        return table[row, column]

    def nothing(table: Any, row: int, column: int, zero: Any) -> Any:
        return zero

    return nothing if isinstance(table, numba.types.BaseTuple) else element


def exp(x: float) -> float:
    return math.exp(x)


def _log1p(x: float) -> float:
    return math.log1p(x)


@overload(exp)
def _exp_of(x: Any) -> Any:
    """exp in the width of x; float32 by a polynomial that vectorises (relative error below 2e-7): 0 below -87.3, infinite above 88.3."""

    def exp64(x: Any) -> Any:
        return math.exp(x)

    def exp32(x: Any) -> Any:
        f = np.float32
        y = f(-87.3) if x < f(-87.3) else (f(88.3) if x > f(88.3) else x)  # NaN passes
        n = np.floor(y * f(1.4426950408889634) + f(0.5))
        r = y - n * f(0.693359375) + n * f(2.12194440e-4)
        p = f(1.9875691500e-4)
        p = p * r + f(1.3981999507e-3)
        p = p * r + f(8.3334519073e-3)
        p = p * r + f(4.1665795894e-2)
        p = p * r + f(1.6666665459e-1)
        p = p * r + f(5.0000001201e-1)
        p = p * r * r + r + f(1.0)
        p = p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
        return f(0.0) if x < f(-87.3) else (f(np.inf) if x > f(88.3) else p)

    return exp32 if x == numba.float32 else exp64


@overload(_log1p)
def _log1p_of(x: Any) -> Any:
    """log(1 + x) for x in [0, 1]; float32 as 2 atanh(x / (2 + x)) by its series, whose argument is a third at most."""

    def log64(x: Any) -> Any:
        return math.log1p(x)

    def log32(x: Any) -> Any:
        f = np.float32
        z = x / (f(2.0) + x)
        y = z * z
        p = f(0.07692307692)
        p = p * y + f(0.09090909091)
        p = p * y + f(0.11111111111)
        p = p * y + f(0.14285714286)
        p = p * y + f(0.2)
        p = p * y + f(0.33333333333)
        return f(2.0) * (z + z * y * p)

    return log32 if x == numba.float32 else log64


@always
def softplus(s: Any, one: Any) -> Any:
    """ln(1 + exp(s)) without overflow."""
    zero = one - one
    return (s if s > zero else zero) + _log1p(exp(-s if s > zero else s))


def threads() -> int:
    """Threads for the next kernel: as many as PyTorch uses."""
    _start()
    parts = min(torch.get_num_threads(), config.NUMBA_NUM_THREADS)
    if getattr(_set, "parts", 0) != parts:  # both are each thread's own, and setting numba's takes longer than a small loop
        numba.set_num_threads(parts)
        _set.parts = parts
    return parts


@lru_cache
def _start() -> None:
    """Start numba's threads. That gives OpenMP all cores, and so PyTorch, which then has its own number back."""
    wanted = torch.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(wanted)


class _Compilations(event.Listener):
    """Tells of the first loop of ours that is compiled, not taken from the cache folder."""

    def on_start(self, event: event.Event) -> None:
        function = getattr(event.data["dispatcher"], "py_func", None)  # not all that numba compiles is a function
        if getattr(function, "__module__", "").startswith("heliograph.kernels") and "HELIOGRAPH_QUIET" not in os.environ:
            announce()

    def on_end(self, event: event.Event) -> None:
        pass


@lru_cache
def announce() -> None:
    how = f"seconds each, for this process alone: {unkept}" if unkept else "once, seconds each, kept for later runs"
    print(f"Compiling kernels for this processor: {how}.", file=sys.stderr, flush=True)


event.register("numba:compile", _Compilations())


def is_compiled(loop: Any) -> bool:
    """Whether a loop has been compiled, in one form at least, in this process or an earlier one that left it in the cache folder."""
    return bool(loop.overloads) or (isinstance(loop._cache, Kept) and loop._cache.any())


def threading_layer() -> str:
    """The first threading layer that loads, as numba will choose."""
    from importlib import import_module

    for layer in config.THREADING_LAYER_PRIORITY:
        try:
            import_module({"omp": "numba.np.ufunc.omppool", "tbb": "numba.np.ufunc.tbbpool"}.get(layer, "numba.np.ufunc.workqueue"))
        except ImportError:
            continue
        return str(layer)
    return "no threads"
