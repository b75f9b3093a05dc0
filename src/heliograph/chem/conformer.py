"""A 3D structure for a molecule that came without one: ETKDG, then MMFF94s or UFF, seeded.

Sources: S. Riniker, G. A. Landrum, J. Chem. Inf. Model. 2015, 55, 2562 (ETKDG); T. A. Halgren, J. Comput. Chem. 1996, 17, 490 (MMFF94);
A. K. Rappe et al., J. Am. Chem. Soc. 1992, 114, 10024 (UFF).
"""

from __future__ import annotations

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from heliograph.errors import StructureError

_GAP = 3.0  # angstrom between the molecules or ions of one structure, before they are relaxed together
MAX_EMBEDDED_ATOMS = 500  # hydrogens counted: distance geometry grows with the cube


def embed(mol: Chem.Mol, seed: int, seconds: int = 20) -> np.ndarray:
    """Positions [n, 3] float64 in angstrom of one low-energy conformer of `mol`, which must have its hydrogens as atoms.

    The same molecule (same atom order) and seed give the same positions. Raises StructureError with a reason.
    """
    n = mol.GetNumAtoms()
    if n > MAX_EMBEDDED_ATOMS:
        raise StructureError(f"structure could not be embedded in 3D: {n} atoms with hydrogens, limit {MAX_EMBEDDED_ATOMS}")
    if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
        raise StructureError("structure could not be embedded in 3D: it has a dummy atom (*)")
    mol = Chem.Mol(mol)
    with rdBase.BlockLogs():
        for random_coordinates in (False, True):
            parameters = rdDistGeom.ETKDGv3()
            # RDKit's -1 means "not seeded", its 0 and 1 are the same
            parameters.randomSeed = seed % (2**31 - 2) + 1  # type: ignore[assignment]
            parameters.useRandomCoords = random_coordinates  # type: ignore[assignment]
            parameters.timeout = seconds  # type: ignore[assignment]
            parameters.numThreads = 1  # type: ignore[assignment]
            try:
                found = rdDistGeom.EmbedMolecule(mol, parameters)
            except (RuntimeError, ValueError) as error:
                raise StructureError(f"structure could not be embedded in 3D: {str(error).splitlines()[0][:100]}") from None
            if found == 0:
                break
        else:
            raise StructureError("structure could not be embedded in 3D: no conformer found")
        _relax(mol)
        if line_up(mol):
            _relax(mol, together=True)
    positions = np.asarray(mol.GetConformer().GetPositions(), dtype=np.float64)  # [n, 3]
    if not np.isfinite(positions).all():
        raise StructureError("structure could not be embedded in 3D: positions are not finite")
    return positions


def line_up(mol: Chem.Mol, conformer: int = -1) -> bool:
    """Molecules and ions of one structure are embedded each around the origin: set them side by side, the largest first.

    `conformer`: its number, -1 for the first. False where there is only one molecule.
    """
    fragments = sorted(Chem.GetMolFrags(mol), key=len, reverse=True)
    if len(fragments) == 1:
        return False
    positions = np.array(mol.GetConformer(conformer).GetPositions(), dtype=np.float64)
    edge = 0.0
    for fragment in fragments:
        at = list(fragment)
        positions[at] -= positions[at].mean(0)
        positions[at, 0] += edge - positions[at, 0].min()
        edge = positions[at, 0].max() + _GAP
    mol.GetConformer(conformer).SetPositions(positions)
    return True


def _relax(mol: Chem.Mol, together: bool = False) -> None:
    """A few hundred steps of MMFF94s, of UFF where MMFF lacks an atom type; as embedded where both do.

    `together`: with the forces between the molecules or ions of one structure.
    """
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, mmffVariant="MMFF94s", maxIters=500, ignoreInterfragInteractions=not together)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=500, ignoreInterfragInteractions=not together)
