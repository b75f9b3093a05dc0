"""How far apart conformers of one molecule are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolAlign

from heliograph.chem.given import Given, with_positions

MOST_MATCHES = 10_000  # of symmetries that are tried


def rmsds(molecule: Given, a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """[len(a), len(b)] root mean square distances, angstrom, of heavy atoms (of all atoms where fewer than three are heavy).

    Each is the least over rotations, never reflections, and over the symmetries of the molecule (RDKit's GetBestRMS).
    """
    first, second = ([_bare(molecule, x) for x in side] for side in (a, b))
    with rdBase.BlockLogs():
        found = [[rdMolAlign.GetBestRMS(Chem.Mol(p), q, maxMatches=MOST_MATCHES) for q in second] for p in first]
    return np.array(found, np.float64).reshape(len(a), len(b))


def _bare(molecule: Given, pos: np.ndarray) -> Chem.Mol:
    mol = with_positions(molecule, pos)
    return Chem.RemoveHs(mol) if mol.GetNumHeavyAtoms() >= 3 else mol
