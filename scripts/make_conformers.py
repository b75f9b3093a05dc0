"""Conformers of the shipped molecules, to train and to judge generators of conformers by.

    python scripts/make_conformers.py conformers.sdf --molecules 1500 --starts 10

Starts are RDKit's ETKDGv3, relaxed by MMFF94s (`--method gfn2`: by GFN2-xTB, extra [xtb]); those within `--apart` angstrom of an earlier
one of their molecule (heavy atoms, symmetry allowed, hydrogens of diatomics counted) are dropped. Molecules are drawn by the seed.
`--held N` writes the next N molecules of the same order, which no training of the first has seen.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolAlign

from heliograph.chem.given import entry, given, stereo_kept
from heliograph.chem.parse import parse_smiles
from heliograph.data.sets import smallmol
from heliograph.errors import StructureError


def starts(mol: Chem.Mol, n: int, seed: int) -> list[int]:
    """Numbers of ETKDGv3 conformers embedded in `mol`."""
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed + 1
    parameters.numThreads = 1
    parameters.timeout = 5
    return list(rdDistGeom.EmbedMultipleConfs(mol, n, parameters))


def relaxed(mol: Chem.Mol, method: str) -> None:
    """Relax all conformers in place."""
    if not mol.GetNumConformers():
        return
    if method == "mmff":
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, numThreads=1, maxIters=1000, mmffVariant="MMFF94s")
        else:
            mol.RemoveAllConformers()
        return
    from heliograph.chem.xtb import XTB, model_hessian, relax

    z = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    for conformer in list(mol.GetConformers()):
        pos = np.asarray(conformer.GetPositions())
        try:
            pos, _ = relax(XTB(z, Chem.GetFormalCharge(mol)), pos, model_hessian(z, pos))
        except StructureError:
            mol.RemoveConformer(conformer.GetId())
        else:
            conformer.SetPositions(np.ascontiguousarray(pos))


def distinct(mol: Chem.Mol, apart: float) -> list[int]:
    """Numbers of conformers farther than `apart` angstrom from all that were kept before."""
    bare = Chem.RemoveHs(mol) if mol.GetNumHeavyAtoms() > 2 else mol
    kept: list[int] = []
    for number in (c.GetId() for c in mol.GetConformers()):
        if all(rdMolAlign.GetBestRMS(Chem.Mol(bare), bare, number, k, maxMatches=1000) > apart for k in kept):
            kept.append(number)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--molecules", type=int, default=1500)
    parser.add_argument("--held", type=int, default=0)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--apart", type=float, default=0.1)
    parser.add_argument("--method", choices=("mmff", "gfn2"), default="mmff")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shipped = smallmol.load()
    order = np.random.default_rng(options.seed).permutation(len(shipped.smiles))
    rows = order[options.molecules : options.molecules + options.held] if options.held else order[: options.molecules]
    began, written, used = time.monotonic(), 0, 0
    with rdBase.BlockLogs(), options.output.open("x", encoding="utf-8") as file:
        for row in rows:
            try:
                molecule = given(Chem.MolToSmiles(parse_smiles(str(shipped.smiles[row]))))
            except StructureError:
                continue
            mol = Chem.Mol(molecule.mol)
            starts(mol, options.starts, options.seed)
            relaxed(mol, options.method)
            here = [np.asarray(mol.GetConformer(k).GetPositions()) for k in distinct(mol, options.apart)]
            here = [x for x in here if stereo_kept(molecule, x)]
            file.writelines(entry(molecule, x, f"smallmol_{row}", {"smiles": molecule.smiles}) for x in here)
            written, used = written + len(here), used + bool(here)
    print(f"{written:,} conformers of {used:,} molecules in {time.monotonic() - began:.0f} s: {options.output}")


if __name__ == "__main__":
    main()
