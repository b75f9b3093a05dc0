"""Python's share of a step: what is left of it when the calls to PyTorch and the kernels are taken away, recorded and not.

    python bench/between.py [--only gat schnet ...] [--molecules 2 16] [-o FILE.jsonl]

A step is forward and backward, as in `small_batches.py`, on one batch. The calls are those of the replay, each timed by itself; the same
calls run when nothing is recorded, bit for bit, so their seconds are taken from both. Seconds are those of the process on the CPU, the
smallest of `--steps` rounds of ten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from common import Lines, parser
from small_batches import ROWS, case

from heliograph import recording
from heliograph.graph import Graph
from heliograph.model import MPNN
from heliograph.recording.chain import Link

ROUND = 10


def step_of(net: MPNN, graph: Graph, recorded: bool) -> Callable[[], None]:
    def step() -> None:
        with recording.use(recorded):
            recording.play(net, graph)["y"].square().mean().backward()

    return step


def seconds(step: Callable[[], None], rounds: int) -> float:
    """The fewest that one step took."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(ROUND):
            step()
        found.append((time.process_time() - start) / ROUND)
    return min(found)


def timed(links: Iterable[Link], spent: list[float]) -> list[Link]:
    """Links that add the seconds of their calls to `spent`."""

    def of(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            start = time.perf_counter()
            result = function(*args)
            spent[0] += time.perf_counter() - start
            return result

        return call

    return [(of(function), own, to, last) for function, own, to, last in links]


def kernels(net: MPNN, step: Callable[[], None], rounds: int) -> tuple[float, int]:
    """Seconds that the calls of a replayed step take, the fewest of all rounds, and how many calls there are."""
    chains = [kind.chain for kind in recording.known(net).kinds.values() if kind.chain is not None]
    if len(chains) != 1:
        raise SystemExit("the step is not replayed")
    (chain,), spent, found = chains, [0.0], []
    forward, backward = chain.forward, chain.backward
    chain.forward, chain.backward = timed(forward, spent), timed(backward, spent)
    for _ in range(rounds):
        spent[0] = 0.0
        for _ in range(ROUND):
            step()
        found.append(spent[0] / ROUND)
    chain.forward, chain.backward = forward, backward
    return min(found), len(forward) + len(backward)


def main() -> None:
    made = parser(__doc__, steps=15)
    made.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="NAME")
    made.add_argument("--molecules", type=int, nargs="+", default=[2, 16], help="a batch (2 16)")
    made.set_defaults(threads=1)
    options = made.parse_args()
    lines = Lines(options)
    for name in options.only:
        for molecules in options.molecules:
            net, batches = case(name, molecules)
            graphs = [make() for make in batches] * 8
            for graph in graphs[:16]:  # recorded on batches of several sizes
                step_of(net.train(), graph, recorded=True)()
            replayed, plain = (step_of(net, graphs[0], on) for on in (True, False))
            each = {"recorded": seconds(replayed, options.steps), "unrecorded": seconds(plain, options.steps)}
            calls, count = kernels(net, replayed, options.steps)
            between = {way: round(s - calls, 6) for way, s in each.items()}
            lines({"benchmark": f"Python between calls, {name}", "molecules": molecules, "calls": count, "seconds": each,
                   "seconds_in_calls": calls, "seconds_between": between,
                   "left": round(between["recorded"] / between["unrecorded"], 3)})  # fmt: skip


if __name__ == "__main__":
    main()
