"""Numba loops that draw neighbours. What is drawn for a node follows from a key and the node alone, whatever thread draws it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from heliograph.kernels.compiler import always, keep

MOST_FLOYD = 32  # up to so many draws, those before are looked through for equal ones


@always
def mix(x: Any) -> Any:
    """splitmix64's output function (Steele et al. 2014, doi:10.1145/2660193.2660195): 64 bits of which each depends on all of x."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@always
def below(state: Any, n: Any) -> Any:
    """A number in 0 .. n - 1 from a state of 64 random bits, n < 2^32: its upper half as a fraction of n."""
    return np.int64((mix(state) >> np.uint64(32)) * np.uint64(n) >> np.uint64(32))


@keep
@numba.njit(nogil=True)
def expand(
    indptr: Any,
    indices: Any,
    nodes: Any,
    begin: int,
    end: int,
    known: int,
    k: int,
    key: Any,
    place: Any,
    senders: Any,
    edges: Any,
    taken: Any,
) -> int:
    """Draw up to k senders, without replacement, of each of the nodes [begin, end); k < 0: all. Returns how many nodes are known then.

    `place` [N]: the number of each node in the sample, -1 where it is not in it; new ones are appended to `nodes`. Filled: `senders`
    (numbers in the sample), `edges` (places in `indices`), run after run, and `taken` [end - begin], the length of each run.
    """
    e, golden = 0, np.uint64(0x9E3779B97F4A7C15)
    for i in range(begin, end):
        node = nodes[i]
        first, d = indptr[node], indptr[node + 1] - indptr[node]
        state = mix(np.uint64(key) + np.uint64(node + 1) * golden)
        start = e
        if k < 0 or d <= k:
            for j in range(d):
                edges[e] = first + j
                e += 1
        elif k <= MOST_FLOYD:  # R. W. Floyd's: each set of k is equally likely
            for j in range(d - k, d):
                state += golden
                t = first + below(state, j + 1)
                for other in range(start, e):
                    if edges[other] == t:
                        t = first + j
                        break
                edges[e] = t
                e += 1
        else:  # each with the probability that enough are left to be taken
            wanted = k
            for j in range(d):
                state += golden
                if below(state, d - j) < wanted:
                    edges[e] = first + j
                    e += 1
                    wanted -= 1
        taken[i - begin] = e - start
        for other in range(start, e):
            sender = indices[edges[other]]
            if place[sender] < 0:
                place[sender] = known
                nodes[known] = sender
                known += 1
            senders[other] = place[sender]
    return known


@keep
@numba.njit(nogil=True)
def count(indptr: Any, nodes: Any, begin: int, end: int, k: int) -> int:
    """How many edges `expand` will draw."""
    total = 0
    for i in range(begin, end):
        d = indptr[nodes[i] + 1] - indptr[nodes[i]]
        total += d if k < 0 or d < k else k
    return total


@keep
@numba.njit(nogil=True)
def induced(indptr: Any, indices: Any, nodes: Any, place: Any, senders: Any, edges: Any, taken: Any) -> int:
    """Edges among `nodes`, whose numbers are in `place` (-1: others). With empty `senders` they are only counted. Returns how many."""
    e = 0
    for i in range(len(nodes)):
        start = e
        for edge in range(indptr[nodes[i]], indptr[nodes[i] + 1]):
            if place[indices[edge]] >= 0:
                if len(senders):
                    senders[e], edges[e] = place[indices[edge]], edge
                e += 1
        taken[i] = e - start
    return e


@keep
@numba.njit(nogil=True)
def relabel(indptr: Any, indices: Any, order: Any, part: Any, size: Any, limit: int) -> int:
    """One round of label propagation: each node in `order` takes the part that most of its neighbours have, if that has room.

    `part` [N] and `size` [C], the nodes of each part, are changed. Returns how many nodes moved.
    """
    votes, moved = np.zeros(len(size), np.int64), 0
    for node in order:
        own, best = part[node], part[node]
        for edge in range(indptr[node], indptr[node + 1]):
            votes[part[indices[edge]]] += 1
        for edge in range(indptr[node], indptr[node + 1]):
            other = part[indices[edge]]
            if size[other] < limit and (votes[other] > votes[best] or (votes[other] == votes[best] and best != own and other < best)):
                best = other
        for edge in range(indptr[node], indptr[node + 1]):
            votes[part[indices[edge]]] = 0
        if best != own:
            size[own] -= 1
            size[best] += 1
            part[node] = best
            moved += 1
    return moved


LOOPS = (expand, count, induced, relabel)
