"""Diagnosis of one large graph: seconds of processor time and by the clock of each stage, and peak memory.

    python bench/diagnose.py [--nodes 1000000] [--edges 20000000] [-o FILE.jsonl]

A power law graph with a fixed seed, its edges as arrays in memory: receivers are uniform, a sender is N u^2.5 with u uniform. Stages are
those of the progress that `heliograph diagnose` shows. Memory is the most that the process held, with the edges (16 bytes each).
"""

from __future__ import annotations

import resource
import time

import numpy as np
from common import Lines, parser

from heliograph.diagnose.page import of_edges


def power_law(nodes: int, edges: int) -> tuple[np.ndarray, np.ndarray]:
    """Senders and receivers [E]."""
    rng = np.random.default_rng(0)
    return (nodes * rng.random(edges) ** 2.5).astype(np.int64), rng.integers(0, nodes, edges)


class Stages:
    """Called as progress: notes when each stage begins."""

    def __init__(self) -> None:
        self.begun: dict[str, tuple[float, float]] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.begun.setdefault(stage, (time.process_time(), time.perf_counter()))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--nodes", type=int, default=1_000_000)
    options.add_argument("--edges", type=int, default=20_000_000)
    args = options.parse_args()
    lines, stages = Lines(args), Stages()
    senders, receivers = power_law(args.nodes, args.edges)
    start = time.process_time(), time.perf_counter()
    page = of_edges(senders, receivers, args.nodes, progress=stages)
    end = time.process_time(), time.perf_counter()
    times = [*stages.begun.values(), end]
    for k, stage in enumerate(stages.begun):
        cpu, clock = (round(b - a, 1) for a, b in zip(times[k], times[k + 1], strict=True))
        lines({"stage": stage, "cpu_s": cpu, "clock_s": clock})
    cpu, clock = (round(b - a, 1) for a, b in zip(start, end, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found = {"nodes": args.nodes, "edges": args.edges, "cpu_s": cpu, "clock_s": clock, "peak_mb": peak, "found": list(page.names)}
    lines(found | {"facts": list(page.facts)})


if __name__ == "__main__":
    main()
