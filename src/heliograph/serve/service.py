"""The models of a service, their queues, and how they are loaded again while it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from heliograph.errors import HeliographError
from heliograph.serve.batching import Batcher
from heliograph.serve.config import ServeConfig
from heliograph.serve.metrics import SIZES, Metrics
from heliograph.serve.served import Row, Served, load_all
from heliograph.serve.watch import Watch


class Service:
    """Models that are loaded (`models`) and, from `start` on, a queue for each. One thread computes for all of them."""

    def __init__(self, config: ServeConfig, log: Callable[[dict[str, Any]], None]):
        self.config, self.log, self.metrics = config, log, Metrics()
        self.models = load_all(config.named(), config.arch, config.max_smiles)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self.queues: dict[str, Batcher] = {}
        self.watches: dict[str, Watch] = {}
        self._watch()

    async def start(self) -> None:
        """Open the queues; in the event loop that answers."""
        for name in self.models:
            self.queues[name] = self._queue(name)

    async def stop(self) -> None:
        """Close queues and processes."""
        for queue in self.queues.values():
            await queue.close()
        self.thread.shutdown(wait=True)
        for model in self.models.values():
            model.close()

    async def reload(self) -> None:
        """Load all models again from their paths; those that are there go on answering until the new ones are ready, or for good."""
        loop = asyncio.get_running_loop()
        try:
            fresh = await self._loaded(loop)
        except HeliographError as error:
            self.log({"event": "reload failed", "error": str(error)})
            return
        old, self.models = self.models, fresh
        self._watch({name for name in fresh if fresh[name].sha256 == old[name].sha256})
        for model in old.values():
            await loop.run_in_executor(self.thread, model.close)  # after what that thread is at
        self.log({"event": "reloaded", "models": {name: model.sha256 for name, model in fresh.items()}})

    def _loaded(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[dict[str, Served]]:
        """The models, loaded by a thread that nobody waits for when the service ends."""
        done: asyncio.Future[dict[str, Served]] = loop.create_future()

        def tell(found: dict[str, Served] | None, error: Exception | None) -> None:
            if not done.cancelled():
                done.set_result(found or {}) if error is None else done.set_exception(error)

        def load() -> None:
            try:
                found = load_all(self.config.named(), self.config.arch, self.config.max_smiles)
            except Exception as error:
                loop.call_soon_threadsafe(tell, None, error)
            else:
                loop.call_soon_threadsafe(tell, found, None)

        threading.Thread(target=load, name="reload", daemon=True).start()
        return done

    async def predict(self, name: str, smiles: Sequence[str]) -> list[Row]:
        """Rows of a model in order. Raises Busy where its queue is full."""
        rows = await self.queues[name].predict(smiles)
        self.metrics.count("molecules_total", len(rows), model=name)
        self.metrics.count("molecules_refused_total", sum(1 for row in rows if row.reason), model=name)
        if name in self.watches and self.watches[name].see(rows):
            self.log({"event": "drift", "model": name} | self.watches[name].about())
        return rows

    def _watch(self, unchanged: Collection[str] = ()) -> None:
        """Watch every model that has a domain; from the beginning, but those that are the same as before."""
        domains = {name: model.predictor.trust.domain for name, model in self.models.items()}
        fresh = {name: Watch(len(domain.quantiles)) for name, domain in domains.items() if domain is not None}
        self.watches = fresh | {name: watch for name, watch in self.watches.items() if name in unchanged}

    def _queue(self, name: str) -> Batcher:
        def seen(size: int, seconds: float) -> None:
            self.metrics.observe("batch_molecules", size, SIZES, model=name)
            self.metrics.observe("batch_seconds", seconds, model=name)

        def compute(smiles: Sequence[str]) -> list[Row]:
            return self.models[name].predict(smiles)

        c = self.config
        return Batcher(compute, self.thread, c.batch_window / 1000, c.max_batch, c.max_molecules, seen)
