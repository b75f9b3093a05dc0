"""Numba loops on whole numbers: equal rows and equal multisets numbered, exactly, in one pass with a hash table; runs of some rows."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from heliograph.kernels.compiler import always, inner, keep

FIRST_SIZE = 4096  # places in a table at first; it doubles when half of them are taken, so it is as large as there are distinct keys


@always
def _place(keys: Any, key: int) -> int:
    """Where a key (>= 0) stands in the table, or the free place (-1) where it may. There are a power of two of places."""
    mask = len(keys) - 1
    mixed = key * -0x61C8864680B583EB  # 2^64 over the golden ratio; its upper half is the well mixed one
    slot = (mixed ^ (mixed >> 32)) & mask
    while keys[slot] != key and keys[slot] != -1:
        slot = (slot + 1) & mask
    return slot


@inner
def _doubled(keys: Any, values: Any) -> Any:
    more_keys, more_values = np.full(2 * len(keys), -1, np.int64), np.empty(2 * len(keys), np.int64)
    for k in range(len(keys)):
        if keys[k] != -1:
            slot = _place(more_keys, keys[k])
            more_keys[slot], more_values[slot] = keys[k], values[k]
    return more_keys, more_values


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


@keep
@numba.njit(nogil=True)
def number_pairs(a: Any, b: Any, number: Any, rows: Any) -> int:
    """number[k] = 0, 1, ... for each pair (a[k], b[k]) in order of appearance; rows = where each appears first. How many there are.

    All are >= 0 and below 2^31.
    """
    keys, values = np.full(FIRST_SIZE, -1, np.int64), np.empty(FIRST_SIZE, np.int64)
    width = b.max() + 1 if len(b) else 1
    count = 0
    for k in range(len(a)):
        key = a[k] * width + b[k]
        slot = _place(keys, key)
        if keys[slot] == -1:
            keys[slot], values[slot], rows[count] = key, count, k
            number[k] = count
            count += 1
            if 2 * count > len(keys):
                keys, values = _doubled(keys, values)
        else:
            number[k] = values[slot]
    return count


@keep
@numba.njit(nogil=True)
def number_multisets(x: Any, pointer: Any, number: Any, rows: Any) -> int:
    """number[i] = 0, 1, ... for the multiset of each run of x in order of appearance; rows = where each appears first. How many there are.

    A run is sorted, then followed from the empty one through a tree of which the hash table holds the branches.
    """
    keys, values = np.full(FIRST_SIZE, -1, np.int64), np.empty(FIRST_SIZE, np.int64)
    width = x.max() + 1 if len(x) else 1
    nodes, count, run = 1, 0, x.copy()
    ends = np.full(len(x) + 1, -1, np.int64)  # the number of the multiset that ends at each node
    for i in range(len(number)):
        low, high = pointer[i], pointer[i + 1]
        _sort(run[low:high])
        node = 0
        for k in range(low, high):
            key = node * width + run[k]
            slot = _place(keys, key)
            if keys[slot] == -1:
                keys[slot], values[slot], node = key, nodes, nodes
                nodes += 1
                if 2 * nodes > len(keys):
                    keys, values = _doubled(keys, values)
            else:
                node = values[slot]
        if ends[node] == -1:
            ends[node], rows[count] = count, i
            count += 1
        number[i] = ends[node]
    return count


@keep
@numba.njit(nogil=True)
def select_segments(rows: Any, pointer: Any, edges: Any, index: Any) -> None:
    """The edges of some rows, run after run, and the place among `rows` of each."""
    e = 0
    for k in range(len(rows)):
        for edge in range(pointer[rows[k]], pointer[rows[k] + 1]):
            edges[e], index[e] = edge, k
            e += 1


LOOPS = (number_pairs, number_multisets, select_segments)
