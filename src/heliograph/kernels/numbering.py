"""Numba loops that number equal rows and equal multisets of whole numbers: exact, each in one pass through a table of what was met."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from heliograph.kernels.compiler import always, kept


@always
def _place(keys: Any, key: int) -> int:
    """Where a key stands in the table, or the free place where it may: a power of two of places, half of them free at least."""
    mask = len(keys) - 1
    slot = (key * 0x9E3779B97F4A7C1) >> 20 & mask
    while keys[slot] != key and keys[slot] != -1:
        slot = (slot + 1) & mask
    return slot


@always
def _sort(x: Any) -> None:
    """In place; most runs are too short for what sorts long ones well."""
    if len(x) > 32:
        x[:] = np.sort(x)
        return
    for k in range(1, len(x)):
        y, place = x[k], k
        while place > 0 and x[place - 1] > y:
            x[place] = x[place - 1]
            place -= 1
        x[place] = y


@numba.njit(cache=kept, nogil=True)
def number_pairs(a: Any, b: Any, number: Any, rows: Any) -> int:
    """number[k] = 0, 1, ... for each pair (a[k], b[k]) in order of appearance; rows = where each appears first. How many there are.

    All are >= 0 and the product of the largest fits in 62 bits.
    """
    size = 2
    while size < 2 * len(a):
        size *= 2
    keys, values = np.full(size, -1, np.int64), np.empty(size, np.int64)
    width = b.max() + 1 if len(b) else 1
    count = 0
    for k in range(len(a)):
        key = a[k] * width + b[k]
        slot = _place(keys, key)
        if keys[slot] == -1:
            keys[slot], values[slot], rows[count] = key, count, k
            count += 1
        number[k] = values[slot]
    return count


@numba.njit(cache=kept, nogil=True)
def number_multisets(values: Any, pointer: Any, number: Any) -> int:
    """number[i] for the multiset of each run of values: sorted, then followed from the empty one through a tree. How many nodes it has."""
    size = 2
    while size < 2 * len(values):
        size *= 2
    keys, nodes = np.full(size, -1, np.int64), np.empty(size, np.int64)
    width = values.max() + 1 if len(values) else 1
    count, run = 1, values.copy()
    for i in range(len(number)):
        low, high = pointer[i], pointer[i + 1]
        _sort(run[low:high])
        node = 0
        for k in range(low, high):
            key = node * width + run[k]
            slot = _place(keys, key)
            if keys[slot] == -1:
                keys[slot], nodes[slot] = key, count
                count += 1
            node = nodes[slot]
        number[i] = node
    return count


LOOPS = (number_pairs, number_multisets)
