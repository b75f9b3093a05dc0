"""Many structures to arrays, in order, over a pool of worker processes, in flat memory.

Workers are fresh interpreters (no fork: a forked child that meets OpenMP is killed; no re-import of the caller's main module), each
fed one chunk at a time by a thread. A structure that kills its worker, or takes too long, costs its own row: the chunk is sent again
one by one, and the culprit gets a reason.
"""

from __future__ import annotations

import os
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from heliograph.chem import wire
from heliograph.chem.child import GONE, Child
from heliograph.chem.worker import attempts
from heliograph.data.record import Record, Structure

if TYPE_CHECKING:
    from heliograph.chem.featurizer import Featurizer
    from heliograph.chem.molecule import Molecule

Outcome = tuple[Record, "Molecule | None", str]
_SMALL = {"none": 500, "given": 500, "embed": 24}  # fewer rows than this are done before a worker has started
_CHUNK = {"none": 200, "given": 200, "embed": 16}
_PROGRAM = ("-m", "heliograph.chem.worker")
_AHEAD = 4  # chunks under way or waiting, per worker


def default_workers() -> int:
    """One per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def featurize_table(
    records: Iterable[Record],
    featurizer: Featurizer,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    scaffold: bool = True,
    limit: float = 30.0,
) -> Iterator[Outcome]:
    """(record, molecule, "") or (record, None, reason) for each record, in order; records are drawn as they are needed.

    `workers`: processes, None for one per core, 0 for none (then, as for a short table, nothing protects from a crash or a hang).
    `progress` is called with the number of rows done so far. `scaffold=False` as in `featurize`.
    `limit`: seconds that one structure may take. Raises HeliographError where workers can't be started.
    """
    source = iter(records)
    small = _SMALL[featurizer.geometry]
    count = default_workers() if workers is None else workers
    head = list(islice(source, small)) if count else []
    everything = chain(head, source)
    if count == 0 or len(head) < small:
        outcomes: Iterator[Outcome] = _here(everything, _CHUNK[featurizer.geometry] if not scaffold else 1, featurizer, scaffold)
    else:
        outcomes = _pooled(everything, _CHUNK[featurizer.geometry], [Worker(featurizer, scaffold, limit) for _ in range(count)])
    done = 0
    for done, outcome in enumerate(outcomes, 1):
        yield outcome
        if progress is not None and done % 50 == 0:
            progress(done)
    if progress is not None and done % 50:
        progress(done)


def _here(records: Iterator[Record], size: int, featurizer: Featurizer, scaffold: bool) -> Iterator[Outcome]:
    while chunk := list(islice(records, size)):
        yield from map(_outcome, chunk, attempts([record.structure for record in chunk], featurizer, scaffold))


def _outcome(record: Record, result: Molecule | str | None) -> Outcome:
    if result is None:
        return record, None, record.reason or "empty structure"
    if isinstance(result, str):
        return record, None, result
    return record, result, ""


def _pooled(records: Iterator[Record], size: int, workers: Sequence[Worker]) -> Iterator[Outcome]:
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def task(structures: list[Structure | None]) -> list[Molecule | str | None]:
        worker = idle.get()
        try:
            return worker.featurize(structures)
        finally:
            idle.put(worker)

    pending: deque[tuple[list[Record], Future[list[Molecule | str | None]]]] = deque()
    executor = ThreadPoolExecutor(len(workers), thread_name_prefix="featurize")
    try:
        while chunk := list(islice(records, size)):
            pending.append((chunk, executor.submit(task, [record.structure for record in chunk])))
            if len(pending) >= _AHEAD * len(workers):
                yield from _collect(*pending.popleft())
        while pending:
            yield from _collect(*pending.popleft())
    finally:
        for worker in workers:
            worker.close()
        executor.shutdown(wait=True, cancel_futures=True)


def _collect(records: list[Record], future: Future[list[Molecule | str | None]]) -> Iterator[Outcome]:
    return map(_outcome, records, future.result())


class Worker:
    """A process that featurizes."""

    def __init__(self, featurizer: Featurizer, scaffold: bool, limit: float):
        self._limit = limit
        settings = (featurizer.to_dict(), scaffold)
        self._child = Child(_PROGRAM, settings, "featurization", "Try --num-workers 0.")
        self.close = self._child.close

    def featurize(self, structures: list[Structure | None]) -> list[Molecule | str | None]:
        """A result per structure: as one chunk, and one by one where that ended badly."""
        results, _ = self._ask(structures, one_by_one=False)
        while len(results) < len(structures):
            more, why = self._ask(structures[len(results) :], one_by_one=True)
            results += more
            if why:
                results.append(why)
        return results

    def _ask(self, structures: list[Structure | None], one_by_one: bool) -> tuple[list[Molecule | str | None], str]:
        """(results so far, why they are not all). The deadline runs anew after each answer."""
        child = self._child
        results: list[Molecule | str | None] = []
        try:
            child.ask(wire.request(structures, one_by_one))
            for _ in range(len(structures) if one_by_one else 1):
                results += wire.answered(child.receive(self._limit))
        except (*GONE, SafetensorError):
            child.died()
            if child.overdue:
                return results, f"took too long: more than {self._limit:g} s"
            return results, f"crashed RDKit: exit status {child.exit_status}"
        return results, ""
