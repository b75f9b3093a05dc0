"""Contestants in processes of their own, and duels between them: steps in turn, peak memory.

A contestant lives in a process of its own, so that each has its own memory and its own allocator; they take turns of three steps, one
contestant at a time, ours first in even rounds and the peer first in odd ones. The first step of a turn is left out, as a training has its
own data in the caches; a ratio is that of the two turns of one round.

Heliograph tells glibc to keep freed memory (`heliograph.allocator`); a peer by itself does not. Peers are run both ways, each said.
Memory is the largest resident size during the steps less that of the same process idle: libraries loaded, kernels and threads warmed on
an input of a few rows, nothing else built. Model, batch, gradients and the optimizer's state are thus counted.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from common import spread

from heliograph import memory
from heliograph.allocator import keep_freed_memory
from heliograph.cli import ENVIRONMENT


class Failed(Exception):
    """A contestant that could not be built or run; the text says why."""


@dataclass(frozen=True)
class Contestant:
    """`step()` does the work once and returns its seconds; `values()` are arrays that must equal those of the other contestant."""

    step: Callable[[], float]
    values: Callable[[], Sequence[np.ndarray]]


class Worker:
    """`make(**arguments)` in a process of its own; `make` is a function of a module that can be imported.

    `warm`: arguments of a tiny input that is run before memory is looked at; without it no memory is reported. `peer`: without the
    environment variables that the command `heliograph` sets for itself.
    """

    def __init__(
        self,
        make: Callable[..., Contestant],
        arguments: Mapping[str, Any],
        warm: Mapping[str, Any] | None,
        keep_freed: bool = True,
        peer: bool = False,
    ):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, make, dict(arguments), warm, keep_freed), daemon=True)
        with _environment({} if peer else ENVIRONMENT):
            self.process.start()
        other.close()
        self.kept = bool(self._answer())

    def ask(self, what: str) -> Any:
        """`step`, `values`, `peak` (MB above idle, or None), `flops` or `profile` of one step."""
        self.connection.send(what)
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self.connection.recv()
        except EOFError:
            self.process.join(10)
            raise Failed(f"its process ended with exit code {self.process.exitcode}") from None
        if isinstance(answer, Failed):
            raise answer
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.is_alive():
            with contextlib.suppress(OSError):
                self.connection.send("stop")
        self.process.join(30)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that a process started inside sees from its beginning."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _serve(connection: Any, make: Callable[..., Contestant], arguments: dict[str, Any], warm: Mapping[str, Any] | None, keep: bool) -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        kept = keep and keep_freed_memory()
        idle = None
        if warm is not None:
            make(**(arguments | warm)).step()
            idle = memory.held_mb()
        contestant = make(**arguments)
        memory.held_mb()  # gives back what is free
        memory.forget_peak()
        connection.send(kept)
        answers: dict[str, Callable[[], Any]] = {
            "step": contestant.step,
            "values": contestant.values,
            "peak": lambda: _above(idle),
            "flops": lambda: _flops(contestant.step),
            "profile": lambda: _profile(contestant.step),
        }
        for what in iter(connection.recv, "stop"):
            connection.send(answers[what]())
    except EOFError:  # whoever asked is gone
        pass
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        connection.send(Failed(f"{type(error).__name__}: {text[:300]}"))


def _above(idle: float | None) -> float | None:
    peak = memory.peak_mb()
    return None if idle is None or peak is None else round(peak - idle, 1)


def _flops(step: Callable[[], float]) -> int:
    """Floating-point operations of the matrix products of one step, as PyTorch counts them; what other kernels do is not in it."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def _profile(step: Callable[[], float], rows: int = 15) -> dict[str, float]:
    """Milliseconds of one step by operation, the largest first; the rest is "other"."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    spent = sorted(((e.self_cpu_time_total / 1000, e.key) for e in profile.key_averages()), reverse=True)
    table = {key: round(ms, 2) for ms, key in spent[:rows]}
    return table | {"other": round(sum(ms for ms, _ in spent[rows:]), 2)}


def difference(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """Largest difference relative to the largest value of each array."""
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-30)) for a, b in pairs)


TURN = 3  # steps in a row, of which the first, with the other's data in the caches, is left out


def duel(ours: Worker, theirs: Worker, steps: int, warm_up: int = 2) -> dict[str, Any]:
    """Turns of a few steps: median seconds of a step of both, the ratio of paired turns, peak memory above idle."""
    for _ in range(warm_up):
        ours.ask("step"), theirs.ask("step")
    rounds = []
    for k in range(steps):
        both = {w: statistics.mean([w.ask("step") for _ in range(TURN)][1:]) for w in ((ours, theirs) if k % 2 == 0 else (theirs, ours))}
        rounds.append((both[ours], both[theirs]))
    mine, its = ours.ask("peak"), theirs.ask("peak")
    return {
        "seconds": statistics.median(a for a, _ in rounds),
        "peer_seconds": statistics.median(b for _, b in rounds),
        "ratio_min_median_max": spread([b / a for a, b in rounds]),
        "peak_mb": mine,
        "peer_peak_mb": its,
        "memory_ratio": round(its / mine, 2) if mine and its else None,
        "steps": steps,
    }
