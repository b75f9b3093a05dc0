"""All members of an ensemble, one after the other, on one device or on several."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing import ProcessRaisedException

from heliograph import zoo
from heliograph.allocator import keep_freed_memory
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.model import Inputs
from heliograph.predictor import Predictor
from heliograph.predictor.modelfile import Document, fill, tensors_of, write
from heliograph.train import log, state
from heliograph.train.config import FitConfig
from heliograph.train.job import Job
from heliograph.train.member import Member
from heliograph.train.progress import Lines, Progress
from heliograph.train.state import Counters

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PRECISION: dict[str, Any] = {"32": "32-true", "64": "64-true", "bf16": "bf16-mixed"}


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished member: what its model file holds."""

    document: Document
    tensors: dict[str, Tensor]


def predictor(job: Job, member: Trained) -> Predictor:
    """A finished member as a predictor."""
    model = zoo.build(job.arch, Inputs(**job.document.inputs), job.task.out, job.document.arch_args)
    fill(model, member.tensors, "memory")
    return Predictor(model, member.document)


def train(job: Job, progress: Progress, about: Mapping[str, Any] | None = None) -> tuple[Counters, list[Trained]]:
    """Train every member that is not finished yet, going on from the state in `job.folder` where there is one.

    `about` says what the training is of; a state of another training is refused (DataError). With a folder, model files are written as
    members finish, and the list has only those of this call; on several devices the list is empty.
    """
    fabric = fabric_for(job.fit)
    about = dict(about or {})
    if fabric.world_size == 1:
        fabric.launch()
        return _train(fabric, job, progress, about)
    if job.folder is None:
        raise UsageError("training on several devices needs a run folder")
    try:
        fabric.launch(partial(_on_each, job=job, about=about))  # as arguments, Fabric would look into frozen dataclasses and refuse them
    except ProcessRaisedException as error:
        last = str(error).strip().splitlines()[-1].removeprefix("heliograph.errors.")
        raise HeliographError(f"one of the {fabric.world_size} processes failed: {last}") from error
    found = state.load(job.folder)
    assert found is not None
    return found[0], []


def fabric_for(fit: FitConfig) -> Fabric:
    """Device, precision and strategy. Raises UsageError for devices that this machine has not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning_fabric import Fabric

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # at each run on a GPU it would advise against float32
        accelerator = ("cuda" if torch.cuda.is_available() else "cpu") if fit.accelerator == "auto" else fit.accelerator
        if accelerator == "cuda" and torch.cuda.device_count() < fit.devices:
            raise UsageError(f"--accelerator cuda --devices {fit.devices}: this machine has {torch.cuda.device_count()} such devices")
        strategy = "ddp_spawn" if fit.devices > 1 else "auto"
        return Fabric(accelerator=accelerator, devices=fit.devices, strategy=strategy, precision=_PRECISION[fit.precision])


def _on_each(fabric: Fabric, job: Job, about: dict[str, Any]) -> None:
    """One process of several: only the first speaks and writes."""
    _train(fabric, job, Lines() if fabric.is_global_zero else Lines(lambda text: None), about)


def _train(fabric: Fabric, job: Job, progress: Progress, about: dict[str, Any]) -> tuple[Counters, list[Trained]]:
    keep_freed_memory()
    counters, tensors = _start(fabric, job, about)
    finished: list[Trained] = []
    while counters.member < job.members:
        member = Member(job, fabric, counters, tensors, progress)
        counters, tensors = member.run(), {}
        trained = Trained(_document(job, counters, member), {k: v.detach().cpu().clone() for k, v in tensors_of(member.model).items()})
        if job.folder is None:
            finished.append(trained)
        elif fabric.is_global_zero:
            write(job.folder / job.model_file(counters.member), trained.document, trained.tensors)
        counters = counters.next_member()
        if job.folder is not None and fabric.is_global_zero:
            state.save(job.folder, replace(counters, log_bytes=log.Log(job.folder).size), {})
        fabric.barrier()
    return counters, finished


def _start(fabric: Fabric, job: Job, about: dict[str, Any]) -> tuple[Counters, dict[str, Tensor]]:
    """The saved state, or a fresh one; metrics.csv and train.log as they were then."""
    found = None if job.folder is None else state.load(job.folder)
    counters, tensors = found or (Counters(about=about), {})
    if found and counters.about != about:
        other = [f"{k} was {counters.about.get(k)}, is {v}" for k, v in about.items() if counters.about.get(k) != v]
        raise DataError(f"the run in {job.folder} can't go on, it was of something else: {'; '.join(other)}. Start again with --overwrite.")
    if job.folder is not None and fabric.is_global_zero:
        log.write_metrics(job.folder, counters.history, job.metrics, len(job.parts["train"]))
        if found:
            log.Log(job.folder).cut(counters.log_bytes)
    fabric.barrier()
    return counters, tensors


def _document(job: Job, counters: Counters, member: Member) -> Document:
    """The model file's document with what came out of the training. Nothing of the clock: the same training writes the same bytes."""
    val_loss, scores = member.evaluate(job.parts["val"])
    training: dict[str, Any] = {
        "seed": job.fit.seed, "member": counters.member, "epochs": counters.epoch, "best_epoch": counters.best_epoch,
        "molecules": {part: len(rows) for part, rows in job.parts.items()}, "loss": job.loss, "selected_by": job.select,
    }  # fmt: skip
    if scores:
        training |= {"val_loss": val_loss, "val_metrics": scores}
    calibration = {}
    if job.task.kind == "regression" and len(job.parts["val"]):
        calibration = {"residual_std": member.residual_std(job.parts["val"])}
    return replace(job.document, training=_plain(job.document.training | training), calibration=_plain(calibration))


def _plain(value: Any) -> Any:
    """JSON's own types; a number that is none is null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
