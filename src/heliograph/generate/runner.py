"""A generator's training, from a table of molecules to one model file, and the way back."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, final

from heliograph import manifest
from heliograph.errors import ModelFileError, UsageError
from heliograph.files import atomic
from heliograph.generate.config import GenerateTrainConfig
from heliograph.generate.conformers.sampler import Folder
from heliograph.generate.sampler import Sampler
from heliograph.generate.tasks import sizes, task
from heliograph.learn import budget, runfolder
from heliograph.learn.ensemble import plain, train
from heliograph.learn.job import Job
from heliograph.learn.progress import Lines, Progress
from heliograph.learn.state import network as trained_network
from heliograph.learn.state import tensors_of
from heliograph.predictor import kinds, modelfile
from heliograph.predictor.modelfile import Document
from heliograph.train import toml
from heliograph.train.assemble import versions

SHIPPED = Path(__file__).with_name("smallmol.safetensors")  # made by scripts/make_generator.py
MODEL, CONFIG = "model.safetensors", "config.toml"
_NAMES = r"config\.toml|train\.log|metrics\.csv|model\.safetensors|resume/(state|member_\d+)\.safetensors"
GENERATOR = manifest.Kind("a generator", re.compile(_NAMES))
_S = TypeVar("_S")
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
    made = task(config.generator.task).assemble(config, progress)
    job = Job(made.source, made.parts, made.build, made.objective, config.fit, folder=folder, unit=made.unit)
    if config.fit.budget and saved is None:
        epochs, text = budget.epochs(job, budget.seconds(config.fit.budget) - (time.monotonic() - began), 1)
        progress.say(text)
        config = config.model_copy(update={"fit": config.fit.model_copy(update={"epochs": epochs})})
    job = replace(job, fit=config.fit)
    if saved is None:
        manifest.claim(folder, GENERATOR, FILES, replace=True)
        with atomic(folder / CONFIG) as temporary:
            temporary.write_text(toml.dump(config), encoding="utf-8")
    for reason, count in made.reasons.items():
        progress.say(f"{count:,} rows can't be used: {reason}")
    counters, (member,) = train(job, progress, {made.unit: made.digest})
    document = Document(
        kind="generator",
        arch=made.arch,
        arch_args=dict(made.arguments),
        inputs={},
        outputs={name: {"level": level} for name, level in made.outputs.items()},
        parts={"task": config.generator.task, **made.knows},
        training=plain({"data": config.generator.data_path.name}),
        members=[member.summary],
        versions=versions(),
    )
    modelfile.write(folder / MODEL, document, [tensors_of(trained_network(job, member))])
    manifest.seal(folder)
    counts = {part: len(rows) for part, rows in made.parts.items()}
    best = min((row.val_loss for row in counters.history), default=float("nan"))
    return Summary(counts, made.reasons, best, time.monotonic() - began, folder / MODEL)


def load(path: str | os.PathLike[str] | None = None) -> Sampler:
    """Return the sampler of molecules in a model file or run folder, without one that of the shipped generator. Raises ModelFileError."""
    return of_task(path, Sampler, "molecules")


def folder(path: str | os.PathLike[str], steps: int | None = None) -> Folder:
    """Return the sampler of conformers in a model file or run folder. Raises ModelFileError."""
    found = of_task(path, Folder, "conformers")
    return replace(found, steps=steps or found.steps)


def of_task(path: str | os.PathLike[str] | None, kind: type[_S], task_name: str) -> _S:
    """Return what draws, of a file of this task. Raises ModelFileError: damaged, another model, another task."""
    name, found = any_task(path)
    if not isinstance(found, kind):
        raise ModelFileError(f"{path or SHIPPED} generates {name}, not {task_name}")
    return found


def any_task(path: str | os.PathLike[str] | None) -> tuple[str, object]:
    """Return the task of a model file or run folder (without one: the shipped generator's), and what draws. Raises ModelFileError."""
    path = SHIPPED if path is None else Path(path)
    file = path / MODEL if path.is_dir() else path
    document, members = modelfile.read(file)
    kinds.expect(document.kind, "generator", file)
    try:
        name = document.parts.get("task", "molecules")
        found = task(name).sampler(document.parts, sizes(document.arch_args, members[0]), members[0], file)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, UsageError) as error:
        raise ModelFileError(f"{file} can't be used by this version ({error}); it was written with {document.versions}") from error
    return name, found


def _settled(config: GenerateTrainConfig, resume: bool, overwrite: bool) -> GenerateTrainConfig | None:
    """The saved configuration where a run goes on, None where one begins. Changes nothing."""
    if runfolder.goes_on(config.output_dir, GENERATOR, resume, overwrite, FILES, (config.generator.data_path,)):
        saved = toml.load_as(config.output_dir, GenerateTrainConfig)
        runfolder.refuse_changes(saved, config, {"epochs"} if config.fit.budget else ())
        return saved.model_copy(update={"output_dir": config.output_dir})
    return None
