"""A generator's training, from a table of molecules to one model file, and the way back."""

from __future__ import annotations

import hashlib
import os
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from pydantic import ValidationError

from heliograph import manifest
from heliograph.errors import DataError, ModelFileError, UsageError
from heliograph.files import atomic
from heliograph.generate import network, read
from heliograph.generate.config import GenerateTrainConfig
from heliograph.generate.data import MoleculeSource, Vocabulary
from heliograph.generate.objective import Denoise
from heliograph.generate.process import process
from heliograph.generate.sampler import Sampler
from heliograph.learn import budget
from heliograph.learn.ensemble import plain, train
from heliograph.learn.job import Job
from heliograph.learn.progress import Lines, Progress
from heliograph.learn.state import network as trained_network
from heliograph.learn.state import tensors_of
from heliograph.predictor import modelfile
from heliograph.predictor.modelfile import Document
from heliograph.train import toml
from heliograph.train.assemble import versions

MODEL, CONFIG = "model.safetensors", "config.toml"
_NAMES = r"config\.toml|train\.log|metrics\.csv|model\.safetensors|resume/(state|member_\d+)\.safetensors"
GENERATOR = manifest.Kind("a generator", re.compile(_NAMES))
FILES = (CONFIG, "train.log", "metrics.csv", MODEL, "resume/state.safetensors", "resume/member_0.safetensors")


@final
@dataclass(frozen=True)
class Summary:
    """What came of a training."""

    molecules: Mapping[str, int]
    reasons: Mapping[str, int]
    val_loss: float
    seconds: float
    model: Path


def run(config: GenerateTrainConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None) -> Summary:
    """Train a generator into `config.output_dir`; `resume` goes on to the same weights, `overwrite` replaces an earlier run.

    Raises UsageError (a run in the folder, settings that changed), DataError (no molecule that can be used).
    """
    began, progress, folder = time.monotonic(), progress or Lines(), config.output_dir
    saved = _settled(config, resume, overwrite)
    config = (saved or config).model_copy(update={"output_dir": folder})
    molecules, reasons = read.molecules(config.generator.data_path, config.generator.properties, progress)
    parts = _parts(len(molecules), config)
    vocabulary = Vocabulary.of(molecules, parts["train"])
    molecules, parts = _known(molecules, vocabulary, parts)
    g = config.generator
    arguments = {"d": g.d, "depth": g.depth, "sets": g.sets, "pair": g.pair}
    job = Job(
        source=MoleculeSource(molecules, vocabulary, config.fit.seed),
        parts=parts,
        build=partial(network.build, len(vocabulary.species), 2 * len(vocabulary.properties), **arguments),
        objective=Denoise(process(g.process), vocabulary.masked),
        fit=config.fit,
        folder=folder,
    )
    if config.fit.budget and saved is None:
        epochs, text = budget.epochs(job, budget.seconds(config.fit.budget) - (time.monotonic() - began), 1)
        progress.say(text)
        config = config.model_copy(update={"fit": config.fit.model_copy(update={"epochs": epochs})})
    job = replace(job, fit=config.fit)
    if saved is None:
        manifest.claim(folder, GENERATOR, FILES, replace=True)
        with atomic(folder / CONFIG) as temporary:
            temporary.write_text(toml.dump(config), encoding="utf-8")
    for reason, count in reasons.items():
        progress.say(f"{count:,} rows can't be used: {reason}")
    digest = hashlib.sha256(molecules.pos.tobytes() + molecules.z.tobytes()).hexdigest()[:16]
    counters, (member,) = train(job, progress, {"molecules": digest})
    document = Document(
        kind="generator",
        arch="semla",
        arch_args=arguments,
        inputs={},
        outputs={name: {"level": level} for name, level in (("move", "node"), ("species", "node"), ("charge", "node"), ("order", "edge"))},
        parts={"vocabulary": vocabulary.to_dict(), "process": g.process},
        training=plain({"data": g.data_path.name}),
        members=[member.summary],
        versions=versions(),
    )
    modelfile.write(folder / MODEL, document, [tensors_of(trained_network(job, member))])
    manifest.seal(folder)
    sizes = {part: len(rows) for part, rows in parts.items()}
    best = min((row.val_loss for row in counters.history), default=float("nan"))
    return Summary(sizes, reasons, best, time.monotonic() - began, folder / MODEL)


def load(path: str | os.PathLike[str]) -> Sampler:
    """Return the sampler of a model file or run folder. Raises ModelFileError."""
    file = Path(path) / MODEL if Path(path).is_dir() else Path(path)
    document, members = modelfile.read(file)
    if document.kind != "generator":
        raise ModelFileError(f"{file} is a model of {document.kind}, not a generator; `heliograph generate train` makes one")
    try:
        vocabulary = Vocabulary.from_dict(document.parts["vocabulary"])
        known = {k: int(document.arch_args[k]) for k in ("d", "depth", "sets", "pair")}
        elements = sum(t.numel() for t in members[0].values())
        if max(known.values()) > 4096 or known["d"] ** 2 * known["depth"] > elements * 8:
            raise ValueError("its sizes do not fit its tensors")
        model = network.build(len(vocabulary.species), 2 * len(vocabulary.properties), **known)
        modelfile.fill(model, members[0], file)
        return Sampler(model.eval(), vocabulary, process(document.parts["process"]))
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, UsageError) as error:
        raise ModelFileError(f"{file} can't be used by this version ({error}); it was written with {document.versions}") from error


def _settled(config: GenerateTrainConfig, resume: bool, overwrite: bool) -> GenerateTrainConfig | None:
    """The saved configuration where a run goes on, None where one begins. Changes nothing."""
    folder = config.output_dir
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude one another: go on with the run, or replace it?")
    held = manifest.held(folder, GENERATOR)
    if held is not None and resume and (folder / CONFIG).is_file():
        try:
            saved = GenerateTrainConfig.model_validate(tomllib.loads((folder / CONFIG).read_text(encoding="utf-8")))
        except (OSError, ValidationError, ValueError) as error:
            raise DataError(f"{folder / CONFIG} is damaged ({error}). Begin again with --overwrite.") from None
        free = {"epochs"} if config.fit.budget else set()
        changed = [k for k, v in saved.fit if k not in free and v != getattr(config.fit, k)]
        changed += [k for k, v in saved.generator if v != getattr(config.generator, k)]
        if changed:
            what = ", ".join(changed)
            raise UsageError(f"--resume goes on with a run as it was begun, but {what} changed. Leave the options as they were.")
        return saved
    if held is not None and not overwrite:
        raise UsageError(
            f"{folder} holds a run already: --resume goes on with it, --overwrite replaces it, or choose another --output-dir."
        )
    manifest.refuse(folder, GENERATOR, FILES, replace=True, inputs=[config.generator.data_path])
    return None


def _parts(n: int, config: GenerateTrainConfig) -> dict[str, np.ndarray]:
    order = np.random.default_rng([config.fit.seed, 7]).permutation(n)
    held = max(1, round(config.generator.validation * n))
    if n - held < 2:
        raise DataError(f"{n} molecules are too few to learn from: give three or more.")
    return {"train": np.sort(order[held:]), "val": np.sort(order[:held])}


def _known(molecules: Any, vocabulary: Vocabulary, parts: dict[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
    """Validation molecules with elements that training has not are left out."""
    strange = ~np.isin(molecules.z, vocabulary.species)
    bad = np.add.reduceat(strange, molecules.offsets[:-1]) > 0
    return molecules, {part: rows[~bad[rows]] for part, rows in parts.items()}
