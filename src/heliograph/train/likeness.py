"""Parts of a table by what its molecules are: scaffolds, clusters, an even cover, series with one known lead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heliograph.data import splits
from heliograph.data.store import Store
from heliograph.errors import DataError
from heliograph.uncertainty import apart
from heliograph.uncertainty.domain import RADIUS
from heliograph.uncertainty.environments import butina, clusters, fingerprints, hashes

GROUPED = ("scaffold", "butina", "cluster", "sphere")  # splits that keep groups together


def groups_of(store: Store, rows: np.ndarray, split: str, seed: int = 0) -> list[str]:
    """Return what keeps molecules `rows` of a store together: scaffold, Butina's cluster, leader's cluster, or drawn sphere."""
    if split == "scaffold":
        return [store.scaffolds[k] for k in rows]
    bits = _bits(store, rows)
    found = butina(bits) if split == "butina" else apart.spheres(bits, seed=seed) if split == "sphere" else clusters(bits)
    return [str(k) for k in found]


def parts_of(store: Store, rows: np.ndarray, split: str, sizes: Sequence[float], seed: int | None) -> dict[str, np.ndarray]:
    """Return places in `rows` for train, val and test by a split of structures. `seed` None: groups in order of size.

    Equal structures stay together. Raises DataError where a part gets none.
    """
    if split in GROUPED:
        what = "scaffold" if split == "scaffold" else "cluster"
        return splits.group_split(groups_of(store, rows, split, seed or 0), sizes, seed, what)
    lots = _lots(store, rows)
    first = np.array([lot[0] for lot in lots])
    bits, rng = _bits(store, rows[first]), np.random.default_rng(seed or 0)
    counts = splits.counts(len(rows), sizes)
    if split == "kennard-stone":
        return _joined(lots, _evenly(lots, apart.kennard_stone(bits), counts, rng))
    return _joined(lots, _series(lots, apart.series(bits), counts, rng))


def _evenly(lots: list[np.ndarray], order: np.ndarray, counts: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """The part of each lot: the first train; those within are drawn for val and test."""
    size = np.array([len(lot) for lot in lots])
    part = np.full(len(lots), 2)
    n_train = int((np.cumsum(size[order]) <= counts[0]).sum())
    part[order[:n_train]] = 0
    inner = rng.permutation(order[n_train:])
    part[inner[: int((np.cumsum(size[inner]) <= counts[1]).sum())]] = 1
    return part


def _series(lots: list[np.ndarray], series: list[np.ndarray], counts: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """The part of each lot: whole series, but for their leads, go to test until it has its rows, then to val; all others train.

    The last series may exceed a part's share; one of more than half of all rows trains.
    """
    part, left = np.zeros(len(lots), dtype=np.int64), {2: counts[2], 1: counts[1]}
    for k in rng.permutation(len(series)).tolist():
        rest = series[k][1:]
        n = sum(len(lots[j]) for j in rest)
        place = next((p for p in (2, 1) if left[p] > 0), None)
        if place is not None and 2 * n <= sum(counts):
            part[rest], left[place] = place, left[place] - n
    for place, name in ((2, "test"), (1, "val")):
        if counts[place] and not (part == place).any():
            raise DataError(
                f"lead-opt split: no rows for {name}: the table has {len(series)} series of {apart.LEAST_SERIES} to half of its molecules "
                "that are alike. Use another split."
            )
    return part


def _joined(lots: list[np.ndarray], part: np.ndarray) -> dict[str, np.ndarray]:
    found = {name: [lot for lot, p in zip(lots, part, strict=True) if p == k] for k, name in enumerate(splits.PARTS)}
    return {name: np.sort(np.concatenate(some)) if some else np.array([], dtype=np.int64) for name, some in found.items()}


def _lots(store: Store, rows: np.ndarray) -> list[np.ndarray]:
    """Places in `rows` of each distinct structure, in the table's order."""
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows.tolist()):
        found.setdefault(store.smiles[row] if store.has_bonds else str(row), []).append(place)
    return [np.array(places) for places in found.values()]


def _bits(store: Store, rows: np.ndarray) -> np.ndarray:
    some = store.take(rows)
    return fingerprints(hashes(some, RADIUS), some)
