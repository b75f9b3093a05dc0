"""What all benchmarks share: options, JSON lines, the machine and its rates."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

DATA = Path(os.environ.get("HELIOGRAPH_DATA", Path(__file__).parents[2] / "shared" / "data"))


def timed(f: Callable[[], object]) -> Callable[[], float]:
    """f as a step: its seconds. On a GPU ten of them are waited for together: a single one ends before its launch does."""

    def step() -> float:
        calls = 10 if torch.cuda.is_initialized() else 1
        start = time.perf_counter()
        for _ in range(calls):
            f()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / calls

    return step


def spread(values: Sequence[float], digits: int = 2) -> list[float]:
    """Smallest, median, largest."""
    return [round(x, digits) for x in (min(values), statistics.median(values), max(values))]


def parser(doc: str | None, steps: int = 9) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("-o", "--output", type=Path, help="append the JSON lines to this file too")
    made.add_argument("--steps", type=int, default=steps, help=f"timed repetitions ({steps})")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of every contestant (all cores)")
    return made


class Lines:
    """JSON lines to the screen and, where asked, to a file; the first says what machine it is. `kept`: those the file had before."""

    def __init__(self, options: argparse.Namespace):
        self.output: Path | None = options.output
        there = self.output is not None and self.output.exists()
        self.kept = list(_whole(self.output.read_text())) if there and self.output else []
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ[name] = str(options.threads)  # for the workers
        if "numba" in sys.modules:  # it compares the two when it compiles, and refuses a change once its threads have started
            sys.modules["numba"].config.reload_config()
        torch.set_num_threads(options.threads)
        self(machine(options.threads) | {"command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])} | rates())

    def __call__(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(dict(line))
        print(text, flush=True)
        if self.output is not None:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            with open(self.output, "a", encoding="utf-8") as file:
                file.write(text + "\n")


def _whole(text: str) -> Iterator[dict[str, Any]]:
    """The lines that were written to their end."""
    for line in text.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


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
                        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
                        "python": platform.python_version(), "date": datetime.now().isoformat(timespec="minutes"),
                        "commit": git.stdout.strip()}}  # fmt: skip


def best(f: Callable[[], object], seconds: float = 0.5) -> float:
    """Seconds of the fastest of the runs that begin within `seconds`, at least three."""
    step = timed(f)
    step()
    fastest, end = min(step() for _ in range(3)), time.perf_counter() + seconds
    while time.perf_counter() < end:
        fastest = min(fastest, step())
    return fastest


def rates() -> dict[str, Any]:
    """This machine's limits: GFLOP/s of matrix products [m, k] @ [k, n], and GB/s (read + written) of a copy beyond the caches."""
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        for m, k, n in ((1024, 1024, 1024), (20_000, 128, 128)):
            a, b = torch.randn(m, k, dtype=dtype), torch.randn(k, n, dtype=dtype)
            found[f"{str(dtype).removeprefix('torch.')} {m}x{k}x{n}"] = round(2e-9 * m * k * n / best(lambda a=a, b=b: a @ b))
    return {"matmul_gflop_per_s": found, "copy_gb_per_s": round(copy_rate(1 << 28) / 1e9, 2)}


def copy_rate(size: int, seconds: float = 0.5, device: str = "cpu") -> float:
    """Bytes per second, read plus written, of copying `size` bytes."""
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / best(lambda: target.copy_(source), seconds)
