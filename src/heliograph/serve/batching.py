"""Requests that arrive together are one batch: a queue per model, bounded, and one thread that computes for all of them."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from heliograph.serve.served import Row

Compute = Callable[[Sequence[str]], list[Row]]
FIRST_RATE = 200.0  # molecules a second, until it is known better


class Busy(Exception):
    """Too much waits already; `retry_after` seconds from now there should be room."""

    def __init__(self, retry_after: int):
        super().__init__(f"the service is busy: try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(eq=False)
class _Waiting:
    """One request: `rows` are filled piece by piece, from `asked` on nothing was taken yet."""

    smiles: Sequence[str]
    done: asyncio.Future[list[Row]]
    rows: list[Row | None] = field(default_factory=list)
    asked: int = 0
    left: int = 0


class Batcher:
    """The queue of one model. `window` s: how long the first waits for others; `size`: molecules a batch; `bound`: molecules that may wait.

    Large requests are cut into pieces and take turns with the others. `seen(size, seconds)` is told of each batch.
    """

    def __init__(
        self,
        compute: Compute,
        thread: ThreadPoolExecutor,
        window: float,
        size: int,
        bound: int,
        seen: Callable[[int, float], None] = lambda size, seconds: None,
    ):
        self.compute, self._thread, self._window, self._size, self._bound, self._seen = compute, thread, window, size, bound, seen
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._rate = FIRST_RATE
        self.queued = 0  # molecules that wait or are computed
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def predict(self, smiles: Sequence[str]) -> list[Row]:
        """Rows in order. Raises Busy where the queue is full."""
        if not smiles:
            return []
        if self.queued + len(smiles) > self._bound and self.queued:
            raise Busy(max(1, math.ceil(self.queued / self._rate)))
        one = _Waiting(smiles, asyncio.get_running_loop().create_future(), [None] * len(smiles), 0, len(smiles))
        self._waiting.append(one)
        self.queued += len(smiles)
        self._wake.set()
        return await one.done

    async def close(self) -> None:
        """Stop; what still waits is cancelled."""
        self._task.cancel()
        for one in self._waiting:
            one.done.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            if self._window and sum(len(one.smiles) - one.asked for one in self._waiting) < self._size:
                await asyncio.sleep(self._window)
            pieces = self._take()
            if not self._waiting:
                self._wake.clear()
            if pieces:
                await self._answer(pieces)

    def _take(self) -> list[tuple[_Waiting, int, int]]:
        """Pieces of requests for one batch, each of them an equal share; what is left of a large one goes to the end."""
        pieces, room = [], self._size
        for _ in range(len(self._waiting)):
            one = self._waiting.popleft()
            if one.done.done():  # the caller is gone
                self.queued -= one.left
                continue
            share = min(len(one.smiles) - one.asked, max(1, room // (len(self._waiting) + 1)), room)
            pieces.append((one, one.asked, one.asked + share))
            one.asked += share
            room -= share
            if one.asked < len(one.smiles):
                self._waiting.append(one)
            if not room:
                break
        return pieces

    async def _answer(self, pieces: list[tuple[_Waiting, int, int]]) -> None:
        smiles = [text for one, a, b in pieces for text in one.smiles[a:b]]
        started = time.monotonic()
        try:
            rows = await asyncio.get_running_loop().run_in_executor(self._thread, self.compute, smiles)
        except Exception as error:
            for one, a, b in pieces:
                self._finish(one, b - a, error)
            return
        seconds = time.monotonic() - started
        self._rate += 0.1 * (len(smiles) / max(seconds, 1e-6) - self._rate)
        self._seen(len(smiles), seconds)
        at = 0
        for one, a, b in pieces:
            one.rows[a:b] = rows[at : at + b - a]
            at += b - a
            self._finish(one, b - a, None)

    def _finish(self, one: _Waiting, count: int, error: Exception | None) -> None:
        one.left -= count
        self.queued -= count
        if one.done.done():
            return
        if error is not None:
            one.done.set_exception(error)
        elif not one.left:
            one.done.set_result([row for row in one.rows if row is not None])
