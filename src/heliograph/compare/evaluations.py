"""One learner on one fold: a comparison consists of these, each done in this process or in another."""

from __future__ import annotations

import hashlib
import inspect
import io
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph import memory, zoo
from heliograph.chem.elements import formula
from heliograph.compare import tuning
from heliograph.compare.config import CompareConfig
from heliograph.compare.curve import shares
from heliograph.compare.folds import Fold, folds
from heliograph.compare.learners import parted
from heliograph.compare.tuning import Settings, Space
from heliograph.diagnose.propagation import MOST_GRAPHS, propagation
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.files import atomic
from heliograph.learn import budget, ensemble, metrics
from heliograph.learn.figures import METRICS
from heliograph.learn.progress import Progress, silent
from heliograph.learn.task import Task
from heliograph.model import Inputs
from heliograph.predictor import composition
from heliograph.train import baselines
from heliograph.train.assemble import assemble
from heliograph.train.config import FitConfig, ModelConfig, TrainConfig
from heliograph.train.data import Dataset, load
from heliograph.train.likeness import groups_of
from heliograph.train.targets import Labels
from heliograph.train.training import Training

MOST_STEPS = 200  # of the search for a width
FEW = 200  # molecules, below which bench/calibration.py finds the tests a little too bold (classification above all)


@dataclass(frozen=True)
class Evaluation:
    """A piece of work: a learner on fold number `fold` of `Material.all`. `trial`, `settings`: where it is one of several."""

    learner: str
    fold: int
    epochs: int
    trial: int | None = None
    settings: Settings = field(default_factory=dict)

    def names(self, fold: Fold) -> dict[str, Any]:
        """What its line in the journal begins with."""
        trial = {} if self.trial is None else {"trial": self.trial, "settings": dict(self.settings)}
        return {"learner": self.learner, "fold": fold.name} | trial


@dataclass(frozen=True, eq=False)
class Material:
    """What all evaluations share: the molecules that every learner can use, their labels `y` [n, T], and the folds of them.

    `data`: the data set of each architecture, with its own features; `at` [n]: where in that the molecules stand.
    """

    config: CompareConfig
    data: dict[str, Dataset]
    at: dict[str, np.ndarray]
    task: Task
    y: np.ndarray
    rows: np.ndarray
    folds: list[Fold]
    metrics: tuple[str, ...]
    notes: list[str]

    @property
    def all(self) -> list[Fold]:
        """The folds, and behind them those with a share of their training rows, where learning curves are asked for."""
        return [*self.folds, *(shares(self.folds, self.config.fit.seed) if self.config.compare.learning_curve else [])]

    @property
    def first(self) -> str:
        return next(iter(self.data))

    @property
    def readable(self) -> str | None:
        """The first architecture whose store holds SMILES; None where all hold formulas, of atoms whose bonds nobody asked for."""
        for arch, one in self.data.items():
            rows = self.at[arch][:100]
            texts = [one.store.smiles[k] for k in rows]
            atoms = [one.store.columns["z"][one.store.node_offsets[k] : one.store.node_offsets[k + 1]] for k in rows]
            if any(texts) and not (one.store.has_geometry and all(t == formula(z) for t, z in zip(texts, atoms, strict=True))):
                return arch
        return None

    @property
    def smiles(self) -> list[str]:
        arch = self.readable or self.first
        return [self.data[arch].store.smiles[k] for k in self.at[arch]]

    @property
    def baselines(self) -> tuple[str, ...]:
        """Simple learners that this data allows."""
        geometry = any(data.store.has_geometry for data in self.data.values())
        names = ["mean"]
        if self.readable is not None:
            names += ["random forest", "gradient boosting"]
        if geometry and self.task.kind == "regression":
            names += ["kernel ridge", "bag of bonds"]
        return tuple(names)

    def space(self, learner: str) -> Space:
        """What --tune searches; nothing for what has no settings, or chooses them itself."""
        if learner in self.data:
            arch, fixed = parted(learner)
            space = tuning.of_network(zoo.load(arch).build, self.config.fit.max_lr, self.config.compare.parameters is not None)
            return {name: values for name, values in space.items() if name not in fixed}
        return tuning.BASELINES.get(learner, {})


def about(m: Material) -> Mapping[str, Any]:
    """What makes two comparisons one: the labels, the molecules, the folds."""
    digest = hashlib.sha256(m.y.tobytes() + m.rows.tobytes())
    for fold in m.folds:
        for rows in (fold.train, fold.val, fold.test):
            digest.update(rows.tobytes())
    return {"molecules, labels and folds": digest.hexdigest()[:16]}


@lru_cache(maxsize=1)
def material(text: str) -> Material:
    """`prepare` for a configuration as JSON, once a process."""
    return prepare(CompareConfig.model_validate_json(text), silent())


def prepare(config: CompareConfig, progress: Progress) -> Material:
    """Read and featurize for every architecture, keep the rows that all can use, cut the folds. Raises DataError, UsageError."""
    data = {arch: load(_train_config(config, arch), zoo.load(parted(arch)[0]), progress) for arch in config.compare.archs}
    common = None
    for one in data.values():
        labelled = one.rows[np.isfinite(one.labels.y).any(1)]
        common = labelled if common is None else np.intersect1d(common, labelled)
    assert common is not None
    notes = list(dict.fromkeys(note for one in data.values() for note in one.notes))
    most = max(len(one.rows) for one in data.values())
    if len(common) < most:
        notes.append(f"{most - len(common):,} rows that some architecture can't use, or without a label, are left out for all.")
    if config.compare.sample is not None and config.compare.sample < len(common):
        notes.append(f"{config.compare.sample:,} of {len(common):,} molecules, drawn at random (--sample).")
        common = np.sort(np.random.default_rng([config.fit.seed, 2]).choice(common, config.compare.sample, replace=False))
    if len(common) < FEW:
        notes.append(f"{len(common)} molecules are few: below {FEW} the tests find somewhat more than 5 % of differences that are none.")
    first = next(iter(data.values()))
    at = {arch: np.searchsorted(one.rows, common) for arch, one in data.items()}
    own = at[next(iter(data))]
    split = config.compare.split
    groups = None if split == "random" else groups_of(first.store, own, split, config.fit.seed)
    task, y = first.labels.task, first.labels.known[own]
    classes = y[:, 0] if task.kind != "regression" and len(task.targets) == 1 else None
    alike = [first.store.smiles[k] for k in own] if first.store.has_bonds else None
    cut = folds(len(common), config.compare.repeats, config.compare.folds, config.fit.seed, groups, classes, alike)
    names = metrics.resolve(config.fit.metrics, task.kind)
    _check_folds(task, y, cut)
    m = Material(config, data, at, task, y, common, cut, names, notes)
    if len(learners := [*m.data, *(name for name in m.baselines if name != "mean")]) < 2:
        raise UsageError(
            f"a comparison needs two learners, and here is {learners[0]} alone: this table allows no baseline but the mean. "
            "Give another architecture with --archs."
        )
    return m


def _check_folds(task: Task, y: np.ndarray, cut: list[Fold]) -> None:
    """Raises DataError where a fold's test rows can't be scored: no label, or, for classes, one class alone in every target."""
    least = 1 if task.kind == "regression" else 2
    for fold in cut:
        kinds = [len(np.unique(column[np.isfinite(column)])) for column in y[fold.test].T]
        if max(kinds) < least:
            what = "no label" if least == 1 else "labels of one class only"
            raise DataError(
                f"the test rows of fold {fold.name} have {what}, so nothing can be scored there. "
                f"Ask for fewer folds than {len({f.fold for f in cut})} (--cv), or a random split."
            )


def _train_config(config: CompareConfig, arch: str) -> TrainConfig:
    return TrainConfig(data=config.data, model=ModelConfig(arch=parted(arch)[0]), fit=config.fit)


def training_of(m: Material, arch: str, fold: Fold, fit: FitConfig, settings: Mapping[str, Any] | None = None) -> Training:
    """The training of an architecture on a fold; `settings` of the training and of the architecture, where not as usual."""
    own = dict(settings or {})
    fit = fit.model_copy(update={name: own.pop(name) for name in tuning.OF_FIT if name in own})
    one, at = m.data[arch], m.at[arch]
    parts = {"train": at[fold.train], "val": at[fold.val], "test": at[fold.test]}
    model = ModelConfig(arch=parted(arch)[0], arch_args=arguments(m, arch, own))
    labels = Labels(m.task, one.labels.y, [], one.labels.sides)
    made, _ = assemble(zoo.load(model.arch), one.store, labels, one.weights, parts, model, fit, about={"fold": fold.name})
    return made


def arguments(m: Material, arch: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Of the architecture: those in its name, those `given`, and the width `d` (a multiple of 8) that comes nearest to --parameters."""
    name, own = parted(arch)
    wanted, given = m.config.compare.parameters, own | dict(given or {})
    if wanted is None or "d" in own:
        return given
    parameters = inspect.signature(zoo.load(name).build).parameters
    if "d" not in parameters:
        raise UsageError(f"--parameters {wanted}: {arch} has no width d. Leave the option or the architecture out.")
    featurizer = m.data[arch].store.featurizer
    inputs = Inputs(featurizer.atom_width, featurizer.bond_width, m.data[arch].store.has_geometry)

    def count(d: int) -> int:
        with torch.random.fork_rng(devices=[]):
            return sum(p.numel() for p in zoo.build(name, inputs, m.task.out, given | {"d": d}).parameters())

    widths = range(8, 8 * MOST_STEPS, 8)
    low, high = 0, len(widths) - 1
    while low < high:  # the count grows with d
        middle = (low + high) // 2
        low, high = (middle + 1, high) if count(widths[middle]) < wanted else (low, middle)
    best = min((widths[k] for k in (low - 1, low) if k >= 0), key=lambda d: abs(count(d) - wanted))
    return given | {"d": best}


def epochs_for(m: Material, arch: str, seconds: float) -> tuple[int, str]:
    """How many epochs one training of `seconds` has, by a probe that should run alone."""
    return budget.epochs(training_of(m, arch, m.folds[0], _fit(m, arch, m.folds[0], 1)).job, seconds, 1)


def _fit(m: Material, learner: str, fold: Fold, epochs: int) -> FitConfig:
    return m.config.fit.model_copy(update={"epochs": epochs, "budget": None, "seed": seed(m, learner, fold)})


def seed(m: Material, learner: str, fold: Fold) -> int:
    """Of a learner on a fold: one for all folds, or for all learners, would make equals differ."""
    name = Path(learner).name  # a file of one's own lies elsewhere on another machine
    own = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    return int(np.random.SeedSequence([m.config.fit.seed, fold.repeat, fold.fold, own]).generate_state(1)[0])


def evaluate(m: Material, evaluation: Evaluation) -> dict[str, Any]:
    """Train (or fit), answer for the test rows, score. Plain values, and the answers as bytes; nothing is written, see `keep`.

    Of a trial, "loss" is what its validation rows say, where that is defined on them. What can't be trained, for whatever reason (a loss
    that is no number any more, memory, a mistake in a file of one's own), is said in "failed"; the others go on.
    """
    fold = m.all[evaluation.fold]
    line = evaluation.names(fold)
    try:
        answers, cost = (_network if evaluation.learner in m.data else _baseline)(m, evaluation, fold)
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0]
        return line | {"failed": said if isinstance(error, HeliographError) else f"{type(error).__name__}: {said}".rstrip(": ")}
    own = cost.pop("propagation", None)
    y, probabilities = answers["test"]
    line["scores"] = _plain(metrics.evaluate(m.task, m.metrics, m.y[fold.test], y, probabilities))
    line |= {"cost": cost} | ({"propagation": own} if own else {})
    if evaluation.trial is not None and (loss := _loss(m, fold, *answers["val"])) is not None:
        line["loss"] = loss
    buffer = io.BytesIO()
    arrays = {"y": y.astype(np.float64)} | ({} if probabilities is None else {"probabilities": probabilities.astype(np.float64)})
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return line | {"answers": buffer.getvalue()}


def _loss(m: Material, fold: Fold, y: np.ndarray, probabilities: np.ndarray | None) -> float | None:
    """The main metric on the validation rows, smaller is better: the mean over targets, errors in units of their labels' spread."""
    name, truth = m.metrics[0], m.y[fold.val]
    scores = metrics.evaluate(m.task, (name,), truth, y, probabilities)
    power = METRICS[name].unit_power
    spread = np.nanstd(m.y[fold.train], axis=0) ** power if power else np.ones(truth.shape[1])
    values = [scores[target][name] / s for target, s in zip(m.task.targets, spread, strict=True) if s > 0]
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) * (-1 if METRICS[name].higher_is_better else 1) if known else None


def keep(folder: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """Write the answers of what `run` returned to a file of their own; the rest is for the journal."""
    if "answers" in found:
        path = _answers_path(folder, found["learner"], found["fold"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(found["answers"])
    return {k: v for k, v in found.items() if k != "answers"}


def answers_path(folder: Path, learner: str, fold: Fold) -> Path:
    return _answers_path(folder, learner, fold.name)


def _answers_path(folder: Path, learner: str, fold: str) -> Path:
    """Name the file of answers; two architecture files may have one name in two folders."""
    own = f"-{hashlib.sha256(learner.encode()).hexdigest()[:6]}" if Path(learner).name != learner else ""
    return folder / "answers" / f"{Path(learner).name}{own}-{fold}.npz".replace(" ", "-").replace(":", "-")


def _plain(scores: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    return {t: {k: float(v) if np.isfinite(v) else None for k, v in found.items()} for t, found in scores.items()}


def _network(m: Material, evaluation: Evaluation, fold: Fold) -> tuple[baselines.Parts, dict[str, Any]]:
    fit = _fit(m, evaluation.learner, fold, evaluation.epochs)
    made, held = training_of(m, evaluation.learner, fold, fit, evaluation.settings), memory.held_mb()
    held = held if memory.forget_peak() else None
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    counters, trained = ensemble.train(made.job, silent())
    trained_in, peak, began = time.perf_counter() - began, _peak_mb(made.fit, held), time.perf_counter()
    predictor = made.predictor(trained)
    found = {"test": predictor.predict_store(made.store, 256, made.parts["test"])}
    predicted_in = time.perf_counter() - began
    if evaluation.trial is not None:
        found["val"] = predictor.predict_store(made.store, 256, made.parts["val"])
    spent = sum(row.seconds for row in counters.history)
    cost: dict[str, Any] = {
        "parameters": sum(p.numel() for p in predictor.model.parameters()),
        "epochs": len(counters.history),
        "seconds": trained_in,
        "train_molecules_per_second": len(counters.history) * len(fold.train) / spent if spent else None,
        "predict_molecules_per_second": len(fold.test) / predicted_in,
        "peak_memory_mb": peak,
    }
    if fold.name == m.folds[0].name:
        graph = made.store.batch(made.parts["test"][:MOST_GRAPHS])
        cost["propagation"] = _finite(asdict(propagation(evaluation.learner, predictor.model, graph)))
    return {part: (answers.y, answers.probabilities) for part, answers in found.items()}, cost


def _peak_mb(fit: FitConfig, held: float | None) -> float | None:
    """Return the peak memory of a training above what the process held before, or on the GPU, in MB; None where it is not known."""
    if fit.accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = memory.peak_mb()
    return None if peak is None or held is None else round(peak - held, 1)


def _finite(propagation: dict[str, Any]) -> dict[str, Any]:
    return propagation | {"energy": [v if np.isfinite(v) else None for v in propagation["energy"]]}


def _baseline(m: Material, evaluation: Evaluation, fold: Fold) -> tuple[baselines.Parts, dict[str, Any]]:
    name, solid = evaluation.learner, m.readable or m.first
    if name in ("kernel ridge", "bag of bonds"):
        solid = next((arch for arch, one in m.data.items() if one.store.has_geometry), m.first)
    store, at = m.data[solid].store, m.at[solid]
    geometry = (
        [(store.columns["z"][a:b], store.columns["pos"][a:b]) for a, b in pairwise(store.node_offsets)] if store.has_geometry else None
    )
    y = np.full((len(store), m.y.shape[1]), np.nan)
    y[at] = m.y
    parts = {"train": at[fold.train], "val": at[fold.val], "test": at[fold.test]}
    formulas = composition(store)
    given = baselines.Inputs(m.task, y, parts, store.smiles, geometry, formulas, m.metrics, seed(m, name, fold), evaluation.settings)
    functions = {"mean": baselines.mean, "random forest": baselines.forest, "gradient boosting": baselines.boosting,
                 "kernel ridge": baselines.kernel_ridge, "bag of bonds": baselines.bonds_ridge}  # fmt: skip
    if name not in functions:
        raise DataError(f"no such baseline: {name}")
    began = time.perf_counter()
    answers = functions[name](given, [])
    return answers, {"parameters": None, "epochs": None, "seconds": time.perf_counter() - began}
