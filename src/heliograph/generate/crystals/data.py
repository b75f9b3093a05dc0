"""Crystals to learn from, in a few arrays, and what a generator must know of them.

A cell is held as six numbers: L L^T = exp(2 K), K symmetric, so that nothing depends on how the crystal is turned (Luo et al. 2025,
CrystalFlow, arXiv:2412.11693, sec. 4.1). Positions are fractional, on the torus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from heliograph.data.targets import Target, Targets
from heliograph.generate.data import complete
from heliograph.graph import Graph

_DIAGONAL, _BESIDE = np.arange(3), (np.array([0, 0, 1]), np.array([1, 2, 2]))
SMALLEST = 0.05  # deviation of a component of K that is taken for the scale at least: cubic crystals have none beside the diagonal


@final
@dataclass(frozen=True, eq=False)
class Crystals:
    """M crystals with N atoms in all: `z` [N], `frac` [N, 3] in [0, 1), `cells` [M, 3, 3] rows in angstrom, `offsets` [M + 1]."""

    z: np.ndarray
    frac: np.ndarray
    cells: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.cells)

    def atoms(self, k: int) -> slice:
        """Where crystal k's atoms are."""
        return slice(int(self.offsets[k]), int(self.offsets[k + 1]))

    @property
    def n_atoms(self) -> np.ndarray:
        """Atoms of each crystal, [M]."""
        return np.diff(self.offsets)

    def formula(self, k: int) -> tuple[int, ...]:
        """Atomic numbers of crystal k, sorted."""
        return tuple(sorted(self.z[self.atoms(k)].tolist()))


def logs(cells: np.ndarray) -> np.ndarray:
    """[M, 6] of cells [M, 3, 3]: the diagonal of K, then sqrt(2) K_xy, K_xz, K_yz, so that its norm is K's."""
    values, vectors = np.linalg.eigh(cells @ np.swapaxes(cells, 1, 2))
    K = (vectors * (0.5 * np.log(values))[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.concatenate([K[:, _DIAGONAL, _DIAGONAL], np.sqrt(2) * K[:, _BESIDE[0], _BESIDE[1]]], 1)


def cells_of(logs: np.ndarray) -> np.ndarray:
    """[M, 3, 3] of `logs` [M, 6]: the symmetric one of all cells that differ by how they are turned."""
    K = np.zeros((len(logs), 3, 3))
    K[:, _DIAGONAL, _DIAGONAL] = logs[:, :3]
    K[:, _BESIDE[0], _BESIDE[1]] = K[:, _BESIDE[1], _BESIDE[0]] = logs[:, 3:] / np.sqrt(2)
    values, vectors = np.linalg.eigh(K)
    return np.asarray((vectors * np.exp(values)[:, None, :]) @ np.swapaxes(vectors, 1, 2))


def wrapped(x: np.ndarray) -> np.ndarray:
    """Differences of fractional coordinates, the short way round: in [-1/2, 1/2)."""
    return np.asarray((x + 0.5) % 1.0 - 0.5)


def near(start: np.ndarray, frac: np.ndarray, z: np.ndarray) -> np.ndarray:
    """`start` [n, 3] permuted among atoms of one element to lie near `frac` [n, 3]: optimal transport on the torus, a formula given."""
    found = start.copy()
    for element in np.unique(z):
        at = np.flatnonzero(z == element)
        if len(at) > 1:
            cost = np.square(wrapped(start[at][:, None] - frac[at][None])).sum(-1)
            chosen, place = linear_sum_assignment(cost)
            found[at[place]] = start[at[chosen]]
    return found


@final
@dataclass(frozen=True)
class Vocabulary:
    """What a generator knows of its training crystals, for its model file.

    `species`: atomic numbers in their order; `sizes`: number of atoms -> crystals; `mean`, `std`: of the six numbers of a cell, the mean
    of the diagonal for one atom (a cell of n atoms has log(n) / 3 more).
    """

    species: tuple[int, ...]
    sizes: Mapping[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, crystals: Crystals, rows: np.ndarray) -> Vocabulary:
        """Learn it from `rows`, the training part."""
        numbers, counts = np.unique(crystals.n_atoms[rows], return_counts=True)
        own = logs(crystals.cells[rows]) - per_atom(crystals.n_atoms[rows])
        at = np.concatenate([np.arange(crystals.offsets[k], crystals.offsets[k + 1]) for k in rows])
        species = tuple(int(z) for z in np.unique(crystals.z[at]))
        sizes = {int(n): int(c) for n, c in zip(numbers, counts, strict=True)}
        return cls(species, sizes, tuple(own.mean(0).tolist()), tuple(np.maximum(own.std(0), SMALLEST).tolist()))

    @property
    def properties(self) -> Mapping[str, tuple[float, float, float, float]]:
        """None: crystals are not asked for properties."""
        return {}

    @property
    def masked(self) -> int:
        """The index that stands for an element not known yet."""
        return len(self.species)

    def scaled(self, cells: np.ndarray, n_atoms: np.ndarray) -> np.ndarray:
        """[M, 6] cells on the scale of the network."""
        return np.asarray((logs(cells) - per_atom(n_atoms) - np.array(self.mean)) / np.array(self.std))

    def unscaled(self, lattice: np.ndarray, n_atoms: np.ndarray) -> np.ndarray:
        """[M, 3, 3] cells of what the network says."""
        return cells_of(lattice * np.array(self.std) + np.array(self.mean) + per_atom(n_atoms))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        sizes = {str(n): c for n, c in self.sizes.items()}
        return {"species": list(self.species), "sizes": sizes, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Vocabulary:
        """Read `to_dict` back. Raises ValueError where a cell has not six numbers."""
        mean, std = (tuple(float(x) for x in data[name]) for name in ("mean", "std"))
        if len(mean) != 6 or len(std) != 6 or min(std) <= 0:
            raise ValueError("a cell has six numbers")
        return cls(tuple(int(z) for z in data["species"]), {int(n): int(c) for n, c in data["sizes"].items()}, mean, std)


def per_atom(n_atoms: np.ndarray) -> np.ndarray:
    """[M, 6]: what a cell of n atoms has more than one of a single atom, of the same density."""
    more = np.zeros((len(n_atoms), 6))
    more[:, :3] = (np.log(n_atoms) / 3)[:, None]
    return more


@final
class CrystalSource:
    """Crystals beside the noise that they grow out of: a source of `heliograph.learn`.

    Nodes: "frac" and "start" [N, 3], uniform noise matched among atoms of one element; "species". Globals: "lattice" and "first" [G, 6],
    normal noise; "t" 1, since these are data. Atoms are shuffled, and crystals moved in their cells, so that neither teaches anything.
    """

    def __init__(self, crystals: Crystals, vocabulary: Vocabulary, seed: int = 0):
        self.crystals, self.vocabulary, self.seed = crystals, vocabulary, seed
        index = np.full(119, -1)
        index[list(vocabulary.species)] = np.arange(len(vocabulary.species))
        self.species = index[crystals.z]
        self.lattice = vocabulary.scaled(crystals.cells, crystals.n_atoms)

    def __len__(self) -> int:
        return len(self.crystals)

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The crystals `rows`; noise follows from the step, in evaluation from the rows."""
        rng = np.random.default_rng([self.seed, 1, step] if step is not None else [self.seed, 2, *map(int, rows[:8])])
        frac, start = [], []
        for at in self._at(rows):
            x = (self.crystals.frac[at] + rng.random(3)) % 1.0
            frac.append(x)
            start.append(near(rng.random(x.shape), x, self.species[at]))
        first = rng.standard_normal((len(rows), 6))
        nodes = {"frac": np.concatenate(frac), "start": np.concatenate(start)}
        species = torch.from_numpy(self.species[np.concatenate(self._at(rows))])
        return Graph(
            complete(self.crystals.n_atoms[rows]),
            {name: torch.from_numpy(x.astype(np.float32)) for name, x in nodes.items()} | {"species": species},
            globals={
                "lattice": torch.from_numpy(self.lattice[rows]).float(),
                "first": torch.from_numpy(first).float(),
                "t": torch.ones(len(rows), 1),
            },
        )

    def targets(self, rows: np.ndarray) -> Targets:
        """Classes "species" of atoms; "cell" counts the crystals."""
        species = torch.from_numpy(self.species[np.concatenate(self._at(rows))])
        return {"species": Target(species, "node"), "cell": Target(torch.zeros(len(rows), dtype=torch.long), "graph")}

    def _at(self, rows: np.ndarray) -> list[np.ndarray]:
        offsets, n = self.crystals.offsets, self.crystals.n_atoms
        return [offsets[row] + np.random.default_rng([self.seed, int(row)]).permutation(n[row]) for row in rows]
