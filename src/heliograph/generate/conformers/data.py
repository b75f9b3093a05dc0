"""Conformers to learn from, beside the noise that they grow out of.

The noise is that of a chain of springs along the bonds (the harmonic prior of Jing et al. 2023, arXiv:2304.02198, sec. 3.3), so that
bonded atoms begin as neighbours; it is rotated onto the conformer, never permuted or reflected, since atoms and hands are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from heliograph.data.targets import Target, Targets
from heliograph.generate.data import CHARGES, complete, turned
from heliograph.graph import Graph

if TYPE_CHECKING:
    from heliograph.chem.given import Given

KINDS = 9  # of pairs of atoms, `heliograph.chem.given`
STIFFNESS = 2.5  # of the springs, on the scale of the coordinates


@final
class Prior:
    """The springs of one molecule: noise of covariance L+ / STIFFNESS in each direction, L the Laplacian of its bonds; centred."""

    def __init__(self, kinds: np.ndarray):
        bonded = ((kinds >= 1) & (kinds <= 4)).astype(np.float64)
        values, vectors = np.linalg.eigh(np.diag(bonded.sum(1)) - bonded)
        self.root = vectors[:, 1:] / np.sqrt(STIFFNESS * values[1:])  # [n, n - 1]; the first is the centre

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """[n, 3]."""
        return np.asarray(self.root @ rng.standard_normal((self.root.shape[1], 3)))


def graph_of(molecules: Sequence[Given], species: Sequence[int], **nodes: np.ndarray) -> Graph:
    """One batch of the molecules: "species", "charge" (classes), "hand" [N, 1], "around" [N, 3]; edges "kind" [E]; `nodes` [N, 3]."""
    sizes = np.array([len(m.z) for m in molecules], np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    N = int(offsets[-1])
    around, hand = np.repeat(np.arange(N)[:, None], 3, 1), np.zeros((N, 1), np.float32)
    kinds = []
    for start, m in zip(offsets, molecules, strict=False):
        around[start + m.around[:, 0]] = start + m.around[:, 1:]
        hand[start + m.around[:, 0], 0] = m.hand
        kinds.append(m.kinds[~np.eye(len(m.z), dtype=bool)])  # receivers first, as `complete` has them
    index = np.full(119, -1)
    index[list(species)] = np.arange(len(species))
    charge = np.clip(np.concatenate([m.charge for m in molecules]), CHARGES[0], CHARGES[-1]) - CHARGES[0]
    features = {
        "species": torch.from_numpy(index[np.concatenate([m.z for m in molecules])]),
        "charge": torch.from_numpy(charge.astype(np.int64)),
        "around": torch.from_numpy(around),
        "hand": torch.from_numpy(hand),
        **{name: torch.from_numpy(x.astype(np.float32)) for name, x in nodes.items()},
    }
    return Graph(complete(sizes), features, {"kind": torch.from_numpy(np.concatenate(kinds).astype(np.int64))})


@final
class ConformerSource:
    """Conformers beside the noise they grow out of: a source of `heliograph.learn`. `positions`: angstrom, one [n, 3] a row."""

    def __init__(self, molecules: Sequence[Given], positions: Sequence[np.ndarray], species: Sequence[int], scale: float, seed: int = 0):
        self.molecules, self.species, self.scale, self.seed = molecules, species, scale, seed
        self.positions = [(x - x.mean(0)) / scale for x in positions]
        self.priors = [Prior(m.kinds) for m in molecules]

    def __len__(self) -> int:
        return len(self.molecules)

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """The conformers `rows`, t = 1; "start" is their noise, which follows from the step, in evaluation from the rows."""
        rng = np.random.default_rng([self.seed, 1, step] if step is not None else [self.seed, 2, *map(int, rows[:8])])
        pos = [self.positions[row] for row in rows]
        start = [turned(self.priors[row].draw(rng), x) for row, x in zip(rows, pos, strict=True)]
        molecules = [self.molecules[row] for row in rows]
        graph = graph_of(molecules, self.species, pos=np.concatenate(pos), start=np.concatenate(start))
        return graph.with_globals(t=torch.ones(len(rows), 1))

    def targets(self, rows: np.ndarray) -> Targets:
        """Targets: "atom" counts the atoms; what is to be learned stands in the batch."""
        return {"atom": Target(torch.zeros(sum(len(self.molecules[row].z) for row in rows), dtype=torch.long), "node")}
