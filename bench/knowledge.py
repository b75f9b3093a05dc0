"""Filtered ranks on knowledge graphs, with the settings given: one JSON line a run.

    python bench/knowledge.py codex_s --decoder complex --node-vectors 400 --cubes 0.01 --max-lr 0.003 --epochs 60 [-o FILE.jsonl]

Needs kg/SET.npz in $HELIOGRAPH_DATA or ../shared/data (umls, codex_s, codex_m, fb15k237, wn18rr). The sets' own parts; the validation MRR
chooses the epoch; both directions, other known answers left out, ties by their average. Published (filtered test MRR): CoDEx-S TransE
.354, ComplEx .465 (Safavi & Koutra 2020); FB15k-237 DistMult .241, ComplEx .348 (tuned), CompGCN .355.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import DATA, Lines, parser

from heliograph.learn.progress import Lines as Progress
from heliograph.onegraph import GraphTrainConfig, run

PARTS = {"train": "train", "valid": "val", "test": "test"}


def table(name: str) -> pa.Table:
    """The set as a table of triples with a splits column."""
    z = np.load(DATA / "kg" / f"{name}.npz", allow_pickle=False)
    entities, relations = (pa.array(bytes(z[k]).decode().split("\n")) for k in ("entities", "relations"))
    triples = np.concatenate([z[part] for part in PARTS])
    split = np.repeat(list(PARTS.values()), [len(z[part]) for part in PARTS])
    return pa.table({
        "head": entities.take(pa.array(triples[:, 0])), "relation": relations.take(pa.array(triples[:, 1])),
        "tail": entities.take(pa.array(triples[:, 2])), "split": split,
    })  # fmt: skip


def main() -> None:
    options = parser(__doc__)
    options.add_argument("set")
    options.add_argument("--arch", default="none")
    options.add_argument("--decoder", default="complex")
    options.add_argument("--node-vectors", type=int, default=200)
    options.add_argument("--cubes", type=float, default=0.0)
    options.add_argument("--decoder-dropout", type=float, default=0.0)
    options.add_argument("--max-lr", type=float, default=0.003)
    options.add_argument("--batch-size", type=int, default=512)
    options.add_argument("--epochs", type=int, default=60)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--baselines", action=argparse.BooleanOptionalAction, default=True)
    asked = options.parse_args()
    line = Lines(asked)
    model = {k: getattr(asked, k) for k in ("arch", "decoder", "node_vectors", "cubes", "decoder_dropout")}
    fit = {k: getattr(asked, k) for k in ("max_lr", "batch_size", "epochs", "seed", "baselines")} | {"init_lr": asked.max_lr}
    with tempfile.TemporaryDirectory() as folder:
        config = GraphTrainConfig.model_validate({
            "data": {"level": "link", "relation_column": "relation", "splits_column": "split"},
            "model": model, "fit": fit, "output_dir": Path(folder) / "run",
        })  # fmt: skip
        started = time.perf_counter()
        result = run(config, tables=(None, table(asked.set)), progress=Progress(lambda text: print(text, flush=True)))
    line({
        "set": asked.set, "model": model, "fit": fit, "best_epoch": result.best_epochs[0] + 1,
        "test": {k: round(v, 4) for k, v in result.metrics["test"]["mean"].items()},
        "val": {k: round(v, 4) for k, v in result.metrics["val"]["mean"].items()},
        "baselines": {k: round(b.metrics["test"]["mean"]["mrr"], 4) for k, b in result.baselines.items()},
        "seconds": round(time.perf_counter() - started), "parameters": result.parameters,
    })  # fmt: skip


if __name__ == "__main__":
    main()
