"""Batches made in threads while the network computes: what a source draws follows from its step alone, so nothing else changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar, final

T = TypeVar("T")


@final
class Ahead(Generic[T]):
    """What `make` makes of the steps `first` to `last` - 1, in their order. With `n` = 0 each is made when it is asked for.

    The source must not use torch's generator, which belongs to the step that computes.
    """

    def __init__(self, make: Callable[[int], T], first: int, last: int, n: int):
        self.make, self.next, self.last, self.n = make, first, last, n
        self.waiting: deque[Future[T]] = deque()
        self.pool = ThreadPoolExecutor(min(n, 2)) if n else None

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def __call__(self, k: int) -> T:
        """That of step `k`, which is the one after the last that was asked for."""
        if self.pool is None:
            return self.make(k)
        while self.next < self.last and len(self.waiting) <= self.n:
            self.waiting.append(self.pool.submit(self.make, self.next))
            self.next += 1
        return self.waiting.popleft().result()
