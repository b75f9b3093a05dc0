"""The task of molecules: atoms, bonds, charges and positions out of noise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from heliograph.generate import network, read
from heliograph.generate.config import GenerateTrainConfig
from heliograph.generate.data import Molecules, MoleculeSource, Vocabulary
from heliograph.generate.objective import Denoise
from heliograph.generate.process import process
from heliograph.generate.sampler import Sampler
from heliograph.generate.tasks import Assembled, split
from heliograph.learn.progress import Progress
from heliograph.predictor import modelfile

OUTPUTS = {"move": "node", "species": "node", "charge": "node", "order": "edge"}


def assemble(config: GenerateTrainConfig, progress: Progress) -> Assembled:
    """Molecules of a table. Raises DataError where none can be used."""
    g = config.generator
    molecules, reasons = read.molecules(g.data_path, g.properties, progress)
    parts = split(len(molecules), config)
    vocabulary = Vocabulary.of(molecules, parts["train"])
    arguments = {"d": g.d, "depth": g.depth, "sets": g.sets, "pair": g.pair}
    return Assembled(
        source=MoleculeSource(molecules, vocabulary, config.fit.seed),
        parts=_known(molecules, vocabulary, parts),
        build=partial(network.build, len(vocabulary.species), 2 * len(vocabulary.properties), **arguments),
        objective=Denoise(process(g.process), vocabulary.masked),
        arguments=arguments,
        knows={"vocabulary": vocabulary.to_dict(), "process": g.process},
        outputs=OUTPUTS,
        digest=hashlib.sha256(molecules.pos.tobytes() + molecules.z.tobytes()).hexdigest()[:16],
        unit="molecules",
        reasons=reasons,
    )


def sampler(knows: Mapping[str, Any], arguments: Mapping[str, int], tensors: Mapping[str, Tensor], file: Path) -> Sampler:
    """What draws molecules."""
    vocabulary = Vocabulary.from_dict(knows["vocabulary"])
    model = network.build(len(vocabulary.species), 2 * len(vocabulary.properties), **arguments)
    modelfile.fill(model, tensors, file)
    return Sampler(model.eval(), vocabulary, process(knows["process"]))


def _known(molecules: Molecules, vocabulary: Vocabulary, parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Validation molecules with elements that training has not are left out."""
    strange = ~np.isin(molecules.z, vocabulary.species)
    bad = np.add.reduceat(strange, molecules.offsets[:-1]) > 0
    return {part: rows[~bad[rows]] for part, rows in parts.items()}
