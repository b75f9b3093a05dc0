"""A whole training: table -> parts -> members -> model files, predictions, baselines, result. The map of this package."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from heliograph import manifest, memory, zoo
from heliograph.chem.featurizer import preset
from heliograph.errors import UsageError, suggest
from heliograph.learn import budget, ensemble, losses, metrics
from heliograph.learn.ensemble import plain
from heliograph.learn.figures import Epoch, Metrics
from heliograph.learn.log import Log
from heliograph.learn.progress import Lines, Progress
from heliograph.model import Inputs
from heliograph.predictor import Answers, Predictor, composition
from heliograph.predictor.predictor import source_sum
from heliograph.train import baselines, blind, copies, folder, toml, trust
from heliograph.train.assemble import assemble, command, versions
from heliograph.train.config import TrainConfig
from heliograph.train.data import Dataset, divide, load
from heliograph.train.predictions import Predictions
from heliograph.train.result import Cost, Replicate, TrainResult, describe

MODEL = "model.safetensors"
REPLICATE_SEED = 1000  # added to the seed per replicate; members of an ensemble differ otherwise


def run(config: TrainConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None) -> TrainResult:
    """Train as `config` says into `config.output_dir` and return what came of it; the result is saved there too.

    `resume` goes on with the run in that folder, to the very weights that it would have had; `overwrite` replaces it.
    Raises UsageError (settings that don't go together, a run in the folder), DataError (nothing usable in the table), HeliographError.
    """
    started, progress = time.monotonic(), progress or Lines()
    saved = folder.settle(config, resume, overwrite)  # first: whether a .py is the one that this run began with
    module = _check(config)
    if saved is not None and (config.output_dir / "results.json").is_file():
        return TrainResult.load(config.output_dir)
    config = saved or _signed(folder.absolute(config))
    data = load(config, module, progress)
    results = []
    for k in range(config.split.num_replicates):
        here = config.output_dir / f"replicate_{k}" if k else config.output_dir
        if k and (here / "results.json").is_file():
            results.append(TrainResult.load(here))
            continue
        one = _Run(config, here, module, data, k, progress, started, settled=saved is not None or k > 0)
        config = one.config  # a budget is turned into epochs once
        if saved is None and not k:
            folder.take(config)  # nothing is changed before the table was read and the network was built
        one.begin()
        results.append(one.finish(one.train()))
        if k:
            results[-1].save(here)
    if len(results) > 1:
        figures = tuple(Replicate(f"replicate_{k}", r.metrics, r.baselines) for k, r in enumerate(results))
        results[0] = replace(results[0], replicates=figures)
    results[0].save(config.output_dir)
    manifest.seal(config.output_dir)
    return results[0]


def _signed(config: TrainConfig) -> TrainConfig:
    """With the digest of a .py file of one's own, so that a run goes on with the same file only."""
    own = source_sum(config.model.arch) if config.model.arch.endswith(".py") else None
    return config.model_copy(update={"model": config.model.model_copy(update={"arch_sha256": own})})


def _check(config: TrainConfig) -> ModuleType:
    """What can be told to be wrong before anything is read or written."""
    module = zoo.load(config.model.arch)
    parameters = set(inspect.signature(module.build).parameters) - {"inputs", "out"}
    for name in config.model.arch_args:
        if name not in parameters:
            raise UsageError(f"--arch-args {name}: {config.model.arch} has no such argument; {suggest(name, parameters)}")
    if hasattr(module, "COMPOSITION"):  # whether its parts fit together needs no data
        features = preset(module.FEATURIZER)
        inputs = Inputs(features.atom_width, features.bond_width, module.GEOMETRY == "required")
        zoo.build(config.model.arch, inputs, 1, config.model.arch_args)
    if config.fit.budget:
        budget.seconds(config.fit.budget)
    if config.data.task_type != "auto":
        metrics.resolve(config.fit.metrics, config.data.task_type)
        losses.resolve(config.fit.loss, config.data.task_type)
    ensemble.fabric_for(config.fit)
    return module


@dataclass(frozen=True, eq=False)
class _Trained:
    """What came of training the members."""

    history: tuple[Epoch, ...]
    best_epochs: tuple[int, ...]
    seconds: float
    peak_memory_mb: float


def _unfounded(part: str, answers: Answers) -> str:
    """How many molecules nothing in training speaks for, in a sentence; "" for none."""
    found = [reason for reason in answers.reasons if reason]
    if not found:
        return ""
    without = int(np.isnan(answers.y).any(1).sum())
    what = f"{without} of them get no number and are left out of the scores" if without else "they have numbers all the same"
    more = " ..." if len(set(found)) > 1 else ""
    return f"{len(found)} of {len(answers.reasons)} molecules of the {part} part are {found[0]}{more}; {what}."


class _Run:
    """One training of one ensemble on one split, in its own folder. `settled`: a budget has been turned into epochs before."""

    def __init__(
        self, config: TrainConfig, here: Path, module: ModuleType, data: Dataset, replicate: int, progress: Progress, started: float,
        settled: bool,
    ):  # fmt: skip
        self.config, self.here, self.data, self.progress = config, here, data, progress
        self.seconds_featurize = time.monotonic() - started
        self.parts = divide(data, config.split, config.fit.seed, replicate)
        about = {"data": config.data.data_path.name, "replicate": replicate, "structure_column": data.structure_column}
        fit = config.fit.model_copy(update={"seed": config.fit.seed + REPLICATE_SEED * replicate})
        self.folds = trust.fold(config, data.store, self.parts, fit.seed)
        self.training, decided = assemble(
            module, data.store, data.labels, data.weights, self.parts, config.model, fit, folder=here, folds=self.folds, about=about
        )
        trust.check(self.training.task, config.trust)
        decided += trust.said(self.folds, config)
        self.learned: trust.Learned | None = None
        both = copies.shared(data.store.smiles, self.parts) if data.store.has_bonds else []
        self.notes = [*data.notes, *decided, *both, *(self._unseen() if not replicate and not settled else ())]
        self.task, self.log = self.training.task, Log(here)
        if config.fit.budget and not settled:
            self._spend(budget.seconds(config.fit.budget) - (time.monotonic() - started))

    def _unseen(self) -> list[str]:
        """What the network can't tell apart, in sentences; the state of random numbers is as it was."""
        with torch.random.fork_rng(devices=[]):
            network = self.training.job.build()
        return blind.sentences(self.config.model.arch, network, self.data.store, self.data.labels, self.parts["train"])

    def _spend(self, left: float) -> None:
        """Turn the budget into epochs, here and in the configuration that is saved."""
        epochs, text = budget.epochs(self.training.job, left, self.config.model.ensemble_size * self.config.split.num_replicates)
        self.notes.append(text)
        self.config = self.config.model_copy(update={"fit": self.config.fit.model_copy(update={"epochs": epochs})})
        self.training = self.training.with_fit(epochs=epochs)

    def begin(self) -> None:
        """Say what was decided; where the run begins, write it down."""
        sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in self.parts.items())
        lines = [*self.notes, f"{self.config.model.arch} on {', '.join(self.task.targets[:5])}: {self.task.kind}, {sizes} molecules."]
        for line in lines:
            self.progress.say(line)
        if (self.here / toml.FILE).is_file():
            return
        self.here.mkdir(parents=True, exist_ok=True)
        self.log.cut(0)
        for line in lines:
            self.log.line(line)
        folder.save_splits(self.here, self._rows())
        toml.save(self.config.model_copy(update={"output_dir": self.here}), self.here)

    def _rows(self) -> dict[str, np.ndarray]:
        return {part: self.data.rows[rows] for part, rows in self.parts.items()}

    def train(self) -> _Trained:
        """All members, from the beginning or from where they stood."""
        every = [self.parts, *(self.folds.parts if self.folds else ())]
        digest = hashlib.sha256(self.data.labels.y.tobytes() + b"".join(rows.tobytes() for parts in every for rows in parts.values()))
        about = {"data": self.data.key[:16], "labels and parts": digest.hexdigest()[:16]}
        if own := self.training.document.arch_composition or self.training.document.arch_source:
            about["architecture"] = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16]
        began = time.monotonic()
        counters, members = ensemble.train(self.training.job, self.progress, about)
        predictor = self.training.predictor(members)
        if trust.wanted(self.config):
            self.learned = trust.learn(predictor, self.data.store, self.data.labels.known, self.folds, self.parts["val"], self.config.trust)
            if self.folds is None:
                self.notes.append(trust.OPTIMISTIC.format(n=len(self.parts["val"])))
            predictor = predictor.with_trust(self.learned.calibration, self.learned.domain)
        predictor.save(self.here / MODEL)
        return _Trained(counters.history, counters.best_epochs, time.monotonic() - began, memory.peak_mb() or math.nan)

    def finish(self, trained: _Trained) -> TrainResult:
        """Load the model files back, predict with them, compare with baselines."""
        job, config = self.training.job, self.config
        began = time.monotonic()
        own = config.model.arch if config.model.arch.endswith(".py") else None
        predictor = Predictor.load(self.here / MODEL, own)
        shown = ("test",) if self.folds else ("val", "test")  # with folds most members have trained on the validation part
        answers = {part: self._answers(predictor, self.parts[part]) for part in shown if len(self.parts[part])}
        predictions = {part: self._predictions(self.parts[part], self._founded(predictor, part, found)) for part, found in answers.items()}
        judged = self._judged(predictor, answers)
        if self.learned is not None and self.folds is not None:
            predictions["out_of_fold"] = self._predictions(self.learned.rows, self.learned.answers)
        seconds_predict = time.monotonic() - began
        scores = {part: metrics.evaluate(self.task, job.metrics, p.y_true, p.y_pred, p.probabilities) for part, p in predictions.items()}
        found, more = self._baselines() if config.fit.baselines else ({}, [])
        self._say_scores(scores)
        for part, figures in scores.items():
            for said in metrics.without_value(self.task, figures, predictions[part].y_true, part):
                self.notes.append(said)
                self.progress.say(said)
                self.log.line(said)
        trusted = self.learned.notes if self.learned is not None else []
        for line in trusted:
            self.progress.say(line)
            self.log.line(line)
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
            history=trained.history,
            best_epochs=trained.best_epochs,
            baselines=found,
            cost=self._cost(trained, seconds_predict, sum(p.numel() for p in predictor.model.parameters())),
            notes=(*self.notes, *trusted, *more),
            trust=judged,
            model_files=(MODEL,),
            versions=versions(),
            command=command(),
            finished=datetime.now().astimezone().isoformat(timespec="seconds"),
        )

    def _cost(self, trained: _Trained, seconds_predict: float, parameters: int) -> Cost:
        spent = sum(row.seconds for row in trained.history)
        on_gpu = self.config.fit.accelerator != "cpu" and torch.cuda.is_available()
        device, devices = torch.cuda.get_device_name(0) if on_gpu else "cpu", self.config.fit.devices
        return Cost(
            parameters=parameters,
            seconds_featurize=self.seconds_featurize,
            seconds_train=trained.seconds,
            seconds_predict=seconds_predict,
            epochs=len(trained.history),
            molecules_per_second=len(trained.history) * len(self.parts["train"]) / spent if spent else float("nan"),
            peak_memory_mb=trained.peak_memory_mb,
            device=f"{devices} x {device}" if devices > 1 else device,
            threads=torch.get_num_threads(),
        )

    def _answers(self, predictor: Predictor, rows: np.ndarray) -> Answers:
        return predictor.predict_store(self.data.store, 4 * self.config.fit.batch_size, rows)

    def _founded(self, predictor: Predictor, part: str, answers: Answers) -> Answers:
        """Without the answers that nothing in training speaks for; says how many."""
        found = predictor.founded(answers, self.data.store, self.parts[part])
        if said := _unfounded(part, found):
            self.notes.append(said)
            self.progress.say(said)
            self.log.line(said)
        return found

    def _judged(self, predictor: Predictor, answers: Mapping[str, Answers]) -> dict[str, dict[str, Any]]:
        """Error bars judged: on the folds left out, and on test molecules."""
        if self.learned is None:
            return {}
        found = {"out_of_fold": self.learned.judged} if self.folds is not None else {}
        if "test" in answers and predictor.trust.calibrated:
            rows = self.parts["test"]
            before = predictor.with_trust({}, {}) if self.task.kind == "binary" else None
            raw = answers["test"] if before is None else self._answers(before, rows)
            store, y = self.data.store.take(rows), self.data.labels.known[rows]
            found["test"] = trust.judged(predictor.trust, store, y, answers["test"], raw)
        return {part: plain(figures) for part, figures in found.items() if figures}

    def _predictions(self, rows: np.ndarray, answers: Answers) -> Predictions:
        store, data = self.data.store, self.data
        heavy = store.n_node[rows] - store.composition[rows, 1]
        return Predictions(
            rows=data.rows[rows],
            ids=tuple(str(r) for r in data.rows[rows]),
            structures=tuple(store.smiles[k] for k in rows),
            n_atoms=heavy.astype(np.int64),
            scaffolds=tuple(store.scaffolds[k] for k in rows),
            y_true=data.labels.known[rows],
            y_pred=answers.y,
            y_std=answers.std,
            probabilities=answers.probabilities,
        )

    def _baselines(self) -> tuple[dict[str, Any], list[str]]:
        store = self.data.store
        geometry = None
        if store.has_geometry:
            geometry = [(store.columns["z"][a:b], store.columns["pos"][a:b]) for a, b in pairwise(store.node_offsets)]
        inputs = baselines.Inputs(
            self.task,
            self.data.labels.known,
            self.parts,
            store.smiles,
            geometry,
            composition(store),
            self.training.job.metrics,
            self.config.fit.seed,
        )
        return baselines.fit_all(inputs, self.progress)

    def _say_scores(self, scores: dict[str, Metrics]) -> None:
        for part, figures in scores.items():
            line = f"{part}: " + "  ".join(f"{name} {value:.4g}" for name, value in figures["mean"].items())
            self.progress.say(line)
            self.log.line(line)
