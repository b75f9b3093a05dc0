"""Molecules to learn from, in a few arrays, and what a generator must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from heliograph.data.targets import Target, Targets
from heliograph.graph import Graph
from heliograph.topology import Topology

CHARGES = (-1, 0, 1)  # formal charges that are told apart; others count as the nearest
ORDERS = 4  # no bond, single, double, triple


@final
@dataclass(frozen=True, eq=False)
class Molecules:
    """M molecules with N atoms and B bonds (Kekule) in all.

    `z` [N] atomic numbers, `charge` [N] formal, `pos` [N, 3] angstrom, `offsets` [M + 1]; `bonds` [B, 2] numbers of atoms within their
    molecule, `order` [B] 1, 2 or 3, `bond_offsets` [M + 1]; `properties`: name -> [M], NaN = missing.
    """

    z: np.ndarray
    charge: np.ndarray
    pos: np.ndarray
    offsets: np.ndarray
    bonds: np.ndarray
    order: np.ndarray
    bond_offsets: np.ndarray
    properties: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def atoms(self, k: int) -> slice:
        """Where molecule k's atoms are."""
        return slice(int(self.offsets[k]), int(self.offsets[k + 1]))

    def bonds_of(self, k: int) -> slice:
        """Where molecule k's bonds are."""
        return slice(int(self.bond_offsets[k]), int(self.bond_offsets[k + 1]))

    @property
    def n_atoms(self) -> np.ndarray:
        """Atoms of each molecule, [M]."""
        return np.diff(self.offsets)


@final
@dataclass(frozen=True)
class Vocabulary:
    """What a generator knows of its training molecules, for its model file.

    `species`: atomic numbers in their order; `sizes`: number of atoms -> molecules; `scale`: standard deviation of coordinates about
    the centre, angstrom; `properties`: name -> (mean, standard deviation, least, most).
    """

    species: tuple[int, ...]
    sizes: Mapping[int, int]
    scale: float
    properties: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, molecules: Molecules, rows: np.ndarray) -> Vocabulary:
        """Learn it from `rows`, the training part."""
        at = np.concatenate([np.arange(molecules.offsets[k], molecules.offsets[k + 1]) for k in rows])
        own = np.repeat(np.arange(len(rows)), molecules.n_atoms[rows])
        pos = molecules.pos[at] - (np.stack([np.bincount(own, x) for x in molecules.pos[at].T], 1) / np.bincount(own)[:, None])[own]
        numbers, counts = np.unique(molecules.n_atoms[rows], return_counts=True)
        properties = {}
        for name, values in molecules.properties.items():
            there = values[rows][np.isfinite(values[rows])]
            if len(there):
                properties[name] = (float(there.mean()), float(there.std()) or 1.0, float(there.min()), float(there.max()))
        sizes = {int(n): int(c) for n, c in zip(numbers, counts, strict=True)}
        return cls(tuple(int(z) for z in np.unique(molecules.z[at])), sizes, float(pos.std()), properties)

    @property
    def masked(self) -> int:
        """The index that stands for a type not known yet."""
        return len(self.species)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        sizes = {str(n): c for n, c in self.sizes.items()}
        properties = [[name, *v] for name, v in self.properties.items()]  # a list: their order is that of the network's inputs
        return {"species": list(self.species), "sizes": sizes, "scale": self.scale, "properties": properties}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Vocabulary:
        """Read `to_dict` back."""
        properties = {str(name): (float(a), float(b), float(c), float(d)) for name, a, b, c, d in data["properties"]}
        sizes = {int(n): int(c) for n, c in data["sizes"].items()}
        return cls(tuple(int(z) for z in data["species"]), sizes, float(data["scale"]), properties)


def complete(sizes: np.ndarray) -> Topology:
    """All ordered pairs i != j within each of the graphs, sorted by receiver."""
    sizes = np.asarray(sizes, np.int64)
    first = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(sizes)), sizes * sizes)
    k = np.arange(len(owner)) - (np.cumsum(sizes * sizes) - sizes * sizes)[owner]
    i, j = k // np.maximum(sizes, 1)[owner], k % np.maximum(sizes, 1)[owner]
    keep = i != j
    receivers, senders = (first[owner] + i)[keep], (first[owner] + j)[keep]
    tensors = (torch.from_numpy(x) for x in (senders, receivers, sizes, sizes * (sizes - 1)))
    return Topology(*tensors, N=int(sizes.sum()))


def pair_places(sizes: np.ndarray, atoms: np.ndarray, graph: np.ndarray) -> np.ndarray:
    """Numbers of the edges (sender `atoms[:, 0]` -> receiver `atoms[:, 1]`) of `complete(sizes)`; atoms count within their `graph`."""
    sizes = np.asarray(sizes, np.int64)
    start = np.cumsum(sizes * (sizes - 1)) - sizes * (sizes - 1)
    j, i = atoms[:, 0].astype(np.int64), atoms[:, 1].astype(np.int64)
    return start[graph] + i * (sizes[graph] - 1) + j - (j > i)


@final
class MoleculeSource:
    """Molecules as complete graphs beside the noise they are to grow out of: a source of `heliograph.learn`.

    Nodes: `pos` (centred, over the scale), `start` (centred noise, matched to the molecule by permutation and rotation), `species`.
    Globals: `condition` [G, 2 P], standardised properties and whether each is known; `t` 1, since these are data.
    Atoms are shuffled, so that their order in the file teaches nothing.
    """

    def __init__(self, molecules: Molecules, vocabulary: Vocabulary, seed: int = 0):
        self.molecules, self.vocabulary, self.seed = molecules, vocabulary, seed
        index = np.full(119, -1)
        index[list(vocabulary.species)] = np.arange(len(vocabulary.species))
        self.species = index[molecules.z]

    def __len__(self) -> int:
        return len(self.molecules)

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The molecules `rows`; noise follows from the step, in evaluation from the rows."""
        orders, (sizes, at) = self._orders(rows), self._at(rows)
        rng = np.random.default_rng([self.seed, 1, step] if step is not None else [self.seed, 2, *map(int, rows[:8])])
        pos, start = [], []
        for k, row in enumerate(rows):
            x = self.molecules.pos[self.molecules.atoms(row)][orders[k]]
            x = (x - x.mean(0)) / self.vocabulary.scale
            noise = rng.standard_normal((len(x), 3))
            pos.append(x)
            start.append(matched(noise - noise.mean(0), x))
        nodes = {
            "pos": torch.from_numpy(np.concatenate(pos).astype(np.float32)),
            "start": torch.from_numpy(np.concatenate(start).astype(np.float32)),
            "species": torch.from_numpy(self.species[at]),
        }
        condition = conditions(self.vocabulary, self.molecules.properties, rows)
        return Graph(complete(sizes), nodes, globals={"condition": condition, "t": torch.ones(len(rows), 1)})

    def targets(self, rows: np.ndarray) -> Targets:
        """Classes: "species" and "charge" of atoms, "order" of bonds by pairs."""
        orders, (sizes, at) = self._orders(rows), self._at(rows)
        order = np.zeros(int((sizes * (sizes - 1)).sum()), np.int64)
        for k, row in enumerate(rows):
            part = self.molecules.bonds_of(row)
            place = np.argsort(orders[k])  # old atom -> its new number
            pairs = place[self.molecules.bonds[part].astype(np.int64)].reshape(-1, 2)
            graph = np.full(len(pairs), k)
            for both in (pairs, pairs[:, ::-1]):
                order[pair_places(sizes, both, graph)] = self.molecules.order[part]
        charge = np.clip(self.molecules.charge[at].astype(np.int64), CHARGES[0], CHARGES[-1]) - CHARGES[0]
        return {
            "species": Target(torch.from_numpy(self.species[at]), "node"),
            "charge": Target(torch.from_numpy(charge), "node"),
            "order": Target(torch.from_numpy(order), "edge"),
        }

    def _orders(self, rows: np.ndarray) -> list[np.ndarray]:
        return [np.random.default_rng([self.seed, int(row)]).permutation(self.molecules.n_atoms[row]) for row in rows]

    def _at(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        orders = self._orders(rows)
        at = np.concatenate([self.molecules.offsets[row] + order for row, order in zip(rows, orders, strict=True)])
        return self.molecules.n_atoms[rows].astype(np.int64), at


def matched(noise: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`noise` [n, 3] permuted to lie near `x` [n, 3], then rotated onto it: the optimal transport of one molecule, approximately.

    Hungarian assignment, then Kabsch's rotation without reflection (Klein et al. 2023, arXiv:2306.15030; Song et al. 2023,
    arXiv:2312.07168).
    """
    cost = np.square(noise[:, None] - x[None]).sum(-1)
    chosen, place = linear_sum_assignment(cost)
    ordered = np.empty_like(noise)
    ordered[place] = noise[chosen]
    return turned(ordered, x)


def turned(noise: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`noise` [n, 3] rotated onto `x` [n, 3], atom by atom, never reflected (Kabsch 1976, doi:10.1107/S0567739476001873)."""
    u, _, vt = np.linalg.svd(noise.T @ x)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return np.asarray(noise @ (u @ flip @ vt))


def conditions(vocabulary: Vocabulary, properties: Mapping[str, np.ndarray], rows: np.ndarray) -> torch.Tensor:
    """[G, 2 P]: each property on its scale (0 where it is missing), and 1 where it is there."""
    columns = []
    for name, (mean, std, _, _) in vocabulary.properties.items():
        values = (np.asarray(properties[name], np.float64)[rows] - mean) / std
        columns += [np.nan_to_num(values), np.isfinite(values).astype(np.float64)]
    return torch.from_numpy(np.stack(columns, 1) if columns else np.zeros((len(rows), 0))).float()
