"""Training on a graph of a million nodes: resident memory, from files to answers.

    python bench/million.py [--nodes 1000000] [--edges 5000000] [--width 128] [--train 50000] [-o FILE.jsonl]

Senders follow a power law (density ~ rank^-2/3), receivers are uniform. Features lie in an array file (float16) that is mapped; classes are
those of a random linear map of them. One epoch of `sage` with fan-outs 10 5 on `--train` nodes, then exact answers. The tables are written
by another process, so that the peak is that of the training alone.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import Lines, parser

from heliograph.learn.progress import Lines as Progress
from heliograph.onegraph import GraphTrainConfig, run


def write(folder: str, n: int, m: int, width: int, train: int) -> None:
    """`nodes.parquet`, `edges.parquet` and `x.npy`."""
    rng, x = np.random.default_rng(0), np.lib.format.open_memmap(f"{folder}/x.npy", "w+", np.float16, (n, width))
    W, y = rng.normal(size=(width, 8)), np.zeros(n, np.int64)
    for start in range(0, n, 100_000):
        block = rng.normal(size=(min(100_000, n - start), width))
        x[start : start + len(block)], y[start : start + len(block)] = block, (block @ W).argmax(1)
    x.flush()
    part = np.array(["train"] * train + ["val"] * (train // 10) + ["test"] * (train // 10) + [""] * (n - train - 2 * (train // 10)))
    names = pa.array(np.arange(n)).cast(pa.string())
    nodes = {"id": names, "y": pa.array([f"c{k}" for k in y]), "part": part[rng.permutation(n)]}
    pq.write_table(pa.table(nodes), f"{folder}/nodes.parquet")
    a, b = (rng.random(m) ** 3 * n).astype(np.int64), rng.integers(0, n, m)
    ends = {name: pa.array(ids).cast(pa.string()) for name, ids in (("source", a), ("target", b))}
    pq.write_table(pa.table(ends), f"{folder}/edges.parquet")


def main() -> None:
    options = parser(__doc__)
    for name, value in (("nodes", 1_000_000), ("edges", 5_000_000), ("width", 128), ("train", 50_000)):
        options.add_argument(f"--{name}", type=int, default=value)
    given = options.parse_args()
    line = Lines(given)
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("spawn").Process(
            target=write, args=(folder, given.nodes, given.edges, given.width, given.train)
        )
        process.start()
        process.join()
        path = Path(folder)
        config = GraphTrainConfig.model_validate({
            "data": {"data_path": path / "nodes.parquet", "edges": path / "edges.parquet", "features": path / "x.npy",
                     "target_columns": ["y"], "splits_column": "part"},
            "model": {"arch": "sage", "arch_args": {"d": 64}, "num_neighbors": [10, 5]},
            "fit": {"epochs": 1, "baselines": False}, "output_dir": path / "run",
        })  # fmt: skip
        result = run(config, progress=Progress(lambda text: None))
        line({
            "nodes": given.nodes, "edges": given.edges, "width": given.width, "train": given.train,
            "test_accuracy": round(result.metrics["test"]["mean"]["accuracy"], 3), "peak_gb": round(result.peak_memory_mb / 1000, 2),
            "seconds": {k: round(v, 1) for k, v in result.seconds.items()},
        })  # fmt: skip


if __name__ == "__main__":
    main()
