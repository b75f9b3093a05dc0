"""Choose molecules that differ: sphere exclusion in the order given, and at most so many of one scaffold.

Source: sphere exclusion as in R. Taylor, J. Chem. Inf. Comput. Sci. 1995, 35, 59, in the order of rank.
Fingerprints are Morgan's, radius 2, 2048 bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rdkit import DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator

from heliograph.chem.parse import parse_smiles
from heliograph.chem.scaffolds import scaffold_of
from heliograph.errors import HeliographError


def choose(smiles: Sequence[str], most: int, similarity: float | None, per_scaffold: int | None = None) -> list[int]:
    """Places of up to `most` molecules, in order.

    The first is chosen; each that follows is chosen if its Tanimoto similarity to all chosen so far is at most `similarity`, and fewer than
    `per_scaffold` of its scaffold were chosen (molecules without rings count as scaffolds of their own). Raises StructureError.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    chosen: list[int] = []
    prints: list[DataStructs.ExplicitBitVect] = []
    scaffolds: Counter[str] = Counter()
    with rdBase.BlockLogs():
        for k, text in enumerate(smiles):
            if len(chosen) == most:
                break
            mol = parse_smiles(text)
            core = scaffold_of(mol) if per_scaffold is not None else ""
            if core and per_scaffold is not None and scaffolds[core] >= per_scaffold:
                continue
            if similarity is not None:
                one = generator.GetFingerprint(mol)
                if prints and max(DataStructs.BulkTanimotoSimilarity(one, prints)) > similarity:
                    continue
                prints.append(one)
            scaffolds[core] += 1
            chosen.append(k)
    return chosen


def most_similar(smiles: Sequence[str]) -> tuple[float, tuple[int, int]]:
    """The largest Tanimoto similarity of any two, and which; every pair is looked at. (0, (0, 0)) for fewer than two."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(parse_smiles(text)) for text in smiles]
    found, pair = 0.0, (0, 0)
    for k in range(1, len(prints)):
        row = DataStructs.BulkTanimotoSimilarity(prints[k], prints[:k])
        if (most := max(row)) > found:
            found, pair = most, (row.index(most), k)
    return found, pair


def check(smiles: Sequence[str], similarity: float) -> float:
    """The largest similarity of any two. Raises HeliographError where it is above `similarity`."""
    found, (a, b) = most_similar(smiles)
    if found > similarity:
        raise HeliographError(f"{smiles[a]} and {smiles[b]} are {found:.3f} similar, more than {similarity}: please report this")
    return found
