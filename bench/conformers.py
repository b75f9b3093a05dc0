"""Conformers that a generator draws beside RDKit's ETKDGv3, against reference ensembles.

    python scripts/make_conformers.py train.sdf --molecules 2500
    python scripts/make_conformers.py held.sdf --molecules 2500 --held 60 --starts 30
    heliograph generate train train.sdf --task conformers --d 64 --depth 4 --epochs 10 -o folder
    python bench/conformers.py folder held.sdf [-o FILE.jsonl]

Of each molecule with K references, 2 K are drawn by each way; nothing is relaxed or chosen, but conformers of wrong stereo, which the
generator draws again up to three times. Heavy atoms, least over rotations and symmetries. "etkdg_mmff" is what the references were
made from where they are MMFF94s minima, from other starts: a bound, not a rival.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from common import machine
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from heliograph.chem.alike import rmsds
from heliograph.chem.given import Given
from heliograph.generate.conformers.metrics import ensembles
from heliograph.generate.conformers.task import conformers
from heliograph.generate.runner import folder
from heliograph.learn.progress import silent

Draw = Callable[[Given, int], list[np.ndarray]]


def etkdg(molecule: Given, n: int, relax: bool = False) -> list[np.ndarray]:
    mol = Chem.Mol(molecule.mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed, parameters.numThreads, parameters.timeout = 12345, 1, 5
    with rdBase.BlockLogs():
        numbers = list(rdDistGeom.EmbedMultipleConfs(mol, n, parameters))
        if relax and numbers and rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, numThreads=1, maxIters=1000, mmffVariant="MMFF94s")
    return [np.asarray(mol.GetConformer(k).GetPositions()) for k in numbers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    sampler = folder(options.model, options.steps)
    molecules, positions, _ = conformers(options.references, silent())
    references: dict[str, list[np.ndarray]] = {}
    for molecule, x in zip(molecules, positions, strict=True):
        references.setdefault(molecule.smiles, []).append(x)
    fresh = {m.smiles: m for m in molecules}  # without references' positions: stereo and graph alone are handed on
    ways: dict[str, Draw] = {
        "heliograph": lambda m, n: next(sampler.conformers([m], n)),
        "etkdg": etkdg,
        "etkdg_mmff": lambda m, n: etkdg(m, n, relax=True),
    }
    lines = [machine(1) | {"molecules": len(fresh), "references": len(molecules), "steps": options.steps}]
    for name, draw in ways.items():
        distances, drawn = [], 0
        for smiles, molecule in fresh.items():
            found = draw(molecule, 2 * len(references[smiles]))
            drawn += len(found)
            distances.append(rmsds(molecule, references[smiles], found))
        lines.append({"way": name, "drawn": drawn, **asdict(ensembles(distances))})
    for line in lines:
        print(json.dumps(line), flush=True)
    if options.output:
        with options.output.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
