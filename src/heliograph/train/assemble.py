"""From molecules, labels and settings to a `Training`: what is decided on the way, and in which words."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from heliograph import zoo
from heliograph.data.composition import composition
from heliograph.data.sources.molecules import Molecules
from heliograph.data.store import Store
from heliograph.errors import UsageError
from heliograph.learn import losses, metrics
from heliograph.learn.config import FitConfig
from heliograph.learn.job import Job
from heliograph.learn.losses import Loss
from heliograph.learn.objectives import Supervised
from heliograph.learn.objectives.spread import Spread
from heliograph.learn.score import TaskScore
from heliograph.learn.task import Task
from heliograph.model import Inputs
from heliograph.predictor import Document, laplace, thinned
from heliograph.predictor.compositions import Compositions
from heliograph.predictor.predictor import outputs_of, source_sum
from heliograph.predictor.thinned import Thinned
from heliograph.train import scale
from heliograph.train.config import ModelConfig
from heliograph.train.folds import Folds
from heliograph.train.scale import Fitted
from heliograph.train.targets import Labels, check_training_labels
from heliograph.train.training import Network, Training

SAVE_EVERY = 60.0  # seconds between two saves of the state, beside those at ends of epochs


def assemble(
    module: ModuleType,
    store: Store,
    labels: Labels,
    weights: np.ndarray,
    parts: Mapping[str, np.ndarray],
    model: ModelConfig,
    fit: FitConfig,
    *,
    folder: Path | None = None,
    folds: Folds | None = None,
    about: Mapping[str, Any] | None = None,
) -> tuple[Training, list[str]]:
    """The training, and a sentence on each decision that was taken for the user. `module`: the architecture's; `folds`: parts of
    each member, where they differ; `about`: for the model file.

    Raises DataError where the training part teaches nothing, UsageError for a loss or a metric that doesn't fit the task.
    """
    task, train = labels.task, parts["train"]
    notes = check_training_labels(task, labels.y[train])
    counts = composition(store)
    fitted = scale.fit(task, labels.y[train], counts[train], model.references)
    args, more = arguments(module, model, fitted, task)
    own, composed = model.arch.endswith(".py"), getattr(module, "COMPOSITION", None)
    document = Document.of_molecules(
        arch=Path(model.arch).stem if own or composed else model.arch,
        arch_args=zoo.resolved(module, args),
        inputs={"nodes": store.featurizer.atom_width, "edges": store.featurizer.bond_width, "geometry": store.has_geometry},
        featurizer=store.featurizer.to_dict(),
        task=task.to_dict(),
        scaling=fitted.scaling.to_dict(),
        arch_source={"file": Path(model.arch).name, "sha256": source_sum(model.arch)} if own else None,
        arch_composition=composed,
        training=dict(about or {}),
        versions=versions(),
    )
    method = model.uncertainty_method
    head = _head(method, fit, task)
    if head:
        document.outputs["y"]["head"] = head
    document.outputs["y"]["compositions"] = Compositions.of(counts[train]).to_dict()
    names = metrics.resolve(fit.metrics, task.kind)
    score = TaskScore(task, fitted.scaling, labels.known, names, counts if fitted.scaling.references else None)
    loss = Loss(losses.resolve(fit.loss, task.kind), task)
    kept = store if fit.precision != "64" else None  # encodings are kept in float32
    build = Network(composed or model.arch, Inputs(**document.inputs), outputs_of(task, head), document.arch_args, kept)
    if method == "dropout":
        with torch.random.fork_rng(devices=[]):
            thinned.check(build())
        document.outputs["y"]["dropout"] = Thinned(seed=fit.seed).to_dict()
    if method == "laplace" or (method == "auto" and folds is not None and task.kind == "regression"):
        with torch.random.fork_rng(devices=[]):
            possible = laplace.possible(build(), store, train, labels.y[train], required=method == "laplace")
        document.outputs["y"] |= {"laplace": True} if possible else {}
    job = Job(
        source=Molecules(store, fitted.scaling.scale(labels.y, score.composition), weights / weights[train].mean(), labels.sides),
        parts=dict(parts),
        build=build,
        objective=Spread(head) if head else Supervised({"y": loss}),
        fit=fit,
        score=score,
        metrics=names,
        select=names[0] if fit.metrics else "loss",
        members=model.ensemble_size,
        folder=folder,
        save_every=SAVE_EVERY,
        folds=() if folds is None else folds.parts,
    )
    training = Training(job, store, task, score, replace(document, training={**document.training, "loss": head or loss.name}))
    return training, [*notes, *fitted.notes, *more]


def _head(method: str, fit: FitConfig, task: Task) -> str | None:
    """The head that says how sure the network is. Raises UsageError where there is none for the task, or a loss is asked for beside it."""
    if method in ("auto", "none"):
        return None
    if task.kind != "regression" and not (method == "laplace" and task.kind == "binary"):
        raise UsageError(f"--uncertainty-method {method} is for numbers; the targets are {task.kind}")
    if method in ("dropout", "laplace"):
        return None
    if fit.loss != "auto":
        raise UsageError(f"--loss {fit.loss}: --uncertainty-method {method} has a loss of its own. Leave one of them out.")
    return method


def arguments(module: ModuleType, model: ModelConfig, fitted: Fitted, task: Task) -> tuple[dict[str, Any], list[str]]:
    """Arguments of the architecture; where its sum over atoms does not suit intensive targets, the mean."""
    args = dict(model.arch_args)
    if not getattr(module, "EXTENSIVE", False) or "aggregate" in args or not all(fitted.intensive):
        return args, []
    what = "The target does not grow" if len(task.targets) == 1 else "The targets do not grow"
    note = f"{what} with the number of atoms: {model.arch} averages over atoms instead of adding up (--arch-args aggregate=sum: the sum)."
    return args | {"aggregate": "mean"}, [note]


def command() -> str:
    """The command line that this process was started with; "" from Python."""
    return " ".join(sys.argv) if Path(sys.argv[0]).stem == "heliograph" else ""


def versions() -> dict[str, str]:
    """Of the libraries that shape a result."""
    from heliograph import __version__

    found = {"python": ".".join(map(str, sys.version_info[:3])), "heliograph": __version__}
    for name in ("torch", "numpy", "rdkit", "scikit-learn", "safetensors", "lightning-fabric"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found
