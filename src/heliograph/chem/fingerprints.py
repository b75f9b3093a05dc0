"""Extended-connectivity fingerprints, for the baselines (D. Rogers, M. Hahn, J. Chem. Inf. Model. 2010, 50, 742)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import rdBase
from rdkit.Chem import rdFingerprintGenerator

from heliograph.chem.parse import parse_smiles
from heliograph.errors import StructureError


def ecfp(smiles: Sequence[str], radius: int = 2, bits: int = 2048) -> np.ndarray:
    """uint8 [len(smiles), bits] of zeros and ones; radius 2 is ECFP4. Raises StructureError on what can't be read."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)
    out = np.zeros((len(smiles), bits), dtype=np.uint8)
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles):
            out[row] = generator.GetFingerprintAsNumPy(parse_smiles(text))
    return out


def packed(smiles: Sequence[str], bits: int, radius: int = 2) -> tuple[list[str], np.ndarray]:
    """Those that can be read, and their fingerprints, uint8 [n, bits / 8]."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)
    kept, rows = [], []
    with rdBase.BlockLogs():
        for text in smiles:
            try:
                rows.append(np.packbits(generator.GetFingerprintAsNumPy(parse_smiles(text))))
            except StructureError:
                continue
            kept.append(text)
    return kept, np.stack(rows) if rows else np.zeros((0, bits // 8), np.uint8)
