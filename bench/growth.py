"""Time and memory against size: one GCN layer from 1e4 to 1e7 edges, prediction from 1,000 to 100,000 molecules.

    python bench/growth.py [--edges 1e4 1e5 1e6 1e7] [--molecules 1000 10000 100000] [-o FILE.jsonl]

Each size in a process of its own. The layer is that of `gcn_layer.py` (d = 128, 14 edges a node, forward and backward);
"microseconds_above_largest" is a call's time less what its edges cost at the largest size. Prediction is `Predictor.predict_store` of
untrained `schnet` and `dmpnn` at their defaults over a store of random molecules, all different; its memory includes store and answers.
"""

from __future__ import annotations

import statistics

import gcn_layer
import inputs
import numpy as np
from common import Lines, parser, spread, timed
from worker import Contestant, Failed, Worker

EDGES_PER_NODE = 14


def predicting(arch: str, molecules: int) -> Contestant:
    predictor = inputs.untrained(arch, geometry=arch == "schnet")
    store = inputs.molecules(predictor.featurizer, molecules)
    return Contestant(timed(lambda: predictor.predict_store(store)), lambda: [np.array(store.node_offsets[-1])])


def measure(worker: Worker, steps: int, warm_up: int) -> tuple[list[float], float | None]:
    """Seconds of each step after `warm_up` others, and the peak above idle in MB."""
    for _ in range(warm_up):
        worker.ask("step")
    return [worker.ask("step") for _ in range(steps)], worker.ask("peak")


def edges(sizes: list[int], steps: int, lines: Lines) -> None:
    at_largest = None
    for E in sorted(sizes, reverse=True):
        about = {"benchmark": "growth, one GCN layer, forward and backward, d = 128", "edges": E}
        try:
            with Worker(gcn_layer.ours, {"nodes": max(E // EDGES_PER_NODE, 2), "edges": E, "d": 128}, gcn_layer.TINY) as worker:
                seconds, peak = measure(worker, steps if E > 200_000 else 10 * steps, 2)
        except Failed as error:
            lines(about | {"failed": str(error)})
            continue
        each = statistics.median(seconds) / E
        at_largest = at_largest or each
        lines(about | {
            "nanoseconds_per_edge_min_median_max": spread([1e9 * s / E for s in seconds]),
            "ratio_to_largest": round(each / at_largest, 3), "microseconds_above_largest": round(1e6 * E * (each - at_largest), 1),
            "peak_mb": peak, "bytes_per_edge": None if peak is None else round(peak * 2**20 / E)})  # fmt: skip


def molecules(arch: str, sizes: list[int], steps: int, lines: Lines) -> None:
    smallest = None
    for count in sorted(sizes):
        about = {"benchmark": f"growth, prediction, {arch} at its defaults", "molecules": count}
        try:
            with Worker(predicting, {"arch": arch, "molecules": count}, {"molecules": 8}) as worker:
                seconds, peak = measure(worker, max(1, min(steps, steps * 10_000 // count)), 1 if count <= 10_000 else 0)
        except Failed as error:
            lines(about | {"failed": str(error)})
            continue
        each = statistics.median(seconds) / count
        smallest = smallest or each
        lines(about | {
            "microseconds_per_molecule_min_median_max": spread([1e6 * s / count for s in seconds]),
            "ratio_to_smallest": round(each / smallest, 3), "peak_mb": peak,
            "bytes_per_molecule": None if peak is None else round(peak * 2**20 / count)})  # fmt: skip


def main() -> None:
    made = parser(__doc__, steps=5)
    made.add_argument("--edges", type=float, nargs="*", default=[1e4, 1e5, 1e6, 1e7])
    made.add_argument("--molecules", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    made.add_argument("--arch", nargs="*", default=["dmpnn", "schnet"], choices=["dmpnn", "schnet"])
    options = made.parse_args()
    lines = Lines(options)
    edges([int(E) for E in options.edges], options.steps, lines)
    for arch in options.arch:
        molecules(arch, options.molecules, options.steps, lines)


if __name__ == "__main__":
    main()
