"""The best of many rows, exactly: by score, then canonical SMILES, then the place in the library; each molecule once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

DIGITS = 6  # of a score that count: what differs by rounding alone is a tie, and the SMILES decides


@dataclass(frozen=True, slots=True)
class Hit:
    """One molecule: rounded `score` (higher is better), canonical SMILES, (shard, row), the row's cells and the answers by column."""

    score: float
    smiles: str
    place: tuple[int, int]
    cells: dict[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> tuple[float, str, tuple[int, int]]:
        """The least is the best."""
        return -self.score, self.smiles, self.place

    def to_list(self) -> list[Any]:
        """Plain JSON data."""
        return [self.score, self.smiles, list(self.place), self.cells]

    @classmethod
    def from_list(cls, data: Sequence[Any]) -> Hit:
        return cls(data[0], data[1], (data[2][0], data[2][1]), data[3])


class Best:
    """The `depth` best of all that was added, in whatever order it came."""

    def __init__(self, depth: int):
        self.depth, self._by_smiles = depth, dict[str, Hit]()
        self.floor: float | None = None  # what scores less can't be among them

    def add(self, hits: Iterable[Hit]) -> None:
        for hit in hits:
            known = self._by_smiles.get(hit.smiles)
            if known is None or hit.order < known.order:
                self._by_smiles[hit.smiles] = hit
        if len(self._by_smiles) >= self.depth:
            kept = self.ranked()
            self.floor = kept[-1].score
            if len(self._by_smiles) > 2 * self.depth:
                self._by_smiles = {hit.smiles: hit for hit in kept}

    def ranked(self) -> list[Hit]:
        """At most `depth` hits, the best first."""
        return sorted(self._by_smiles.values(), key=lambda hit: hit.order)[: self.depth]
