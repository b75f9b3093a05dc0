"""The evaluations of a comparison on a Ray cluster, whose machines share no folder with this one (`transport` is what travels).

Ray is imported only where a cluster is asked for.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Protocol

import torch

from heliograph.compare import transport
from heliograph.compare.config import CompareConfig
from heliograph.compare.evaluations import Evaluation, Material
from heliograph.errors import HeliographError, UsageError
from heliograph.learn.progress import Progress

PATIENCE = 5.0  # s for an address to answer
RETRIES = 3  # of an evaluation whose process or machine died
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # HTTP/2's first words and empty settings
SETTINGS = 4  # the kind of frame that answers them


@contextmanager
def connected(config: CompareConfig, progress: Progress) -> Iterator[int]:
    """How many evaluations the cluster of `--ray` works on side by side; 0 where none is asked for.

    Raises UsageError (no Ray, no address), HeliographError (no cluster answers).
    """
    address, cuda = config.compare.ray, config.fit.accelerator == "cuda"
    if address is None:
        yield 0
        return
    with joined(address, progress) as (cpus, gpus):
        if cpus < 1 or (cuda and gpus < 1):
            raise UsageError(f"--ray {address}: the cluster has no {'CPU' if cpus < 1 else 'GPU, which --accelerator cuda asks for'}.")
        yield max(1, min(cpus, gpus) if cuda else cpus)


class Says(Protocol):
    """Lines that stay."""

    def say(self, text: str) -> None:
        """Show one."""


@contextmanager
def joined(address: str, progress: Says | None) -> Iterator[tuple[int, int]]:
    """Be part of a Ray cluster: its CPUs and GPUs. Raises UsageError (no Ray, no address), HeliographError (no cluster answers)."""
    try:
        import ray
    except ImportError as error:
        raise UsageError(f"--ray needs Ray, which can't be imported ({error}). Run: pip install 'heliograph[ray]'") from None
    _listens(address)
    try:
        ray.init(address, log_to_driver=False, logging_level="error")
    except Exception as error:  # of many kinds: another version of Ray or Python, a machine that is not of the cluster
        raise HeliographError(f"--ray {address}: {transport.line(error)}") from None
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # as the evaluations have, for the probes of --budget
        cpus, gpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("CPU", "GPU"))
        if progress is not None:
            progress.say(f"Ray cluster at {address}: {cpus} CPUs, {gpus} GPUs.")
        yield cpus, gpus
    finally:
        torch.set_num_threads(threads)
        ray.shutdown()


def _listens(address: str) -> None:
    """Ray itself would try for minutes, and so it would at the port of its own web page."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UsageError(f"--ray {address}: expected HOST:PORT, as `ray start --head` prints it. Run this on a machine of the cluster.")
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as one:
            one.sendall(HELLO)
            answer = one.recv(9)
    except (OSError, OverflowError, UnicodeError) as error:
        raise HeliographError(
            f"--ray {address}: no Ray cluster answers there ({error}). Start one with `ray start --head`, or check the address."
        ) from None
    if len(answer) < 4 or answer[3] != SETTINGS:
        raise HeliographError(f"--ray {address}: what answers there is no Ray cluster. Give the address that `ray start --head` printed.")


def work(m: Material, about: Mapping[str, Any], queue: deque[Evaluation]) -> Iterator[dict[str, Any]]:
    """What comes of the evaluations in `queue`; more may be put into it between two answers.

    One that is lost with its machine is tried again, and has "failed" where that does not help. `about` must be that of the molecules
    and folds which the machines make of the same files.
    """
    import ray

    text, files, places = transport.pack(m.config, ray.put)
    here, folds = json.dumps(about), m.all
    ask = ray.remote(num_cpus=1, max_retries=RETRIES)(transport.answer)
    running: dict[Any, Evaluation] = {}
    try:
        while queue or running:
            while queue:
                evaluation = queue.popleft()
                on = ask.options(num_gpus=int(m.config.fit.accelerator == "cuda" and evaluation.learner in m.data))
                there = replace(evaluation, learner=places.get(evaluation.learner, evaluation.learner))
                running[on.remote(text, files, here, asdict(there))] = evaluation
            (done,), _ = ray.wait(list(running))
            evaluation = running.pop(done)
            yield _found(done, evaluation.names(folds[evaluation.fold]))
    finally:
        for one in running if ray.is_initialized() else ():
            ray.cancel(one, force=True)


def _found(done: Any, names: dict[str, Any]) -> dict[str, Any]:
    import ray

    try:
        line, answers = ray.get(done)
    except ray.exceptions.RayError as error:
        return names | {"failed": transport.line(error)}
    found: dict[str, Any] = json.loads(line) | names  # there, a file of one's own has another path
    if "propagation" in found:
        found["propagation"]["learner"] = names["learner"]
    return found if "failed" in found else found | {"answers": answers}
