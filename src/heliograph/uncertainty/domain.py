"""What the training molecules looked like, and whether a new one is like them.

    new_atoms(r)    the share of a molecule's atoms whose environment of radius r no training molecule has
    distance        1 - mean Tanimoto similarity to the NEAREST training molecules (landmarks), on environments up to
                    radius SHOWN

    errors near     mean error of the NEAR nearest landmarks, weighted by the squares of their similarities,
                    and 1 of the mean error of all

All are known for training molecules as if they were new: against the other folds only. Their
distribution gives the threshold, so that of molecules like those of training about OUTSIDE are
called unlike. A molecule with an atom of a kind that was never seen, or of a size beyond the
training's, is unlike them too. Unlike is not wrong: it says that nothing of the training speaks for
the answer.

Hashes of environments can be looked up but not read; fingerprints of training molecules can give
them away. `level` says what is kept: "hashes", or "full" for both.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from heliograph.data.store import Store
from heliograph.errors import DataError
from heliograph.uncertainty import environments

RADIUS = 2  # rounds of refinement that are kept
SHOWN = 1  # radius of `new_atoms` in predictions, and of what the distance compares
NEAREST = 3
NEAR = 5
LANDMARKS = 2000
OUTSIDE = 0.05
MOST_QUANTILES = 1001


@dataclass(frozen=True, eq=False)
class Place:
    """Where n molecules stand. `new` [N]: the smallest radius at which an atom's environment is new
    (RADIUS + 1: none is).

    `distance` [n], NaN at level "hashes"; `shares` [RADIUS + 1, n]; `rank` [n]: the share of
    training molecules that are less unlike; `near` [n, T]: errors near, where they are known.
    """

    new: np.ndarray
    shares: np.ndarray
    distance: np.ndarray
    rank: np.ndarray
    inside: np.ndarray
    near: np.ndarray | None = None

    @property
    def new_atoms(self) -> np.ndarray:
        """Return the share of atoms whose environment of radius SHOWN is new, [n]."""
        return np.asarray(self.shares[SHOWN])


@dataclass(frozen=True, eq=False)
class Domain:
    """`known`: sorted hashes per radius; `landmarks` [L, BITS] bool or None; `quantiles`: of the
    unlikeness of training molecules; `errors` [L, T]: how far answers to the landmarks were off
    while they were new (NaN: unknown), or None.
    """

    level: str
    known: tuple[np.ndarray, ...]
    landmarks: np.ndarray | None
    quantiles: np.ndarray
    sizes: tuple[int, int]
    errors: np.ndarray | None = None

    @classmethod
    def fit(
        cls,
        store: Store,
        rows: np.ndarray,
        folds: np.ndarray,
        level: str,
        errors: np.ndarray | None = None,
        seed: int = 0,
    ) -> tuple[Domain, Place]:
        """Learn from training molecules `rows` [n] of a store in `folds` [n]; also return where
        they stood while they were new. `errors` [n, T]: |error| of each's answer then.
        """
        some = store.take(rows)
        found = environments.hashes(some, RADIUS)
        owner = np.repeat(folds, some.n_node)
        new = np.full(len(owner), RADIUS + 1)
        for fold in np.unique(folds):
            here = owner == fold
            for radius in range(RADIUS, -1, -1):
                known = np.unique(found[radius][~here])
                new[here] = np.where(environments.contained(known, found[radius][here]), new[here], radius)
        landmarks, kept, near, distance = None, None, None, np.full(len(rows), np.nan)
        if level == "full":
            bits = environments.fingerprints(found[: SHOWN + 1], some)
            chosen = np.arange(len(rows))
            if len(rows) > LANDMARKS:
                chosen = np.sort(np.random.default_rng(seed).choice(len(rows), LANDMARKS, replace=False))
            landmarks = bits[chosen]
            if errors is not None:
                kept, near = errors[chosen], np.empty(errors.shape)
            for fold in np.unique(folds):
                here, others = folds == fold, folds[chosen] != fold
                found_errors = None if kept is None else kept[others]
                distance[here], mean = _around(bits[here], landmarks[others], found_errors)
                if near is not None:
                    near[here] = mean
        shares = np.stack([environments.per_molecule(new <= r, some) for r in range(RADIUS + 1)])
        sizes = (int(some.n_node.min()), int(some.n_node.max()))
        unlike = _unlike(shares, distance)
        steps = np.linspace(0, 1, min(MOST_QUANTILES, len(rows)))
        quantiles = np.quantile(unlike, steps, method="inverted_cdf")
        known_hashes = tuple(np.unique(h) for h in found)
        domain = cls(level, known_hashes, landmarks, quantiles, sizes, kept)
        return domain, domain._place(new, shares, distance, some.n_node, near)

    def __call__(self, store: Store) -> Place:
        """Return where the molecules of a store stand, which was built with the training's
        featurizer.
        """
        found = environments.hashes(store, RADIUS)
        new = np.full(len(found[0]), RADIUS + 1)
        for radius in range(RADIUS, -1, -1):
            new = np.where(environments.contained(self.known[radius], found[radius]), new, radius)
        shares = np.stack([environments.per_molecule(new <= r, store) for r in range(RADIUS + 1)])
        distance, near = np.full(len(store), np.nan), None
        if self.landmarks is not None:
            bits = environments.fingerprints(found[: SHOWN + 1], store)
            distance, near = _around(bits, self.landmarks, self.errors)
        return self._place(new, shares, distance, store.n_node, near)

    def _place(
        self,
        new: np.ndarray,
        shares: np.ndarray,
        distance: np.ndarray,
        size: np.ndarray,
        near: np.ndarray | None,
    ) -> Place:
        rank = np.searchsorted(self.quantiles, _unlike(shares, distance), side="left") / len(self.quantiles)
        foreign = (shares[0] > 0) | (size < self.sizes[0]) | (size > self.sizes[1])
        rank = np.where(foreign, 1.0, rank)
        return Place(new, shares, distance, rank, rank <= 1.0 - OUTSIDE, near)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; arrays as base64."""
        arrays = {f"known {r}": h for r, h in enumerate(self.known)} | {"quantiles": self.quantiles}
        if self.landmarks is not None:
            arrays["landmarks"] = np.packbits(self.landmarks, axis=1)
        if self.errors is not None:
            arrays["errors"] = self.errors.astype(np.float32)
        texts = {name: base64.b64encode(a.astype(a.dtype.newbyteorder("<")).tobytes()).decode() for name, a in arrays.items()}
        return {
            "level": self.level,
            "radius": RADIUS,
            "bits": environments.BITS,
            "sizes": list(self.sizes),
            "arrays": texts,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Domain:
        """Read what `to_dict` wrote. Raises DataError where it is of another form."""
        if data.get("bits") != environments.BITS or data.get("radius") != RADIUS:
            found = f"{data.get('bits')} bits and radius {data.get('radius')}"
            wanted = f"{environments.BITS} and {RADIUS}"
            raise DataError(f"its domain has {found}; this version reads {wanted}")

        def array(name: str, dtype: str) -> np.ndarray:
            return np.frombuffer(base64.b64decode(data["arrays"][name]), dtype=dtype)

        known = tuple(array(f"known {r}", "<u8").astype(np.uint64) for r in range(RADIUS + 1))
        landmarks, errors = None, None
        if "errors" in data["arrays"]:
            errors = array("errors", "<f4").astype(np.float64)
        if "landmarks" in data["arrays"]:
            landmarks = np.unpackbits(array("landmarks", "u1").reshape(-1, environments.BITS // 8), axis=1).astype(bool)
            if errors is not None:
                errors = errors.reshape(len(landmarks), -1)
        return cls(
            data["level"],
            known,
            landmarks,
            array("quantiles", "<f8"),
            (int(data["sizes"][0]), int(data["sizes"][1])),
            errors,
        )


def _unlike(shares: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """One number per molecule, the larger the less like the training: the distance, or without it
    the shares of new environments.
    """
    return np.where(np.isnan(distance), shares.mean(0), distance)


def _around(bits: np.ndarray, landmarks: np.ndarray, errors: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return distances [n] of fingerprints from the landmarks, and the errors near them [n, T]
    (`errors` None: None); a target that no landmark has an error of: NaN.
    """
    index, similar = environments.neighbours(bits, landmarks, NEAR)
    distance = 1.0 - similar[:, :NEAREST].mean(1) if len(landmarks) else np.ones(len(bits))
    if errors is None:
        return distance, None
    there = np.isfinite(errors)
    value, weight = np.where(there, errors, 0.0), np.square(similar)  # [L, T], [n, NEAR]
    mean = value.sum(0) / np.where(there.any(0), there.sum(0), np.nan)  # [T]
    sums = (weight[..., None] * value[index]).sum(1)  # [n, T]
    return distance, (sums + mean) / ((weight[..., None] * there[index]).sum(1) + 1.0)
