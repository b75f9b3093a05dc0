"""From noise to crystals, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
import torch
from torch import Tensor

from heliograph.generate import discrete
from heliograph.generate.crystals.data import Crystals, Vocabulary
from heliograph.generate.data import complete
from heliograph.generate.sampler import Wish
from heliograph.graph import Graph, dense
from heliograph.model import MPNN


@final
@dataclass(frozen=True, eq=False)
class CrystalSampler:
    """A trained generator of crystals."""

    model: MPNN
    vocabulary: Vocabulary
    steps: int = 50
    churn: float = 5.0  # of elements: how often a shown one is masked again

    def sample(self, n: int, wish: Wish | None = None, seed: int = 0, batch_size: int = 256) -> Iterator[Crystals]:
        """Yield `n` crystals in batches; the same seed, batch size and wish give the same crystals.

        A formula is that of the cell. Raises UsageError for a wish that can't be.
        """
        wish = wish or Wish()
        wish.check(self.vocabulary)
        for k, start in enumerate(range(0, n, batch_size)):
            many = min(batch_size, n - start)
            rng = np.random.default_rng([seed, k])
            if wish.formula:
                one = np.repeat(list(wish.formula), list(wish.formula.values()))
                yield self.draw([rng.permutation(one) for _ in range(many)], rng)
            else:
                yield self.draw(wish.drawn_sizes(many, self.vocabulary.sizes, rng), rng, wish.elements)

    def draw(self, atoms: Sequence[np.ndarray] | np.ndarray, rng: np.random.Generator, elements: Sequence[int] = ()) -> Crystals:
        """One crystal for each of `atoms`: atomic numbers [n] where they are given, else numbers of atoms [G], types to be drawn."""
        known, given = self.vocabulary, not isinstance(atoms, np.ndarray)
        sizes = np.array([len(one) for one in atoms]) if given else np.asarray(atoms, np.int64)
        topology = complete(sizes)
        torch_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
        species = torch.full((topology.N,), known.masked)
        if given:
            index = {z: k for k, z in enumerate(known.species)}
            species = torch.tensor([index[int(z)] for one in atoms for z in one])
        allowed = torch.tensor([not elements or z in elements for z in known.species])
        frac, lattice = torch.rand(topology.N, 3, generator=torch_rng), torch.randn(len(sizes), 6, generator=torch_rng)
        graph, grid = Graph(topology), torch.linspace(0, 1, self.steps + 1, dtype=torch.float64).tolist()
        self.model.eval()
        for t, after in pairwise(grid):
            graph = graph.with_nodes(frac=frac, species=species).with_globals(lattice=lattice, t=torch.full((graph.G, 1), t))
            with torch.no_grad():
                found = self.model(graph)
            frac = torch.remainder(frac + (after - t) * found["move"], 1.0)
            lattice = lattice + (after - t) * found["lattice"]
            if not given:
                species = self._types(species, found["species"].masked_fill(~allowed, -torch.inf), t, after, torch_rng)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        z = np.array(known.species)[species.numpy()]
        cells = known.unscaled(dense(lattice).double().numpy(), sizes)
        return Crystals(z, frac.double().numpy() % 1.0, cells, offsets)

    def _types(self, species: Tensor, logits: Tensor, t: float, after: float, generator: torch.Generator) -> Tensor:
        return discrete.step(species, logits, t, after - t, self.vocabulary.masked, self.churn, generator)
