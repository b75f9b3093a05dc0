"""The most similar molecules of a library, exactly: Tanimoto on packed fingerprints, bounded by how many bits are set.

T(a, b) >= t is possible only where t |a| <= |b| <= |a| / t (S. J. Swamidass, P. Baldi, J. Chem. Inf. Model. 2007, 47, 302), so with rows
sorted by their number of bits a query looks at a part of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

_COUNT = np.array([bin(k).count("1") for k in range(2**16)], dtype=np.uint8)
_PIECE = 65_536  # rows compared at a time
BITS = 1024


@dataclass(frozen=True, eq=False)
class Index:
    """Fingerprints [n, BITS / 16] uint16 in order of their number of bits [n], and the molecules' SMILES in that order."""

    prints: np.ndarray
    sizes: np.ndarray
    smiles: Sequence[str]

    @classmethod
    def build(cls, smiles: Iterable[str]) -> Index:
        """Of SMILES that can be read, each once; others are left out."""
        texts, parts = list[str](), list[np.ndarray]()
        for some, packed in _packed(dict.fromkeys(smiles)):
            texts += some
            parts.append(packed)
        prints = np.concatenate(parts) if parts else np.zeros((0, BITS // 16), np.uint16)
        sizes = popcount(prints)
        order = np.argsort(sizes, kind="stable")
        return cls(prints[order], sizes[order], [texts[k] for k in order])

    def near(self, smiles: str, similarity: float, most: int) -> list[tuple[str, float]]:
        """Up to `most` molecules with a Tanimoto similarity of at least `similarity`, the most similar first, then by SMILES."""
        ((_, (one,)),) = _packed([smiles])
        size = int(popcount(one[None])[0])
        low = int(np.searchsorted(self.sizes, np.ceil(similarity * size - 1e-9)))
        high = int(np.searchsorted(self.sizes, np.floor(size / max(similarity, 1e-9) + 1e-9), side="right"))
        found: list[tuple[float, str]] = []
        for start in range(low, high, _PIECE):
            rows = slice(start, min(high, start + _PIECE))
            both = popcount(self.prints[rows] & one)
            tanimoto = both / np.maximum(self.sizes[rows] + size - both, 1)
            for k in np.flatnonzero(tanimoto >= similarity):
                found.append((-float(tanimoto[k]), self.smiles[start + int(k)]))
        return [(text, -score) for score, text in sorted(found)[:most]]


def popcount(prints: np.ndarray) -> np.ndarray:
    """Bits set in each row, [n] int64."""
    return np.asarray(_COUNT[prints].sum(1, dtype=np.int64))


def _packed(smiles: Iterable[str]) -> Iterator[tuple[list[str], np.ndarray]]:
    from heliograph.chem.fingerprints import packed

    source = iter(smiles)
    while some := list(islice(source, 4096)):
        kept, prints = packed(some, BITS)
        yield kept, prints.view(np.uint16)
