"""A whole comparison: every learner on every fold, in an order that can be stopped and gone on with."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from heliograph import manifest
from heliograph.compare import cluster, evaluations, schedule, tuning
from heliograph.compare.config import CompareConfig, refuse_files
from heliograph.compare.config import saved as config_of
from heliograph.compare.evaluations import Evaluation, Material, about
from heliograph.compare.journal import FILE, Journal
from heliograph.compare.learners import check
from heliograph.compare.result import RESULTS, TABLE, CompareResult, collect
from heliograph.compare.training import CONFIG
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.files import atomic
from heliograph.learn import budget
from heliograph.learn.progress import Lines, Progress
from heliograph.manifest import Kind
from heliograph.predictor.predictor import source_sum

_WRITTEN = (FILE, CONFIG, RESULTS, TABLE, "report.html")
COMPARISON = Kind("a comparison", re.compile("|".join(map(re.escape, _WRITTEN)) + r"|answers/[^/]+\.npz"))
OWN = (".py", ".toml")  # how files of one's own end
FREE = {"archs", "jobs", "learning_curve"}  # what may change when a comparison goes on; `ray` is not even saved


def run(config: CompareConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None) -> CompareResult:
    """Compare as `config` says into `config.output_dir`; the result is saved there too.

    `resume` goes on with the comparison in that folder and adds the architectures that are new; `overwrite` replaces it.
    Raises UsageError (settings that don't go together, a comparison in the folder), DataError (nothing usable in the table),
    HeliographError (no Ray cluster where there should be one).
    """
    progress, began = progress or Lines(), time.monotonic()
    for arch in config.compare.archs:
        check(arch)  # before anything is read or written
    if config.compare.tune is not None:
        tuning.library()
    with cluster.connected(config, progress) as width:
        settled = _settled(config, resume, overwrite)
        return _compare(settled, resume, width or config.compare.jobs, progress, began)


def _compare(config: CompareConfig, resume: bool, width: int, progress: Progress, began: float) -> CompareResult:
    """`width`: how many evaluations run side by side."""
    m = evaluations.prepare(config, progress)
    for note in m.notes:
        progress.say(note)
    journal = _opened(m, resume)
    learners = (*m.data, *m.baselines)
    progress.say(f"{len(m.data)} architectures and {len(m.baselines)} baselines on {len(m.folds)} folds of {len(m.rows):,} molecules.")
    _spend(m, journal, width, progress, began)
    wanted = [(learner, k) for k in range(len(m.folds)) for learner in learners]
    wanted += [(learner, k) for k in range(len(m.folds), len(m.all)) for learner in learners if learner != "mean"]
    queue = deque(evaluation for learner, k in wanted if (evaluation := schedule.following(m, journal, learner, k)) is not None)
    total = sum(schedule.pieces(m, learner) for learner, _ in wanted)
    done = total - sum(schedule.pieces(m, evaluation.learner) - (evaluation.trial or 0) for evaluation in queue)
    numbers = {fold.name: k for k, fold in enumerate(m.all)}
    for found in _work(m, queue):
        schedule.take(m, journal, found)
        if (more := schedule.following(m, journal, found["learner"], numbers[found["fold"]])) is not None:
            queue.appendleft(more)
        done += 1
        progress("compare", done, total, f"{found['learner']}, fold {found['fold']}")
        if "failed" in found:
            progress.say(f"{found['learner']} failed on fold {found['fold']}: {found['failed']}")
    result = collect(m, journal)
    result.save(config.output_dir)
    manifest.seal(config.output_dir)
    return result


def _opened(m: Material, resume: bool) -> Journal:
    """The journal, of a folder whose manifest names all that this comparison writes. Nothing was changed before.

    Raises UsageError where the folder holds anything else under such a name, DataError where the journal is of another comparison.
    """
    folder = m.config.output_dir
    found = Journal(folder, about(m)) if resume else None
    answers = [evaluations.answers_path(folder, learner, fold) for learner in (*m.data, *m.baselines) for fold in m.all]
    names = [*_WRITTEN, *(path.relative_to(folder).as_posix() for path in answers)]
    manifest.claim(folder, COMPARISON, names, replace=not resume)
    _save(m.config)  # first: what has a journal can be gone on with
    return found or Journal(folder, about(m))


def _settled(config: CompareConfig, resume: bool, overwrite: bool) -> CompareConfig:
    """The configuration to go on with; nothing is changed.

    Raises UsageError where the folder holds another comparison or what none wrote, or none to resume.
    """
    folder = config.output_dir
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude one another")
    files = manifest.held(folder, COMPARISON) or {}
    if resume and not (folder / FILE).is_file():
        raise UsageError(f"--resume: there is no comparison in {folder} (no {FILE})")
    if (
        not resume and not overwrite and any((folder / name).exists() for name in files if name != CONFIG)
    ):  # CONFIG alone was killed at once
        raise UsageError(
            f"{folder} holds a comparison already: --resume goes on with it, --overwrite replaces it, or choose another --output-dir."
        )
    read = [config.data.data_path, *(Path(arch) for arch in config.compare.archs if arch.endswith(OWN))]
    manifest.refuse(folder, COMPARISON, _WRITTEN, replace=True, inputs=[path for path in read if path.exists()])
    data = config.data.model_copy(update={"data_path": absolute_path(config.data.data_path)})
    archs = tuple(str(absolute_path(Path(arch))) if arch.endswith(OWN) else arch for arch in config.compare.archs)
    compare = config.compare.model_copy(update={"archs": archs})
    config = config.model_copy(update={"data": data, "compare": compare, "output_dir": folder.resolve()})
    if not resume:
        return config
    saved = config_of(folder / CONFIG)
    changed = [f"--{name.replace('_', '-')} was {old!r}, is {new!r}" for name, old, new in _differences(saved, config) if name not in FREE]
    if changed:
        raise UsageError(
            f"--resume goes on with a comparison as it was begun, but {', '.join(changed[:4])}. Leave the option out, or begin another."
        )
    refuse_files(saved.compare.archs, config.compare.archs)
    archs = tuple(dict.fromkeys((*saved.compare.archs, *config.compare.archs)))
    return config.model_copy(update={"compare": config.compare.model_copy(update={"archs": archs})})


def absolute_path(path: Path) -> Path:
    """A file's path from the root; the name of a shipped set as it is."""
    return path.resolve() if path.exists() else path


def _differences(saved: CompareConfig, asked: CompareConfig) -> Iterator[tuple[str, Any, Any]]:
    for group in ("data", "compare", "fit"):
        old, new = (getattr(c, group).model_dump() for c in (saved, asked))
        yield from ((name, old[name], new[name]) for name in old if old[name] != new[name])


def _save(config: CompareConfig) -> None:
    with atomic(config.output_dir / CONFIG) as temporary:
        temporary.write_text(config.model_dump_json(indent=1), encoding="utf-8")


def _spend(m: Material, journal: Journal, width: int, progress: Progress, began: float) -> None:
    """Set the epochs of each architecture: from --epochs, or from --budget by timing one short probe.

    Raises DataError where an architecture file has changed since something was trained with it.
    """
    for arch in m.data:
        source = source_sum(arch)[:16] if arch.endswith(OWN) else ""
        if arch in journal.epochs and journal.sources.get(arch, "") == source:
            continue
        if journal.trained(arch):
            raise DataError(f"{arch} has changed since its folds were trained. Give the new one another name, or begin again.")
        if m.config.fit.budget is None:
            journal.settle(arch, m.config.fit.epochs, source)
            continue
        left = budget.seconds(m.config.fit.budget) - (time.monotonic() - began)
        share = left * width / (len(m.data) * sum(fold.share for fold in m.all) * schedule.pieces(m, arch))
        epochs, text = evaluations.epochs_for(m, arch, share)
        progress.say(f"{arch}: {text}")
        journal.settle(arch, epochs, source)


def _work(m: Material, queue: deque[Evaluation]) -> Iterator[dict[str, Any]]:
    """Results of the evaluations in `queue`, done here, in processes or on a cluster; it may grow between two results."""
    if m.config.compare.ray is not None:
        yield from cluster.work(m, about(m), queue)
        return
    jobs = m.config.compare.jobs
    if jobs <= 1:
        while queue:
            yield evaluations.evaluate(m, queue.popleft())
        return
    text = m.config.model_dump_json()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    running: set[Future[dict[str, Any]]] = set()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(threads,)) as pool:
        try:
            while queue or running:
                while queue and len(running) < jobs:
                    running.add(pool.submit(_evaluate, text, queue.popleft()))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise HeliographError(
                "a process of the comparison was killed, probably out of memory. --resume goes on, with fewer --jobs."
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():  # what they are at is lost anyway, and nobody wants to wait for it
                child.terminate()
            raise


def _begin(threads: int) -> None:
    """In a process of the pool, which would wait for work forever where the one that gives it was killed."""
    import torch

    torch.set_num_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _evaluate(text: str, evaluation: Evaluation) -> dict[str, Any]:
    return evaluations.evaluate(evaluations.material(text), evaluation)
