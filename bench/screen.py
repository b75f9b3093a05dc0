"""A screening of millions of lines: rate, memory of all its processes, and the same bytes after kills.

    python bench/screen.py MODEL --lines 1000000 --runs FOLDER [--kills 5] [--top 10000] [--jobs 2] [-o FILE.jsonl]

The library is the screening set over and over, from the second time with carbons put before what begins with one, one line in a hundred
spoiled. The first line of the answer is a whole run: seconds, the rate of each million, the largest sum of resident memory of all its
processes (pages that they share are counted once: Pss). With `--kills` a second run is killed with SIGKILL at random moments, the parent
or one of its workers in turn, and gone on with; its `top.csv` must be equal byte for byte, and what was done twice is counted in shards.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import DATA, Lines, parser

LIBRARY = DATA / "screening" / "screening_smiles.csv.gz"
SHARD = 2_000_000  # bytes, as the command's default
JOURNAL = "journal.jsonl"


def write(path: Path, lines: int) -> None:
    """The library of `lines` lines."""
    with gzip.open(LIBRARY, "rt") as file:
        head = next(file).strip().split(",").index("smiles")
        smiles = [line.strip().split(",")[head] for line in file]
    drawn = random.Random(0)
    with path.open("w") as file:
        file.write("smiles\n")
        for k in range(lines):
            turn, row = divmod(k, len(smiles))
            text = "C" * turn + smiles[row] if smiles[row][0] in "Cc" else smiles[row]
            file.write((text[: len(text) // 2] + "(" if drawn.random() < 0.01 else text) + "\n")


def family(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for each in found:
        for path in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, path.read_text().split())
            except OSError:
                continue
    return found


def memory(pids: list[int]) -> float:
    """Proportional resident memory of these processes, MB."""
    total = 0
    for each in pids:
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def shards(folder: Path) -> int:
    """Lines of the journal."""
    path = folder / JOURNAL
    return path.read_bytes().count(b"\n") if path.exists() else 0


def begun(options: Any, library: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """The command, started."""
    args = [sys.executable, "-m", "heliograph", "screen", str(options.model), str(library), "-o", str(folder), "-q"]
    args += ["--top", str(options.top), "--jobs", str(options.jobs), "--shard-size", str(SHARD), *more]
    return subprocess.Popen(args)


def whole(options: Any, library: Path, folder: Path) -> dict[str, Any]:
    """One run from its beginning to its end, watched."""
    started, peak, parent, marks = time.monotonic(), 0.0, 0.0, list[tuple[float, int]]()
    with begun(options, library, folder, "--overwrite") as process:
        while process.poll() is None:
            peak, parent = max(peak, memory(family(process.pid))), max(parent, memory([process.pid]))
            marks.append((time.monotonic() - started, shards(folder)))
            time.sleep(1.0)
    if process.returncode:
        raise SystemExit(f"the screening ended with {process.returncode}")
    last = max(done for _, done in marks)
    reached = {share: next(t for t, done in marks if done >= share * last) for share in (0.25, 0.5, 0.75, 1.0)}
    return {"seconds": round(time.monotonic() - started, 1), "peak_memory_mb": round(peak), "parent_mb": round(parent), "shards": last,
            "seconds_to_quarters": [round(t, 1) for t in reached.values()]}  # fmt: skip


def killed(options: Any, library: Path, folder: Path, seconds: float) -> dict[str, Any]:
    """The same run with kills at random moments: the parent, or one of its workers."""
    drawn, lost, shots = random.Random(1), list[int](), list[str]()
    for k in range(options.kills):
        more = ("--overwrite",) if k == 0 else ("--resume",)
        before = shards(folder) if k else 0
        with begun(options, library, folder, *more) as process:
            pause(process, 5.0 + (0.2 + 0.6 * drawn.random()) * seconds / (options.kills + 1))
            if process.poll() is not None:
                raise SystemExit("the screening ended before it could be killed: give more --lines")
            children = family(process.pid)[1:]
            victim = process.pid if k % 2 == 0 or not children else drawn.choice(children)
            shots.append("parent" if victim == process.pid else "worker")
            at = shards(folder)
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            if victim != process.pid:  # the run goes on without it; then it is stopped as well
                pause(process, 10.0)
                process.kill()
            process.wait()
        lost.append(at - before)
    with begun(options, library, folder, "--resume") as process:
        process.wait()
    return {"kills": shots, "shards_between_kills": lost, "returncode": process.returncode}


def pause(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait, but not for a process that has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)


def main() -> None:
    """Write the library, run, kill."""
    made = parser(__doc__)
    made.add_argument("model", type=Path)
    made.add_argument("--lines", type=int, default=1_000_000)
    made.add_argument("--runs", type=Path, required=True, help="folder for the library and the runs")
    made.add_argument("--kills", type=int, default=0)
    made.add_argument("--top", type=int, default=10_000)
    made.add_argument("--jobs", type=int, default=2)
    options = made.parse_args()
    say = Lines(options)
    options.runs.mkdir(parents=True, exist_ok=True)
    library = options.runs / f"library-{options.lines}.csv"
    if not library.exists():
        write(library, options.lines)
    about = {"benchmark": "screening", "lines": options.lines, "top": options.top, "jobs": options.jobs, "shard_bytes": SHARD}
    found = whole(options, library, options.runs / "whole")
    say(about | found | {"lines_per_second": round(options.lines / found["seconds"])})
    if options.kills:
        again = killed(options, library, options.runs / "killed", found["seconds"])
        same = [(options.runs / name / "top.csv").read_bytes() for name in ("whole", "killed")]
        say(about | again | {"equal_bytes": same[0] == same[1]})


if __name__ == "__main__":
    main()
