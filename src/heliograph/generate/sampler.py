"""From noise to molecules, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, final

import numpy as np
import torch
from torch import Tensor

from heliograph import kernels, segment
from heliograph.errors import UsageError
from heliograph.generate import discrete, network
from heliograph.generate.data import CHARGES, Molecules, Vocabulary, complete
from heliograph.generate.keep import Fragment, begun, placed, restored
from heliograph.generate.process import Process, times
from heliograph.graph import Graph
from heliograph.model import MPNN

if TYPE_CHECKING:
    from heliograph.generate.metrics import Share

MOST_ATOMS = 200  # of a sample


class Known(Protocol):
    """What a generator knows of its data: atomic numbers, number of atoms -> how many, name -> (mean, deviation, least, most)."""

    @property
    def species(self) -> tuple[int, ...]: ...
    @property
    def sizes(self) -> Mapping[int, int]: ...
    @property
    def properties(self) -> Mapping[str, tuple[float, float, float, float]]: ...


@final
@dataclass(frozen=True)
class Wish:
    """What is asked of samples; what is exact is never violated.

    Exact: `sizes` least and most atoms, `formula` atomic number -> count, `elements` atomic numbers that may occur, `keep` a fragment
    that every sample contains (of molecules). Guided:
    `properties` name -> (least, most), of which a value is drawn for each sample; `guidance` 1 follows the condition as it was
    learned, more exaggerates it (classifier-free guidance, Ho & Salimans 2022, arXiv:2207.12598).
    """

    sizes: tuple[int, int] | None = None
    formula: dict[int, int] = field(default_factory=dict)
    elements: tuple[int, ...] = ()
    properties: dict[str, tuple[float, float]] = field(default_factory=dict)
    guidance: float = 1.0
    keep: Fragment | None = field(default=None, compare=False)

    def drawn_sizes(self, n: int, known: Mapping[int, int], rng: np.random.Generator) -> np.ndarray:
        """Numbers of atoms [n], as often as they are `known` to occur where any that were asked for do."""
        if self.formula:
            return np.full(n, sum(self.formula.values()))
        low, high = self.sizes or (0, max(MOST_ATOMS, *known))
        low = max(low, len(self.keep) if self.keep else 0)
        there = sorted(k for k in known if low <= k <= high)
        if not there:
            return rng.integers(low, (high if self.sizes else low) + 1, n)
        weights = np.array([known[k] for k in there], np.float64)
        return rng.choice(there, n, p=weights / weights.sum())

    def check(self, vocabulary: Known) -> list[str]:
        """Return what lies outside the training data, in sentences. Raises UsageError for what can't be: an unknown element or property."""
        for z in (*self.formula, *self.elements):
            if z not in vocabulary.species:
                raise UsageError(f"the generator has never seen the element with atomic number {z}; it knows {list(vocabulary.species)}")
        if self.formula and self.elements and not set(self.formula) <= set(self.elements):
            raise UsageError("--formula names an element that --elements leaves out")
        n = sum(self.formula.values())
        if self.keep is not None:
            self._check_kept(self.keep, vocabulary)
        if self.formula and self.sizes and not self.sizes[0] <= n <= self.sizes[1]:
            raise UsageError(f"--formula has {n} atoms and --atoms asks for {self.sizes[0]} to {self.sizes[1]}")
        notes = []
        sizes = (n, n) if self.formula else self.sizes
        if sizes and not any(sizes[0] <= k <= sizes[1] for k in vocabulary.sizes):
            seen = f"{min(vocabulary.sizes)} to {max(vocabulary.sizes)}"
            notes.append(f"Nothing in the training data has {sizes[0]} to {sizes[1]} atoms (there are {seen}): expect poor samples.")
        for name, (low, high) in self.properties.items():
            if name not in vocabulary.properties:
                raise UsageError(f"the generator knows no property {name!r}; it knows {list(vocabulary.properties) or 'none'}")
            least, most = vocabulary.properties[name][2:]
            if high < least or low > most:
                notes.append(f"{name} of {low:g} to {high:g} lies outside the training data ({least:g} to {most:g}).")
        return notes

    def _check_kept(self, fragment: Fragment, vocabulary: Known) -> None:
        numbers, counts = np.unique(fragment.z, return_counts=True)
        strange = sorted({int(z) for z in numbers} - set(self.elements or vocabulary.species) - set(self.formula))
        if strange:
            raise UsageError(f"--keep has elements (atomic numbers {strange}) that the generator has never seen or --elements leaves out")
        if self.formula and any(self.formula.get(int(z), 0) < c for z, c in zip(numbers, counts, strict=True)):
            raise UsageError("--formula has fewer atoms of an element than the fragment of --keep")
        if self.sizes and self.sizes[1] < len(fragment):
            raise UsageError(f"--keep has {len(fragment)} atoms and --atoms allows {self.sizes[1]} at most")


@final
@dataclass(frozen=True, eq=False)
class Drawn:
    """A batch of samples and the values that were asked of each: `asked` name -> [n]."""

    molecules: Molecules
    asked: dict[str, np.ndarray]


class _Kept(NamedTuple):
    """Rows `at` [G, k] of a fragment's atoms, their types `species` [k] and its `shape` [k, 3] on the network's scale."""

    at: Tensor
    species: Tensor
    shape: Tensor


@final
@dataclass(frozen=True, eq=False)
class Sampler:
    """A trained generator that draws: `model`, what it knows of molecules, and the process that it learned."""

    model: MPNN
    vocabulary: Vocabulary
    process: Process
    steps: int = 50
    churn: float = 15.0  # of types: how often a shown one is masked again
    temperature: float = 0.1  # of types: below 1 the likely ones are favoured

    def sample(self, n: int, wish: Wish | None = None, seed: int = 0, batch_size: int = 64) -> Iterator[Drawn]:
        """Yield `n` molecules in batches; the same seed, batch size and wish give the same molecules."""
        wish = wish or Wish()
        wish.check(self.vocabulary)
        for k, start in enumerate(range(0, n, batch_size)):
            yield self._batch(min(batch_size, n - start), wish, [seed, k])

    def _batch(self, n: int, wish: Wish, seed: Sequence[int]) -> Drawn:
        rng, known = np.random.default_rng(list(seed)), self.vocabulary
        torch_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
        sizes = wish.drawn_sizes(n, known.sizes, rng)
        topology = complete(sizes)
        by_graph = topology.nodes_by_graph
        fixed, kept = self._formula(n, wish, rng), self._kept(sizes, wish)
        species = torch.full((topology.N,), known.masked) if fixed is None else fixed
        if kept is not None:
            species[kept.at] = kept.species
        asked = {name: rng.uniform(low, high, n) for name, (low, high) in wish.properties.items()}
        condition = self._condition(n, asked)
        allowed = torch.tensor([not wish.elements or z in wish.elements for z in known.species])

        def noise() -> Tensor:
            x = torch.randn(topology.N, 3, generator=torch_rng)
            return x - kernels.gather(segment.mean(x, by_graph), by_graph.index)

        self.model.eval()
        pos, grid, said = noise(), times(self.steps), Graph(topology)
        if wish.keep is not None:
            pos = begun(pos, sizes, wish.keep, self.vocabulary.scale)
        for t, after in zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True):
            found, said = self._answers(said.with_nodes(pos=pos, species=species), t, condition, wish.guidance)
            end = pos + (1 - t) * found["move"]
            end = end if kept is None else placed(end, kept.at, kept.shape)
            pos = self.process.step(pos, end, t, after - t, noise())
            if fixed is None:
                logits = found["species"].masked_fill(~allowed, -torch.inf)
                species = discrete.step(species, logits / self.temperature, t, after - t, known.masked, self.churn, torch_rng)
                if kept is not None:
                    species[kept.at] = kept.species
        found, _ = self._answers(said.with_nodes(pos=pos, species=species), 1.0, condition, wish.guidance)
        molecules = self._molecules(pos, species, found, sizes)
        return Drawn(molecules if wish.keep is None else restored(molecules, wish.keep), asked)

    def _answers(self, graph: Graph, t: float, condition: Tensor, guidance: float) -> tuple[dict[str, Tensor], Graph]:
        """What the network says at time t, and the graph that knows it."""
        graph = graph.with_globals(t=torch.full((graph.G, 1), t), condition=condition)
        with torch.no_grad():
            found = self.model(graph)
            if guidance == 1.0 or not condition.any():
                return found, network.told(graph, found)
            free = self.model(graph.with_globals(condition=torch.zeros_like(condition)))
        found = {name: free[name] + guidance * (found[name] - free[name]) for name in found}
        return found, network.told(graph, found)

    def _formula(self, n: int, wish: Wish, rng: np.random.Generator) -> Tensor | None:
        """Types [N] where a formula says them, in random order after those of a fragment."""
        if not wish.formula:
            return None
        counts = dict(wish.formula)
        first = [] if wish.keep is None else [self.vocabulary.species.index(int(z)) for z in wish.keep.z]
        for z in [] if wish.keep is None else wish.keep.z:
            counts[int(z)] -= 1
        rest = np.repeat([self.vocabulary.species.index(z) for z in counts], list(counts.values()))
        return torch.from_numpy(np.concatenate([[*first, *rng.permutation(rest)] for _ in range(n)]).astype(np.int64))

    def _kept(self, sizes: np.ndarray, wish: Wish) -> _Kept | None:
        """Where the fragment's atoms stand in the batch, and what they are."""
        if wish.keep is None:
            return None
        at = (np.cumsum(sizes) - sizes)[:, None] + np.arange(len(wish.keep))
        species = [self.vocabulary.species.index(int(z)) for z in wish.keep.z]
        shape = torch.from_numpy(wish.keep.pos / self.vocabulary.scale).float()
        return _Kept(torch.from_numpy(at.astype(np.int64)), torch.tensor(species), shape)

    def _condition(self, n: int, asked: dict[str, np.ndarray]) -> Tensor:
        columns: list[np.ndarray] = []
        for name, (mean, std, _, _) in self.vocabulary.properties.items():
            columns += [(asked[name] - mean) / std, np.ones(n)] if name in asked else [np.zeros(n), np.zeros(n)]
        return torch.from_numpy(np.stack(columns, 1) if columns else np.zeros((n, 0))).float()

    def _molecules(self, pos: Tensor, species: Tensor, found: dict[str, Tensor], sizes: np.ndarray) -> Molecules:
        """Arrays of the samples: the likeliest charge of each atom and order of each pair."""
        topology = complete(sizes)
        order, i, j = found["order"].argmax(-1).numpy(), topology.receivers.numpy(), topology.senders.numpy()
        graph, offsets = topology.nodes_by_graph.index.numpy()[i], np.concatenate([[0], np.cumsum(sizes)])
        bonded = (order > 0) & (j < i)
        bonds = np.stack([j - offsets[graph], i - offsets[graph]], 1)[bonded]
        return Molecules(
            z=np.array(self.vocabulary.species)[species.numpy()],
            charge=found["charge"].argmax(-1).numpy() + CHARGES[0],
            pos=pos.double().numpy() * self.vocabulary.scale,
            offsets=offsets,
            bonds=bonds,
            order=order[bonded],
            bond_offsets=np.concatenate([[0], np.cumsum(np.bincount(graph[bonded], minlength=len(sizes)))]),
        )


def with_steps(sampler: Sampler, steps: int | None, process: Process | None = None) -> Sampler:
    """The sampler with another number of steps or process, where given."""
    return replace(sampler, steps=steps or sampler.steps, process=process or sampler.process)


def quality(sampler: Sampler, steps: Sequence[int] = (5, 10, 20, 50, 100), n: int = 100, seed: int = 0) -> dict[int, Mapping[str, Share]]:
    """Shares of `n` samples at each number of steps."""
    from heliograph.generate.metrics import molecules

    return {k: molecules(drawn.molecules for drawn in with_steps(sampler, k).sample(n, seed=seed)).shares for k in steps}
