"""What the benchmarks share: contestants in processes of their own, paired steps, the machine and its rates, JSON lines.

A contestant lives in a process of its own, so that each has its own memory and its own allocator; steps are run in turn, one contestant
at a time, ours first in even rounds and the peer first in odd ones, and a ratio is that of two steps of one round.

Heliograph tells glibc to keep freed memory (`heliograph.allocator`); a peer by itself does not. Peers are run both ways, each said.
Memory is the largest resident size during the steps less that of the same process idle: libraries loaded, kernels and threads warmed on
an input of a few rows, nothing else built. Model, batch, gradients and the optimizer's state are thus counted.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph.allocator import keep_freed_memory

DATA = Path(os.environ.get("HELIOGRAPH_DATA", Path(__file__).parents[2] / "shared" / "data"))


class Failed(Exception):
    """A contestant that could not be built or run; the text says why."""


@dataclass(frozen=True)
class Contestant:
    """`step()` does the work once and returns its seconds; `values()` are arrays that must equal those of the other contestant."""

    step: Callable[[], float]
    values: Callable[[], Sequence[np.ndarray]]


def timed(f: Callable[[], object]) -> Callable[[], float]:
    """f as a step: its seconds."""

    def step() -> float:
        start = time.perf_counter()
        f()
        return time.perf_counter() - start

    return step


class Worker:
    """`make(**arguments)` in a process of its own; `make` is a function of a module that can be imported.

    `warm`: arguments of a tiny input that is run before memory is looked at; without it no memory is reported.
    """

    def __init__(
        self, make: Callable[..., Contestant], arguments: Mapping[str, Any], warm: Mapping[str, Any] | None, keep_freed: bool = True
    ):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, make, dict(arguments), warm, keep_freed), daemon=True)
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


def _serve(connection: Any, make: Callable[..., Contestant], arguments: dict[str, Any], warm: Mapping[str, Any] | None, keep: bool) -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        kept = keep and keep_freed_memory()
        idle = None
        if warm is not None:
            make(**(arguments | warm)).step()
            idle = _idle()
        contestant = make(**arguments)
        _reset_peak()
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


def _status(field: str) -> float | None:
    """A line of /proc/self/status in MB; None where there is no such file."""
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


def _idle() -> float | None:
    """Resident MB once all that can be given back has been."""
    gc.collect()
    if sys.platform.startswith("linux"):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return _status("VmRSS")


def _above(idle: float | None) -> float | None:
    peak = _status("VmHWM")
    return None if idle is None or peak is None else round(peak - idle, 1)


def _reset_peak() -> None:
    """Let VmHWM start anew from the present size."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


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


def spread(values: Sequence[float], digits: int = 2) -> list[float]:
    """Smallest, median, largest."""
    return [round(x, digits) for x in (min(values), statistics.median(values), max(values))]


def duel(ours: Worker, theirs: Worker, steps: int, warm_up: int = 2) -> dict[str, Any]:
    """Steps in turn: median seconds of both, the ratio of paired steps, peak memory above idle."""
    for _ in range(warm_up):
        ours.ask("step"), theirs.ask("step")
    rounds = []
    for k in range(steps):
        both = {w: w.ask("step") for w in ((ours, theirs) if k % 2 == 0 else (theirs, ours))}
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


def parser(doc: str | None, steps: int = 9) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("-o", "--output", type=Path, help="append the JSON lines to this file too")
    made.add_argument("--steps", type=int, default=steps, help=f"timed repetitions ({steps})")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of every contestant (all cores)")
    return made


class Lines:
    """JSON lines to the screen and, where asked, to a file; the first says what machine it is."""

    def __init__(self, options: argparse.Namespace):
        self.output: Path | None = options.output
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ[name] = str(options.threads)  # for the workers
        torch.set_num_threads(options.threads)
        self(machine(options.threads) | {"command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])} | rates())

    def __call__(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(dict(line))
        print(text, flush=True)
        if self.output is not None:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            with open(self.output, "a", encoding="utf-8") as file:
                file.write(text + "\n")


def machine(threads: int) -> dict[str, Any]:
    """What these figures were measured on, and of which commit."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    cpu = name[1] if name else platform.processor() or platform.machine()
    git = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    return {"machine": {"cpu": cpu, "amx": "amx_tile" in text, "cores": os.cpu_count(), "threads": threads, "torch": torch.__version__,
                        "python": platform.python_version(), "date": datetime.now().isoformat(timespec="minutes"),
                        "commit": git.stdout.strip()}}  # fmt: skip


def best(f: Callable[[], object], seconds: float = 0.5) -> float:
    """Seconds of the fastest of the runs that fit into `seconds`, at least three."""
    step = timed(f)
    step()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        times.append(step())
    return min(times)


def rates() -> dict[str, Any]:
    """This machine's limits: GFLOP/s of matrix products [m, k] @ [k, n], and GB/s (read + written) of a copy beyond the caches."""
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        for m, k, n in ((1024, 1024, 1024), (20_000, 128, 128)):
            a, b = torch.randn(m, k, dtype=dtype), torch.randn(k, n, dtype=dtype)
            found[f"{str(dtype).removeprefix('torch.')} {m}x{k}x{n}"] = round(2e-9 * m * k * n / best(lambda a=a, b=b: a @ b))
    return {"matmul_gflop_per_s": found, "copy_gb_per_s": round(copy_rate(1 << 28) / 1e9, 2)}


def copy_rate(size: int) -> float:
    """Bytes per second, read plus written, of copying `size` bytes."""
    source = torch.ones(size // 4)
    target = torch.empty_like(source)
    return 2 * size / best(lambda: target.copy_(source))
