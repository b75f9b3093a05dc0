"""The task of conformers: a table of molecules in 3D, one conformer a row, to a generator of positions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from heliograph.data.formats import read
from heliograph.errors import DataError, StructureError, UsageError
from heliograph.generate.config import GenerateTrainConfig
from heliograph.generate.conformers import network
from heliograph.generate.conformers.data import ConformerSource
from heliograph.generate.conformers.objective import Fold
from heliograph.generate.conformers.sampler import Folder
from heliograph.generate.read import MOST_ATOMS
from heliograph.generate.tasks import Assembled, split
from heliograph.learn.progress import Progress
from heliograph.predictor import modelfile

if TYPE_CHECKING:
    from heliograph.chem.given import Given


def assemble(config: GenerateTrainConfig, progress: Progress) -> Assembled:
    """Conformers of a table; those of one molecule are trained on or validated on together. Raises DataError, UsageError."""
    g = config.generator
    if g.properties or g.process != "flow":
        raise UsageError("conformers are learned by --process flow and without --properties")
    molecules, positions, reasons = conformers(g.data_path, progress)
    _, groups = np.unique([molecule.smiles for molecule in molecules], return_inverse=True)
    parts = split(len(molecules), config, groups)
    species = tuple(sorted({int(z) for k in parts["train"] for z in molecules[k].z}))
    parts["val"] = np.array([k for k in parts["val"] if set(molecules[k].z.tolist()) <= set(species)], np.int64)
    scale = float(np.concatenate([positions[k] - positions[k].mean(0) for k in parts["train"]]).std())
    arguments = {"d": g.d, "depth": g.depth, "sets": g.sets, "pair": g.pair}
    return Assembled(
        source=ConformerSource(molecules, positions, species, scale, config.fit.seed),
        parts=parts,
        build=partial(network.build, len(species), **arguments),
        objective=Fold(),
        arguments=arguments,
        knows={"species": list(species), "scale": scale},
        outputs={"move": "node"},
        digest=hashlib.sha256(np.concatenate(positions).tobytes()).hexdigest()[:16],
        unit="conformers",
        reasons=reasons,
    )


def sampler(knows: Mapping[str, Any], arguments: Mapping[str, int], tensors: Mapping[str, Tensor], file: Path) -> Folder:
    """What draws conformers."""
    species = tuple(int(z) for z in knows["species"])
    model = network.build(len(species), **arguments)
    modelfile.fill(model, tensors, file)
    return Folder(model.eval(), species, float(knows["scale"]))


def conformers(path: Path, progress: Progress) -> tuple[list[Given], list[np.ndarray], dict[str, int]]:
    """Molecules and positions [n, 3] angstrom of an SDF's rows, and how many can't be used, by reason. Raises DataError for none."""
    from heliograph.chem.given import given, positions

    table = read(path, target_columns=())
    molecules: list[Given] = []
    found: list[np.ndarray] = []
    reasons: Counter[str] = Counter()
    for k, record in enumerate(table):
        progress(f"reading {table.name}", k + 1)
        try:
            if record.structure is None:
                raise StructureError(record.reason or "empty structure")
            molecule = given(record.structure)
            if len(molecule.z) > MOST_ATOMS:
                raise StructureError(f"more than {MOST_ATOMS} atoms")
            found.append(positions(molecule))
        except StructureError as error:
            reasons[str(error).partition(":")[0]] += 1
            continue
        molecules.append(molecule)
    if not molecules:
        counts = ", ".join(f"{n} {why}" for why, n in reasons.most_common()) or "it has no rows"
        raise DataError(f"{table.name} has no conformer to learn from: {counts}.")
    return molecules, found, dict(reasons.most_common())
