"""Building and sampling a graph of a million nodes: seconds, edges a second, bytes an edge.

    python bench/sampling.py [--nodes 1000000] [--edges 20000000] [--fan-outs 15 10 5] [--batch 1024] [-o FILE.jsonl]

Senders follow a power law (density ~ rank^-2/3), receivers are uniform; edges are undirected. Sampling is without replacement, with
relabelling; a batch's features (128 numbers a node) are gathered apart.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from common import Lines, parser, spread

from heliograph.data.graph_store import GraphStore
from heliograph.sampling import Neighbors


def main() -> None:
    options = parser(__doc__, steps=20)
    options.add_argument("--nodes", type=int, default=1_000_000)
    options.add_argument("--edges", type=int, default=20_000_000)
    options.add_argument("--fan-outs", type=int, nargs="+", default=[15, 10, 5])
    options.add_argument("--batch", type=int, default=1024)
    asked = options.parse_args()
    line, random = Lines(asked), np.random.default_rng(0)
    ends = np.stack([
        (random.random(asked.edges) ** 3 * asked.nodes).astype(np.int32), random.integers(0, asked.nodes, asked.edges, dtype=np.int32)
    ], axis=1)  # fmt: skip
    started = time.perf_counter()
    store = GraphStore.build(ends, asked.nodes)
    built = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        store.save(folder)
        size = sum(f.stat().st_size for f in Path(folder).iterdir())
    draw, x = Neighbors(asked.fan_outs), np.zeros((asked.nodes, 128), np.float32)
    draw.draw(store, np.arange(10), 0)  # compiles
    rates, gathers, nodes, edges = [], [], [], []
    for key in range(asked.steps):
        seeds = random.choice(asked.nodes, asked.batch, replace=False)
        started = time.perf_counter()
        sample = draw.draw(store, seeds, key)
        drawn = time.perf_counter()
        x[sample.nodes]
        gathers.append(time.perf_counter() - drawn)
        rates.append(len(sample.edges) / (drawn - started) / 1e6)
        nodes.append(len(sample.nodes))
        edges.append(len(sample.edges))
    line({
        "nodes": asked.nodes, "edges": asked.edges, "max_degree": int(store.degree.max()), "build_s": round(built, 2),
        "bytes_an_edge": round(size / asked.edges, 2), "fan_outs": asked.fan_outs, "batch": asked.batch,
        "million_edges_per_s": spread(rates), "gather_s": spread(gathers, 4), "nodes_a_batch": round(float(np.mean(nodes))),
        "edges_a_batch": round(float(np.mean(edges))), "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    })  # fmt: skip


if __name__ == "__main__":
    main()
