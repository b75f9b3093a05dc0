"""Processes that score shards, each fed by a thread. One that dies is started again, and its shard is read more carefully."""

from __future__ import annotations

import json
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, Protocol, TypeVar

from heliograph.chem.child import GONE, Child
from heliograph.errors import HeliographError

Task = Callable[[], tuple[dict[str, Any], bytes]]  # a request and its bytes, made when a process is free
T = TypeVar("T")
PATIENCE = 900.0  # s for a shard that is read without a guard


class Hands(Protocol):
    """Who does tasks; a context manager."""

    def __enter__(self) -> Hands: ...

    def __exit__(self, *exception: object) -> None: ...

    def as_completed(self, tasks: Iterable[tuple[T, Task]]) -> Iterator[tuple[T, dict[str, Any]]]:
        """(name, answer) of each task, as they are finished."""

    def ordered(self, tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
        """The answer of each task, in order."""


class Here:
    """The same in this process, one task after the other."""

    def __init__(self, settings: dict[str, Any]):
        from heliograph.screen.worker import answering

        self._answer = answering(settings)

    def __enter__(self) -> Hands:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def as_completed(self, tasks: Iterable[tuple[T, Task]]) -> Iterator[tuple[T, dict[str, Any]]]:
        """(name, answer) of each task."""
        for name, task in tasks:
            yield name, _checked(self._answer(*task()))

    def ordered(self, tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
        """The answer of each task."""
        for task in tasks:
            yield _checked(self._answer(*task()))


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    if "error" in found:
        raise HeliographError(found["error"])
    return found


class Pool:
    """`jobs` processes; use as a context manager. `settings`: what `worker.answering` takes."""

    def __init__(self, settings: dict[str, Any], jobs: int):
        self._workers = [_Worker(settings) for _ in range(jobs)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._executor = ThreadPoolExecutor(jobs, thread_name_prefix="screen")

    def __enter__(self) -> Hands:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.close()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def as_completed(self, tasks: Iterable[tuple[T, Task]]) -> Iterator[tuple[T, dict[str, Any]]]:
        """(name, answer) of each task, as they are finished. Raises HeliographError where one can't be done."""
        source = iter(tasks)
        running: dict[Future[dict[str, Any]], T] = {}
        while True:
            for name, task in islice(source, len(self._workers) + 1 - len(running)):
                running[self._executor.submit(self._one, task)] = name
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()

    def ordered(self, tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
        """Answers in the order of the tasks, a few of which are under way at a time."""
        source, pending = iter(tasks), deque[Future[dict[str, Any]]]()
        while True:
            for task in islice(source, 2 * len(self._workers) - len(pending)):
                pending.append(self._executor.submit(self._one, task))
            if not pending:
                return
            yield pending.popleft().result()

    def _one(self, task: Task) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            request, content = task()
            found = worker.ask(request, content)
            if found is None and request.get("guarded") is False:
                found = worker.ask({**request, "guarded": True}, content)
            if found is None:
                why = f"a process that screens was killed, probably out of memory (exit status {worker.child.exit_status})"
                raise HeliographError(f"{why}. Give fewer --jobs, then go on with --resume.")
            return _checked(found)
        finally:
            self._idle.put(worker)


class _Worker:
    """A process that screens."""

    def __init__(self, settings: dict[str, Any]):
        self.child = Child(("-m", "heliograph.screen.worker"), settings, "screening")
        self.close = self.child.close

    def ask(self, request: dict[str, Any], content: bytes) -> dict[str, Any] | None:
        """The answer; None where the process died of it or took too long without a guard."""
        try:
            self.child.ask(json.dumps(request).encode(), content)
            found: dict[str, Any] = json.loads(self.child.receive(PATIENCE if request.get("guarded") is False else None))
            return found
        except GONE:
            self.child.died()
            return None
