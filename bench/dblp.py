"""Areas of DBLP's authors: a graph of four types (authors, papers, terms, conferences), micro-F1 (accuracy) of 3,257 authors.

    python bench/dblp.py [--archs rgcn compgcn] [--splits 5] [--epochs 60] [-o FILE.jsonl]

Needs hetero/dblp.npz in $HELIOGRAPH_DATA or ../shared/data; says so where it is absent. 400 authors train, 400 validate, 3,257 test, drawn
anew with each seed (none comes with the data). An author's features are the terms of his papers (those on 20 to 2,000 papers), logarithmic
counts by tf-idf, of length one; other nodes have none and get a learned vector each. The settings are fixed, nothing is tuned.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import DATA, Lines, parser

from heliograph.data.formats.schema import EdgeType, NodeType, Schema
from heliograph.learn.progress import Lines as Progress
from heliograph.onegraph import GraphTrainConfig, run

ARGS = {"rgcn": {"d": 64, "depth": 4, "dropout": 0.5}, "compgcn": {"d": 64, "depth": 2, "dropout": 0.5}, "gcn": {"d": 64, "depth": 4}}


def words(data: dict[str, np.ndarray]) -> pa.Array:
    """Each author's terms as a list of numbers."""
    from scipy.sparse import csr_array

    P, A, T = (int(data[f"n_{name}"]) for name in ("paper", "author", "term"))
    by_author, by_term = (
        csr_array((np.ones(len(pairs)), pairs.T), (P, n)) for pairs, n in ((data["paper_author"], A), (data["paper_term"], T))
    )
    papers = np.asarray(by_term.sum(0)).ravel()
    chosen = np.flatnonzero((papers >= 20) & (papers <= 2000))
    x = np.log1p((by_author.T @ by_term).toarray()[:, chosen]) * np.log(P / papers[chosen])
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return pa.FixedSizeListArray.from_arrays(pa.array(x.astype(np.float32).ravel()), x.shape[1])


def schema(seed: int) -> Schema:
    """The four types as tables, and a split."""
    with np.load(DATA / "hetero" / "dblp.npz") as file:
        data = {k: file[k] for k in file.files}
    text = lambda x: pa.array(x).cast(pa.string())  # noqa: E731
    parts = np.repeat(["train", "val", "test"], [400, 400, 3257])[np.random.default_rng(seed).permutation(4057)]
    areas = [f"area {k}" for k in data["author_label"]]
    authors = pa.table({"id": text(np.arange(4057)), "area": areas, "part": parts, "terms": words(data)})
    pairs = {name: data[f"paper_{name}"] for name in ("author", "term", "conf")}
    edges = {
        f"has {name}": EdgeType(pa.table({"source": text(p[:, 0]), "target": text(p[:, 1])}), "paper", name) for name, p in pairs.items()
    }
    return Schema({"author": NodeType(authors)} | {name: NodeType() for name in ("paper", "term", "conf")}, edges, "DBLP")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--archs", nargs="+", default=["rgcn"], choices=list(ARGS))
    options.add_argument("--splits", type=int, default=5)
    options.add_argument("--epochs", type=int, default=60)
    given = options.parse_args()
    if not (DATA / "hetero" / "dblp.npz").is_file():
        raise SystemExit(f"{DATA / 'hetero' / 'dblp.npz'} is absent: set HELIOGRAPH_DATA. Nothing was run.")
    line = Lines(given)
    for arch in given.archs:
        tests = []
        for seed in range(given.splits):
            with tempfile.TemporaryDirectory() as folder:
                config = GraphTrainConfig.model_validate({
                    "data": {"target_columns": ["author.area"], "splits_column": "part"},
                    "model": {"arch": arch, "arch_args": ARGS[arch], "node_vectors": 64},
                    "fit": {"epochs": given.epochs, "seed": seed, "baselines": seed == 0, "metrics": ["accuracy", "f1"]},
                    "output_dir": Path(folder) / "run",
                })  # fmt: skip
                result = run(config, tables=(schema(seed), None), progress=Progress(lambda text: None))
            tests.append(100 * result.metrics["test"]["mean"]["accuracy"])
            line({
                "arch": arch, "split": seed, "val": round(100 * result.metrics["val"]["mean"]["accuracy"], 2), "test": round(tests[-1], 2),
                "macro_f1": round(100 * result.metrics["test"]["mean"]["f1"], 2), "best_epoch": result.best_epochs[0] + 1,
                "baselines": {k: round(100 * b.metrics["test"]["mean"]["accuracy"], 2) for k, b in result.baselines.items()},
            })  # fmt: skip
        line({"arch": arch, "splits": given.splits, "test_mean": round(statistics.mean(tests), 2),
              "test_std": round(statistics.stdev(tests), 2) if len(tests) > 1 else None})  # fmt: skip


if __name__ == "__main__":
    main()
