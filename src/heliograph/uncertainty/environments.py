"""Environments of atoms as numbers that mean the same in every file: 1-WL colours of a store's
molecules, hashed to 64 bits.

    h_i^0 = hash(features of atom i)      h_i^{r+1} = hash(h_i^r, sum over neighbours j of hash(h_j^r, features of bond ij))

Equal environments of radius r have equal hashes; two different ones share a hash with a probability
of about n^2 / 2^65 among n of them. Only the codes that the network reads enter, so that what is
new here is what the network has never read.
"""

from __future__ import annotations

import numpy as np

from heliograph.data.store import Store
from heliograph.errors import DataError

BITS = 1024
MOST_PAIRED = 20_000


def hashes(store: Store, rounds: int) -> list[np.ndarray]:
    """Return the hash of each atom's environment of radius 0, 1 ... `rounds`: as many arrays [N] of
    uint64, atoms as in the store.
    """
    c = store.columns
    n_edge = np.diff(store.edge_offsets)
    first = np.repeat(np.asarray(store.node_offsets[:-1], dtype=np.int64), n_edge)
    senders, receivers = (np.asarray(c[k], dtype=np.int64) + first for k in ("senders", "receivers"))
    count = np.bincount(receivers, minlength=int(store.node_offsets[-1]))
    pointer = np.append(0, np.cumsum(count))  # edges are sorted by receiver
    h = _rows(c["x_table"], 1)[c["x"]]  # [N]
    bond = _rows(c["bond_table"], 2)[c["bond"]]  # [E]
    found = [h]
    for _ in range(rounds):
        message = _mix(_mix(h[senders] + bond) + np.uint64(0x9E3779B97F4A7C15))
        running = np.append(np.uint64(0), np.cumsum(message, dtype=np.uint64))  # wraps around, and so do differences
        h = _mix(h * np.uint64(5) + _mix(running[pointer[1:]] - running[pointer[:-1]] + np.uint64(1)))
        found.append(h)
    return found


def shares(known: np.ndarray, h: np.ndarray, store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each atom's hash is absent from `known` (sorted), [N], and the share of such
    atoms in each molecule, [G].
    """
    new = ~contained(known, h)
    return new, per_molecule(new, store)


def per_molecule(flags: np.ndarray, store: Store) -> np.ndarray:
    """Return the share of atoms that are flagged [N] in each molecule, [G]."""
    total = np.append(0, np.cumsum(flags))
    sums = total[store.node_offsets[1:]] - total[store.node_offsets[:-1]]
    return np.asarray(sums / np.maximum(store.n_node, 1))


def contained(known: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return whether each of `h` is in `known`, sorted."""
    if not len(known):
        return np.zeros(len(h), dtype=bool)
    at = np.minimum(np.searchsorted(known, h), len(known) - 1)
    return np.asarray(known[at] == h)


def fingerprints(found: list[np.ndarray], store: Store) -> np.ndarray:
    """Return which of BITS the environments of each molecule set, bool [G, BITS]: hashes modulo
    BITS, as an ECFP is folded.
    """
    bits = np.zeros((len(store), BITS), dtype=bool)
    owner = np.repeat(np.arange(len(store)), store.n_node)
    for radius, h in enumerate(found):
        bits[owner, (_mix(h + np.uint64(radius)) % np.uint64(BITS)).astype(np.int64)] = True
    return bits


def neighbours(asked: np.ndarray, known: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which k of `known` [n, BITS] are most like each of `asked` [m, BITS], and their
    Tanimoto similarities, the nearest first: [m, min(k, n)] each.
    """
    a, b = asked.astype(np.float32), known.astype(np.float32)
    size, other = a.sum(1), b.sum(1)
    most = min(k, len(b))
    index, similar = np.zeros((len(a), most), dtype=np.int64), np.zeros((len(a), most))
    for start in range(0, len(a), 1024):
        rows = slice(start, start + 1024)
        both = a[rows] @ b.T  # [m, n]
        similarity = both / np.maximum(size[rows, None] + other - both, 1.0)
        best = np.argpartition(similarity, len(b) - most, axis=1)[:, len(b) - most :]
        found = np.take_along_axis(similarity, best, 1)
        order = np.argsort(-found, axis=1, kind="stable")
        index[rows] = np.take_along_axis(best, order, 1)
        similar[rows] = np.take_along_axis(found, order, 1)
    return index, similar


def clusters(bits: np.ndarray, similarity: float = 0.4) -> np.ndarray:
    """Return a cluster's number for each of n fingerprints [n, BITS]: sphere exclusion in the order
    of the rows.

    Each row joins the most similar leader (Tanimoto of at least `similarity`) or becomes one
    (Hartigan 1975, leader algorithm).
    """
    b = bits.astype(np.float32)
    size, leaders = b.sum(1), np.empty(0, dtype=np.int64)
    found = np.empty(len(b), dtype=np.int64)
    for k in range(len(b)):
        both = b[leaders] @ b[k]
        likeness = both / np.maximum(size[leaders] + size[k] - both, 1.0)
        best = int(likeness.argmax()) if len(leaders) else -1
        if best < 0 or likeness[best] < similarity:
            leaders, best = np.append(leaders, k), len(leaders)
        found[k] = best
    return found


def butina(bits: np.ndarray, similarity: float = 0.35) -> np.ndarray:
    """Return a cluster's number for each of n fingerprints [n, BITS].

    D. Butina, J. Chem. Inf. Comput. Sci. 1999, 39, 747. The row with most neighbours (Tanimoto of
    at least `similarity`) and those that are free become a cluster, again and again. Takes n^2
    comparisons and n^2 bits of memory; raises DataError beyond MOST_PAIRED rows.
    """
    n = len(bits)
    if n > MOST_PAIRED:
        raise DataError(f"Butina's clusters compare all pairs: at most {MOST_PAIRED:,} molecules, not {n:,}. Use the split cluster.")
    b = bits.astype(np.float32)
    size, near = b.sum(1), np.empty((n, n), dtype=bool)
    for start in range(0, n, 1024):
        both = b[start : start + 1024] @ b.T
        near[start : start + 1024] = both >= similarity * np.maximum(size[start : start + 1024, None] + size - both, 1.0)
    count, free, found, cluster = near.sum(1), np.ones(n, dtype=bool), np.empty(n, dtype=np.int64), 0
    for centre in np.argsort(-count, kind="stable"):
        if free[centre]:
            members = near[centre] & free
            members[centre] = True
            found[members], cluster = cluster, cluster + 1
            free &= ~members
    return found


def _rows(table: np.ndarray, seed: int) -> np.ndarray:
    """One hash per row of codes [R, K]."""
    h = np.full(len(table), seed, dtype=np.uint64)
    for column in np.asarray(table, dtype=np.uint64).T:
        h = _mix(h * np.uint64(5) + column + np.uint64(1))
    return h


def _mix(x: np.ndarray) -> np.ndarray:
    """Scatter whole numbers over 64 bits (the finaliser of SplitMix64: Steele, Lea, Flood 2014), a
    permutation of them.
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
