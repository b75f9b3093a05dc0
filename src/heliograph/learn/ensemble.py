"""All members of an ensemble, one after the other, on one device or on several."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing import ProcessRaisedException

from heliograph.allocator import keep_freed_memory
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.learn import log, state
from heliograph.learn.config import FitConfig
from heliograph.learn.device import OneDevice
from heliograph.learn.job import Finished, Job
from heliograph.learn.loop import Member
from heliograph.learn.progress import Lines, Progress, silent
from heliograph.learn.state import Counters, tensors_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PRECISION: dict[str, Any] = {"32": "32-true", "64": "64-true", "bf16": "bf16-mixed"}


def train(job: Job, progress: Progress | None = None, about: Mapping[str, object] | None = None) -> tuple[Counters, list[Finished]]:
    """Train every member that is not finished yet, going on from the state in `job.folder` where there is one.

    Returns the counters (with the history of all epochs) and all finished members. `about` says what the training is of; a state of
    another training is refused (DataError). Several devices need a folder (UsageError).
    """
    fabric, progress = fabric_for(job.fit), progress or silent()
    about = dict(about or {})
    if isinstance(fabric, OneDevice):
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
    return found[0], state.load_members(job.folder, job.members)


def fabric_for(fit: FitConfig) -> OneDevice | Fabric:
    """Device and precision; of several devices also the strategy. Raises UsageError for devices that this machine has not."""
    accelerator = ("cuda" if torch.cuda.is_available() else "cpu") if fit.accelerator == "auto" else fit.accelerator
    if accelerator == "cuda" and torch.cuda.device_count() < fit.devices:
        raise UsageError(f"--accelerator cuda --devices {fit.devices}: this machine has {torch.cuda.device_count()} such devices")
    if fit.devices == 1:
        return OneDevice(accelerator, fit.precision)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning_fabric import Fabric

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # at each run on a GPU it would advise against float32
        return Fabric(accelerator=accelerator, devices=fit.devices, strategy="ddp_spawn", precision=_PRECISION[fit.precision])


def _on_each(fabric: Fabric, job: Job, about: dict[str, object]) -> None:
    """One process of several: only the first speaks and writes."""
    _train(fabric, job, Lines() if fabric.is_global_zero else Lines(lambda text: None), about)


def _train(fabric: OneDevice | Fabric, job: Job, progress: Progress, about: dict[str, object]) -> tuple[Counters, list[Finished]]:
    keep_freed_memory()
    counters, tensors = _start(fabric, job, about)
    finished = [] if job.folder is None else state.load_members(job.folder, counters.member)
    while counters.member < job.members:
        own = job.of_member(counters.member)
        member = Member(own, fabric, counters, tensors, progress)
        counters, tensors = member.train(), {}
        finished.append(_finished(own, counters, member))
        if job.folder is not None and fabric.is_global_zero:
            state.save_member(job.folder, finished[-1])
        counters = counters.next_member()
        if job.folder is not None and fabric.is_global_zero:
            state.save(job.folder, replace(counters, log_bytes=log.Log(job.folder).size), {})
        fabric.barrier()
    return counters, finished


def _start(fabric: OneDevice | Fabric, job: Job, about: dict[str, object]) -> tuple[Counters, dict[str, Tensor]]:
    """The saved state, or a fresh one; metrics.csv and train.log as they were then."""
    found = None if job.folder is None else state.load(job.folder)
    counters, tensors = found or (Counters(about=about), {})
    if found and counters.about != about:
        other = [f"{k} was {counters.about.get(k)}, is {v}" for k, v in about.items() if counters.about.get(k) != v]
        raise DataError(f"the run in {job.folder} can't go on, it was of something else: {'; '.join(other)}. Start again with --overwrite.")
    if job.folder is not None and fabric.is_global_zero:
        job.folder.mkdir(parents=True, exist_ok=True)
        log.write_metrics(job.folder, counters.history, job.metrics, len(job.parts["train"]), job.unit)
        if found:
            log.Log(job.folder).cut(counters.log_bytes)
    fabric.barrier()
    return counters, tensors


def _finished(job: Job, counters: Counters, member: Member) -> Finished:
    """The member's weights and summary. Nothing of the clock: the same training gives the same bytes."""
    val_loss, scores = member.evaluate(job.parts["val"])
    summary: dict[str, Any] = {
        "seed": job.fit.seed, "member": counters.member, "epochs": counters.epoch, "best_epoch": counters.best_epoch,
        job.unit: {part: len(rows) for part, rows in job.parts.items()}, "selected_by": job.select,
    }  # fmt: skip
    if len(job.parts["val"]):
        summary |= {"val_loss": val_loss, "val_metrics": scores}
    return Finished({k: v.detach().cpu().clone() for k, v in tensors_of(member.model).items()}, plain(summary))


def plain(value: object) -> Any:
    """JSON's own types; a number that is none is null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
