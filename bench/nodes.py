"""Labels of nodes as `heliograph train nodes.csv --edges edges.csv` learns them, on public splits: one JSON line a split, resumable.

    python bench/nodes.py cora [--arch gcn] [--args depth=2] [--epochs 200] [--seeds 10] [-o FILE.jsonl]
    python bench/nodes.py minesweeper --arch bench/residual.toml --args depth=8 --splits 0 1 2

Needs planetoid/SET.npz (cora, citeseer: the public split, one line a seed) or heterophilous/SET.npz (minesweeper, tolokers,
chameleon_filtered, squirrel_filtered: ten splits) in $HELIOGRAPH_DATA or ../shared/data. Validation chooses the epoch; test is read once.

Published: gcn 81.5 / 70.3 on Cora / CiteSeer (Kipf & Welling 2017); best GNN of Platonov et al. 2023: 93.9 (minesweeper), 83.8 (tolokers),
ROC-AUC; GCN tuned with residuals and norms (Luo et al. 2024): 46.3 / 45.0 (chameleon / squirrel, filtered).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import DATA, Lines, parser

from heliograph.learn.progress import Lines as Progress
from heliograph.onegraph import GraphTrainConfig, run

PLANETOID, GIVEN = ("cora", "citeseer"), ("minesweeper", "tolokers", "chameleon_filtered", "squirrel_filtered")


def tables(name: str, split: int) -> tuple[pa.Table, pa.Table]:
    """Nodes with features, a label and a part, and edges; a list of words is one column."""
    with np.load(DATA / ("planetoid" if name in PLANETOID else "heterophilous") / f"{name}.npz") as file:
        z = {k: file[k] for k in file.files}
    if name in PLANETOID:
        n, x = int(z["n_nodes"]), np.zeros(tuple(z["x_shape"]), np.float32)
        x[np.repeat(np.arange(n), np.diff(z["x_indptr"])), z["x_indices"]] = z["x_data"]
        label, masks = z["labels"], np.zeros((3, n), bool)
        k = int(z["n_train"])
        masks[0, :k], masks[1, k : k + 500], masks[2, z["test_index"]] = True, True, True
    else:
        x, label = z["node_features"], z["node_labels"]
        masks = np.stack([z[f"{part}_masks"][split] for part in ("train", "val", "test")])
    part = np.full(len(x), "", object)
    for name_, mask in zip(("train", "val", "test"), masks, strict=True):
        part[mask] = name_
    kind = [f"class {c}" for c in label] if label.max() > 1 else label.astype(np.int64)
    words = pa.FixedSizeListArray.from_arrays(pa.array(x.astype(np.float32).ravel()), x.shape[1])
    names = pa.array(np.arange(len(x))).cast(pa.string())
    nodes = pa.table({"id": names, "x": words, "label": pa.array(kind), "part": pa.array(list(part))})
    ends = {side: names.take(pa.array(z["edges"][:, k])) for k, side in enumerate(("source", "target"))}
    return nodes, pa.table(ends)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("set", choices=[*PLANETOID, *GIVEN])
    options.add_argument("--arch", default="gcn")
    options.add_argument("--args", nargs="*", default=[], help="of the architecture, name=number")
    options.add_argument("--epochs", type=int, default=200)
    options.add_argument("--patience", type=int)
    options.add_argument("--max-lr", type=float, default=0.01)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--splits", type=int, nargs="+", help="of the ten (all)")
    given = options.parse_args()
    line, main_metric = Lines(given), "roc_auc" if given.set in GIVEN[:2] else "accuracy"
    args = {k: float(v) if "." in v else int(v) for k, _, v in (a.partition("=") for a in given.args)}
    asked = {"set": given.set, "arch": given.arch, "args": args, "epochs": given.epochs, "max_lr": given.max_lr}
    tests = []
    for split in given.splits or (range(10) if given.set in GIVEN else [0]):
        for seed in range(given.seeds):
            this = asked | {"split": split, "seed": seed}
            if (old := [k for k in line.kept if k.items() >= this.items()]) and "test" in old[0]:
                tests.append(old[0]["test"])
                continue
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                rates = {"init_lr": given.max_lr, "max_lr": given.max_lr, "final_lr": given.max_lr / 10}
                config = GraphTrainConfig.model_validate({
                    "data": {"target_columns": ["label"], "splits_column": "part"},
                    "model": {"arch": given.arch, "arch_args": args},
                    "fit": {"epochs": given.epochs, "patience": given.patience, "seed": seed, "baselines": False,
                            "metrics": [main_metric], **rates},
                    "output_dir": Path(folder) / "run",
                })  # fmt: skip
                if given.set in PLANETOID:  # as the command does without --metrics: the validation loss chooses
                    config = config.model_copy(update={"fit": config.fit.model_copy(update={"metrics": ()})})
                result = run(config, tables=tables(given.set, split), progress=Progress(lambda text: None))
            figures = {part: round(100 * result.metrics[part]["mean"][main_metric], 2) for part in ("val", "test")}
            tests.append(figures["test"])
            line(this | figures | {"best_epoch": result.best_epochs[0] + 1, "seconds": round(time.perf_counter() - started)})
    line(asked | {"runs": len(tests), "test_mean": round(statistics.mean(tests), 2),
                  "test_std": round(statistics.stdev(tests), 2) if len(tests) > 1 else None})  # fmt: skip


if __name__ == "__main__":
    main()
