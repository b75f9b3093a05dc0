"""Numba's settings, and what every loop of `cpu` begins with: which rows a thread has, which edges a row has."""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import torch
from numba.extending import register_jitable

from heliograph.data.cache import cache_dir

config: Any = numba.config
_folder = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_dir() / "kernels")
try:
    _folder.mkdir(parents=True, exist_ok=True)
    kept = os.access(_folder, os.W_OK)
except OSError:
    kept = False  # compiled anew by each process, then
config.CACHE_DIR = str(_folder / sha256(Path(__file__).read_bytes()).hexdigest()[:8])  # numba looks at the file of a loop alone
config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

jit = numba.njit(parallel=True, cache=kept, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
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
def run(pointer: Any, i: int) -> tuple[int, int]:
    return (i, i + 1) if len(pointer) == 0 else (pointer[i], pointer[i + 1])


@inner
def at(index: Any, e: int) -> int:
    return index[e] if len(index) else e


@inner
def place(table: Any, index: Any, e: int) -> int:
    """The row of a table that edge e uses; a table of one row serves all (zeros, for a term that is not there)."""
    return 0 if len(table) == 1 else at(index, e)


def threads() -> int:
    """Threads for the next kernel: as many as PyTorch uses."""
    _start()
    parts = min(torch.get_num_threads(), config.NUMBA_NUM_THREADS)
    numba.set_num_threads(parts)
    return parts


@lru_cache
def _start() -> None:
    """Start numba's threads. That gives OpenMP all cores, and so PyTorch, which then has its own number back."""
    wanted = torch.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(wanted)


def is_compiled(loop: Any) -> bool:
    """Whether a loop needs no compiler any more, in this process or because an earlier one left it in the cache folder."""
    return bool(loop.signatures) or (kept and any(Path(loop.stats.cache_path).glob(f"cpu.{loop.py_func.__name__}-*.nbi")))


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
