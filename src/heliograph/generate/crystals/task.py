"""The task of crystals: periodic structures to a generator of cells, positions and elements."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from heliograph.errors import UsageError
from heliograph.generate.config import GenerateTrainConfig
from heliograph.generate.crystals import network, read
from heliograph.generate.crystals.data import CrystalSource, Vocabulary
from heliograph.generate.crystals.objective import Crystallise
from heliograph.generate.crystals.sampler import CrystalSampler
from heliograph.generate.tasks import Assembled, split
from heliograph.learn.progress import Progress
from heliograph.predictor import modelfile


def assemble(config: GenerateTrainConfig, progress: Progress) -> Assembled:
    """Crystals of a file or folder; those of one formula are trained on or validated on together. Raises DataError, UsageError."""
    g = config.generator
    if g.properties or g.process != "flow":
        raise UsageError("crystals are learned by --process flow and without --properties")
    crystals, reasons = read.crystals(g.data_path, progress)
    _, groups = np.unique([str(crystals.formula(k)) for k in range(len(crystals))], return_inverse=True)
    parts = split(len(crystals), config, groups)
    vocabulary = Vocabulary.of(crystals, parts["train"])
    parts["val"] = np.array([k for k in parts["val"] if set(crystals.formula(k)) <= set(vocabulary.species)], np.int64)
    return Assembled(
        source=CrystalSource(crystals, vocabulary, config.fit.seed),
        parts=parts,
        build=partial(network.build, len(vocabulary.species), g.d, g.depth),
        objective=Crystallise(vocabulary.masked),
        arguments={"d": g.d, "depth": g.depth, "sets": g.sets, "pair": g.pair},
        knows={"vocabulary": vocabulary.to_dict()},
        outputs={"move": "node", "species": "node", "lattice": "graph"},
        digest=hashlib.sha256(crystals.frac.tobytes() + crystals.cells.tobytes() + crystals.z.tobytes()).hexdigest()[:16],
        unit="crystals",
        reasons=reasons,
        arch="cspnet",
    )


def sampler(knows: Mapping[str, Any], arguments: Mapping[str, int], tensors: Mapping[str, Tensor], file: Path) -> CrystalSampler:
    """What draws crystals."""
    vocabulary = Vocabulary.from_dict(knows["vocabulary"])
    model = network.build(len(vocabulary.species), arguments["d"], arguments["depth"])
    modelfile.fill(model, tensors, file)
    return CrystalSampler(model.eval(), vocabulary)
