"""A whole training: table -> parts -> members -> model files, predictions, baselines, result. The map of this package."""

from __future__ import annotations

import hashlib
import importlib.metadata
import resource
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from heliograph import zoo
from heliograph.errors import UsageError, suggest
from heliograph.predictor import Document, Predictor, combine, composition
from heliograph.predictor.predictor import source_sum
from heliograph.train import baselines, budget, folder, loss, members, metrics, scale, toml
from heliograph.train.config import TrainConfig
from heliograph.train.data import Dataset, divide, load
from heliograph.train.job import Job
from heliograph.train.log import Log
from heliograph.train.progress import Lines, Progress
from heliograph.train.result import Cost, Predictions, Replicate, TrainResult, describe
from heliograph.train.targets import check_training_labels

SAVE_EVERY = 60.0  # seconds between two saves of the state, beside those at ends of epochs


def run(config: TrainConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None) -> TrainResult:
    """Train as `config` says into `config.output_dir` and return what came of it; the result is saved there too.

    `resume` goes on with the run in that folder, to the very weights that it would have had; `overwrite` replaces it.
    Raises UsageError (settings that don't go together, a run in the folder), DataError (nothing usable in the table), HeliographError.
    """
    started, progress = time.monotonic(), progress or Lines()
    module = _check(config)
    saved = folder.prepare(config, resume, overwrite)
    if saved is not None and (config.output_dir / "results.json").is_file():
        return TrainResult.load(config.output_dir)
    config = saved or folder.absolute(config)
    progress("reading", 0, None)
    data = load(config, module, progress)
    results = []
    for k in range(config.split.num_replicates):
        here = config.model_copy(update={"output_dir": _folder(config.output_dir, k)})
        if k and (here.output_dir / "results.json").is_file():
            results.append(TrainResult.load(here.output_dir))
            continue
        one = _Run(here, module, data, k, progress, started, settled=saved is not None)
        config = config.model_copy(update={"fit": one.config.fit})  # a budget is turned into epochs once
        results.append(one.finish(one.train()))
        if k:
            results[-1].save(here.output_dir)
    if len(results) > 1:
        names = ["run", *(f"replicate_{k}" for k in range(1, len(results)))]
        figures = tuple(Replicate(n, r.metrics, r.baselines) for n, r in zip(names, results, strict=True))
        results[0] = replace(results[0], replicates=figures)
    results[0].save(config.output_dir)
    return results[0]


def _folder(top: Path, replicate: int) -> Path:
    return top / f"replicate_{replicate}" if replicate else top


def _check(config: TrainConfig) -> ModuleType:
    """What can be told to be wrong before anything is read."""
    import inspect

    module = zoo.load(config.model.arch)
    parameters = set(inspect.signature(module.build).parameters) - {"inputs", "out"}
    for name in config.model.arch_args:
        if name not in parameters:
            raise UsageError(f"--arch-args {name}: {config.model.arch} has no such argument; {suggest(name, parameters)}")
    if config.fit.budget:
        budget.seconds(config.fit.budget)
    if config.data.task_type != "auto":
        metrics.resolve(config.fit.metrics, config.data.task_type)
        loss.resolve(config.fit.loss, config.data.task_type)
    return module


@dataclass(frozen=True, eq=False)
class _Timed:
    """What the training of the members took."""

    history: Any
    best_epochs: tuple[int, ...]
    seconds: float
    peak_memory_mb: float


class _Run:
    """One training of one ensemble on one split, in its own folder."""

    def __init__(
        self, config: TrainConfig, module: ModuleType, data: Dataset, replicate: int, progress: Progress, started: float, settled: bool
    ):
        self.config, self.data, self.progress, self.started = config, data, progress, started
        self.log = Log(config.output_dir)
        self.notes: list[str] = list(data.notes)
        self.seconds_featurize = time.monotonic() - started
        self.parts = divide(data, config.split, config.fit.seed, replicate)
        self.task = data.labels.task
        self.notes += check_training_labels(self.task, data.labels.y[self.parts["train"]])
        self.composition = composition(data.store)
        self.fitted = scale.fit(
            self.task, data.labels.y[self.parts["train"]], self.composition[self.parts["train"]], config.model.references
        )
        self.notes += self.fitted.notes
        self.job = self._job(module, replicate)
        if config.fit.budget and not settled and replicate == 0:
            self._spend(started)
        config.output_dir.mkdir(parents=True, exist_ok=True)
        self._begin(settled and (config.output_dir / toml.FILE).is_file())

    def _job(self, module: ModuleType, replicate: int) -> Job:
        config, data = self.config, self.data
        names = metrics.resolve(config.fit.metrics, self.task.kind)
        has_references = bool(self.fitted.scaling.references)
        args, arch = self._arguments(module), config.model.arch
        own = arch.endswith(".py")
        document = Document(
            arch=Path(arch).stem if own else arch,
            arch_args=args,
            inputs={
                "nodes": data.store.featurizer.atom_width,
                "edges": data.store.featurizer.bond_width,
                "geometry": data.store.has_geometry,
            },
            featurizer=data.store.featurizer.to_dict(),
            task=self.task.to_dict(),
            scaling=self.fitted.scaling.to_dict(),
            arch_source={"file": Path(arch).name, "sha256": source_sum(arch)} if own else None,
            training={"data": config.data.data_path.name, "replicate": replicate},
            versions=versions(),
        )
        fit = config.fit.model_copy(update={"seed": config.fit.seed + 1000 * replicate})
        return Job(
            data.store,
            data.labels.y,
            data.weights,
            self.composition if has_references else None,
            self.parts,
            self.task,
            self.fitted.scaling,
            arch,
            document,
            fit,
            loss.resolve(config.fit.loss, self.task.kind),
            names,
            names[0] if config.fit.metrics else "loss",
            config.model.ensemble_size,
            config.output_dir,
            SAVE_EVERY,
        )

    def _arguments(self, module: ModuleType) -> dict[str, Any]:
        """Arguments of the architecture; where its sum over atoms does not suit an intensive target, the mean."""
        import inspect

        from heliograph import segment

        args = dict(self.config.model.arch_args)
        parameter = inspect.signature(module.build).parameters.get("aggregate")
        sums = parameter is not None and parameter.default is segment.sum and module.GEOMETRY == "required"
        if sums and "aggregate" not in args and all(self.fitted.intensive):
            args["aggregate"] = "mean"
            what = "the target does not grow" if len(self.task.targets) == 1 else "the targets do not grow"
            self.notes.append(
                f"{what.capitalize()} with the number of atoms: {self.config.model.arch} averages over atoms instead of "
                "adding up (--arch-args aggregate=sum for the sum)."
            )
        return args

    def _spend(self, started: float) -> None:
        """Turn the budget into epochs, here and in the configuration that is saved."""
        assert self.config.fit.budget is not None
        left = budget.seconds(self.config.fit.budget) - (time.monotonic() - started)
        epochs, text = budget.epochs(self.job, left, self.config.model.ensemble_size * self.config.split.num_replicates)
        self.notes.append(text)
        self.config = self.config.model_copy(update={"fit": self.config.fit.model_copy(update={"epochs": epochs})})
        self.job = replace(self.job, fit=self.job.fit.model_copy(update={"epochs": epochs}))

    def _begin(self, going_on: bool) -> None:
        """Say what was decided, and write it down once."""
        sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in self.parts.items())
        lines = [*self.notes, f"{self.config.model.arch} on {', '.join(self.task.targets[:5])}: {self.task.kind}, {sizes} molecules."]
        for line in lines:
            self.progress.say(line)
        if not going_on:
            self.log.cut(0)
            for line in lines:
                self.log.line(line)
            folder.save_splits(self.config.output_dir, self._rows())
            toml.save(self.config, self.config.output_dir)

    def _rows(self) -> dict[str, np.ndarray]:
        return {part: self.data.rows[rows] for part, rows in self.parts.items()}

    def train(self) -> _Timed:
        """All members, from the beginning or from where they stood."""
        digest = hashlib.sha256(self.data.labels.y.tobytes() + b"".join(rows.tobytes() for rows in self.parts.values()))
        about = {"data": self.data.key[:16], "labels and parts": digest.hexdigest()[:16]}
        began = time.monotonic()
        counters, _ = members.train(self.job, self.progress, about)
        return _Timed(counters.history, counters.best_epochs, time.monotonic() - began, _peak_memory_mb())

    def finish(self, timed: _Timed) -> TrainResult:
        """Load the model files back, predict with them, compare with baselines."""
        job, config = self.job, self.config
        began = time.monotonic()
        own = config.model.arch if config.model.arch.endswith(".py") else None
        predictors = [Predictor.load(config.output_dir / job.model_file(k), own) for k in range(job.members)]
        predictions = {part: self._predict(predictors, self.parts[part]) for part in ("val", "test") if len(self.parts[part])}
        seconds_predict = time.monotonic() - began
        scores = {part: metrics.evaluate(self.task, job.metrics, p.y_true, p.y_pred, p.probabilities) for part, p in predictions.items()}
        found, more = self._baselines() if config.fit.baselines else ({}, [])
        self._say_scores(scores)
        epochs = len(timed.history)
        spent = sum(row.seconds for row in timed.history)
        cost = Cost(
            sum(p.numel() for p in predictors[0].model.parameters()),
            self.seconds_featurize,
            timed.seconds,
            seconds_predict,
            epochs,
            epochs * len(self.parts["train"]) / spent if spent else float("nan"),
            timed.peak_memory_mb,
            _device(config),
            torch.get_num_threads(),
        )
        scaffolds = {part: [self.data.store.scaffolds[k] for k in rows] for part, rows in self.parts.items()}
        return TrainResult(
            config=config.model_dump(mode="json"),
            kind=self.task.kind,
            targets=self.task.targets,
            main_metric=job.metrics[0],
            predictions=predictions,
            metrics=scores,
            data=self.data.summary,
            split=describe({part: self.data.labels.y[rows] for part, rows in self.parts.items()}, scaffolds, self.task.kind),
            units=self.task.units,
            classes=self.task.classes,
            rows=self._rows(),
            history=timed.history,
            best_epochs=timed.best_epochs,
            baselines=found,
            cost=cost,
            notes=(*self.notes, *more),
            model_files=tuple(job.model_file(k) for k in range(job.members)),
            versions=versions(),
            command=" ".join(sys.argv) if Path(sys.argv[0]).stem == "heliograph" else "",
            finished=datetime.now().astimezone().isoformat(timespec="seconds"),
        )

    def _predict(self, predictors: list[Predictor], rows: np.ndarray) -> Predictions:
        store, data = self.data.store, self.data
        answers = combine([p.predict_store(store, 4 * self.config.fit.batch_size, rows) for p in predictors])
        heavy = store.n_node[rows] - store.composition[rows, 1]
        return Predictions(
            rows=data.rows[rows],
            ids=tuple(str(r) for r in data.rows[rows]),
            structures=tuple(store.smiles[k] for k in rows),
            n_atoms=heavy.astype(np.int64),
            scaffolds=tuple(store.scaffolds[k] for k in rows),
            y_true=data.labels.y[rows],
            y_pred=answers.y,
            y_std=answers.std,
            probabilities=answers.probabilities,
        )

    def _baselines(self) -> tuple[dict[str, Any], list[str]]:
        store, ends = self.data.store, self.data.store.node_offsets
        geometry = None
        if store.has_geometry:
            geometry = [(store.columns["z"][a:b], store.columns["pos"][a:b]) for a, b in pairwise(ends)]
        inputs = baselines.Inputs(
            self.task, self.data.labels.y, self.parts, store.smiles, geometry, self.composition, self.job.metrics, self.config.fit.seed
        )
        return baselines.run(inputs, self.progress)

    def _say_scores(self, scores: dict[str, Any]) -> None:
        for part, figures in scores.items():
            line = f"{part}: " + "  ".join(f"{name} {value:.4g}" for name, value in figures["mean"].items())
            self.progress.say(line)
            self.log.line(line)


def versions() -> dict[str, str]:
    """Of the libraries that shape a result."""
    names = ("heliograph", "torch", "numpy", "rdkit", "scikit-learn", "safetensors", "lightning-fabric")
    from heliograph import __version__

    found = {"python": ".".join(map(str, sys.version_info[:3])), "heliograph": __version__}
    for name in names[1:]:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def _device(config: TrainConfig) -> str:
    name = torch.cuda.get_device_name(0) if config.fit.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    return f"{config.fit.devices} x {name}" if config.fit.devices > 1 else name


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 if sys.platform.startswith("linux") else 1024.0**2)
