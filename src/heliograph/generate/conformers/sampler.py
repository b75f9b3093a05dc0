"""From noise to conformers of given molecules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from heliograph.generate.conformers.data import Prior, graph_of
from heliograph.generate.process import Flow, times
from heliograph.graph import dense
from heliograph.model import MPNN

if TYPE_CHECKING:
    from heliograph.chem.given import Given

TRIES = 4  # how often a conformer of wrong stereo is drawn again


@final
@dataclass(frozen=True, eq=False)
class Folder:
    """A trained generator of conformers: `model`, the elements it knows, the scale of its coordinates in angstrom."""

    model: MPNN
    species: tuple[int, ...]
    scale: float
    steps: int = 25

    def missing(self, molecule: Given) -> str:
        """Why no conformer of this molecule can be drawn, "" where one can."""
        from heliograph.chem.elements import SYMBOLS

        strange = sorted(set(molecule.z.tolist()) - set(self.species))
        return f"elements that the generator has never seen: {', '.join(SYMBOLS[z] for z in strange)}" if strange else ""

    def draw(self, molecules: Sequence[Given], seed: Sequence[int]) -> list[np.ndarray]:
        """One conformer [n, 3] in angstrom of each molecule, right or wrong; the same seed gives the same."""
        rng = np.random.default_rng(list(seed))
        state = np.concatenate([Prior(m.kinds).draw(rng) for m in molecules])
        graph, grid = graph_of(molecules, self.species, pos=state), times(self.steps)
        self.model.eval()
        with torch.no_grad():
            for t, after in zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True):
                graph = graph.with_globals(t=torch.full((graph.G, 1), t))
                pos = dense(graph.nodes["pos"])
                end = pos + (1 - t) * self.model(graph)["move"]
                graph = graph.with_nodes(pos=Flow().step(pos, end, t, after - t, pos), end=end)
        drawn = dense(graph.nodes["pos"]).double().numpy() * self.scale
        return np.split(drawn, np.cumsum([len(m.z) for m in molecules])[:-1])

    def conformers(self, molecules: Sequence[Given], n: int, seed: int = 0, batch_size: int = 64) -> Iterator[list[np.ndarray]]:
        """Yield, for each molecule in order, up to `n` conformers [n, 3] in angstrom; what is short of `n` was given up.

        One whose stereo is not the one asked for is drawn again, up to `TRIES` times; the same seed and batch size give the same.
        """
        from heliograph.chem.given import stereo_kept

        at_once = max(1, batch_size // n)
        for first in range(0, len(molecules), at_once):
            chunk = molecules[first : first + at_once]
            found: list[list[np.ndarray]] = [[] for _ in chunk]
            for attempt in range(TRIES):
                wanted = [k for k, have in enumerate(found) for _ in range(n - len(have))]
                for start in range(0, len(wanted), batch_size):
                    part = wanted[start : start + batch_size]
                    drawn = self.draw([chunk[k] for k in part], [seed, first, attempt, start])
                    for k, x in zip(part, drawn, strict=True):
                        if np.isfinite(x).all() and stereo_kept(chunk[k], x):
                            found[k].append(x)
            yield from found
