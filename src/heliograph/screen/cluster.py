"""Shards on a Ray cluster, whose machines share no folder with this one: models and shards travel as bytes, answers as text.

Ray is imported only where a cluster is asked for. The journal is this process's; a shard that is lost with its machine is asked for again.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from heliograph.compare.cluster import RETRIES, Says, joined
from heliograph.compare.transport import line
from heliograph.errors import HeliographError
from heliograph.screen.pool import Hands, T, Task

AHEAD = 2  # shards under way for each CPU
_ready: dict[str, Any] = {}  # on a machine of the cluster: the question -> what answers it


class Cluster:
    """The tasks of a screening on the cluster at `address`. Filters are asked here."""

    def __init__(self, settings: dict[str, Any], address: str, progress: Says | None):
        self._settings, self._address, self._progress = settings, address, progress
        self._stack = ExitStack()

    def __enter__(self) -> Hands:
        self._cpus, _ = self._stack.enter_context(joined(self._address, self._progress))
        import ray

        from heliograph.predictor.predictor import files

        found = files(self._settings["model"])
        names = [file.name for file in found] if len(found) > 1 else ["model.safetensors"]
        contents = {name: file.read_bytes() for name, file in zip(names, found, strict=True)}
        if self._settings["arch"] is not None:
            contents["arch.py"] = Path(self._settings["arch"]).read_bytes()
        digest = hashlib.sha256(b"".join(name.encode() + b"\0" + content for name, content in contents.items())).hexdigest()
        self._text = json.dumps({"digest": digest, "question": self._settings["question"]})
        self._models = {name: [ray.put(content)] for name, content in contents.items()}
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def as_completed(self, tasks: Iterable[tuple[T, Task]]) -> Iterator[tuple[T, dict[str, Any]]]:
        """(name, answer) of each task, as they are finished. Raises HeliographError where one can't be done."""
        import ray

        ask = ray.remote(num_cpus=1, max_retries=RETRIES)(answer)
        source, running = iter(tasks), dict[Any, T]()
        try:
            while True:
                for name, task in islice(source, AHEAD * max(1, self._cpus) - len(running)):
                    request, content = task()
                    running[ask.remote(self._text, self._models, json.dumps(request), content)] = name
                if not running:
                    return
                (done,), _ = ray.wait(list(running))
                name = running.pop(done)
                try:
                    found = json.loads(ray.get(done))
                except ray.exceptions.RayError as error:
                    raise HeliographError(f"--ray: a shard was lost {RETRIES + 1} times: {line(error)}. Go on with --resume.") from None
                if "error" in found:
                    raise HeliographError(found["error"])
                yield name, found
        finally:
            for one in running if ray.is_initialized() else ():
                ray.cancel(one, force=True)

    def ordered(self, tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
        """The answer of each task: filters, by this process."""
        from heliograph.screen.worker import filtered

        for task in tasks:
            _, content = task()
            yield filtered(self._settings["question"]["filters"], content)


def answer(text: str, models: dict[str, list[Any]], request: str, content: bytes) -> str:
    """On a machine of the cluster: what a shard comes to, as JSON. All that goes wrong is said in "error"."""
    try:
        if text not in _ready:
            import torch

            from heliograph.data import cache
            from heliograph.screen.worker import answering

            torch.set_num_threads(1)
            settings = json.loads(text)

            def build(folder: Path) -> None:
                import ray

                for name, (handle,) in models.items():
                    (folder / name).write_bytes(ray.get(handle))

            folder = cache.cached(settings["digest"], build)
            arch = str(folder / "arch.py") if "arch.py" in models else None
            _ready.clear()
            _ready[text] = answering({"question": settings["question"], "model": str(folder), "arch": arch})
        return json.dumps(_ready[text](json.loads(request), content))
    except Exception as error:
        return json.dumps({"error": f"{line(error)} (on {socket.gethostname()})"})
