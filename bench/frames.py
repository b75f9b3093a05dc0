"""Memory and time of a whole training on many frames: they are read, trained on for one epoch, and predicted.

    python bench/frames.py [--frames 100000] [-o FILE.jsonl]

The frames are the 80 of `examples/ethanol.extxyz`, repeated with small displacements; the network is a small painn. Each part runs in a
process of its own; its memory is the most that it held which is not a file's (RssAnon of Linux), so what the system may drop at
any time does not count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import Lines, parser

EXAMPLE = Path(__file__).parents[1] / "examples" / "ethanol.extxyz"
NETWORK = "--arch painn --arch-args d=16 depth=1 radial=6 --r-max 4 --epochs 1 --batch-size 64"


def write(path: Path, n: int) -> None:
    from heliograph.data.frames import read, text_of

    given, rng = list(read(EXAMPLE)), np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as file:
        for k in range(n):
            frame = given[k % len(given)]
            file.write(text_of(replace(frame, pos=frame.pos + 0.001 * rng.normal(size=frame.pos.shape))))


def held(pid: int) -> float:
    """Anonymous memory of a process in MB, 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)
    except OSError:
        return 0.0


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and the largest memory in MB of a command."""
    started, most = time.monotonic(), 0.0
    with subprocess.Popen([sys.executable, "-m", "heliograph", *command]) as process:
        while process.poll() is None:
            most = max(most, held(process.pid))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return time.monotonic() - started, most


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--frames", type=int, nargs="+", default=[1000, 10_000, 100_000], help="how many (1,000, 10,000, 100,000)")
    args = made.parse_args()
    lines = Lines(args)
    for n in args.frames:
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            write(here / "frames.extxyz", n)
            parts = {
                "train": f"train {here}/frames.extxyz {NETWORK} -o {here}/run -q",
                "predict": f"predict {here}/run {here}/frames.extxyz -o {here}/out.extxyz -q",
            }
            for name, command in parts.items():
                seconds, most = measured(command.split())
                lines({"part": name, "frames": n, "seconds": round(seconds, 1), "mb": round(most)})


if __name__ == "__main__":
    main()
