"""Average precision on peptides-func (LRGB; Dwivedi et al. 2022, arXiv:2206.08164), official split, with a composition of parts.

    python bench/peptides.py [--budget 2h] [--arch-args JSON] [--fit JSON] [--run FOLDER] [--resume] [-o FILE.jsonl]

Needs peptides_func/ in $HELIOGRAPH_DATA or ../shared/data (15,535 peptides, ten labels each); says so where it is absent. The network is
bench/peptides.toml: GCN with residuals and random-walk encodings and a head of three layers, as in Toenshoff et al. 2024
(arXiv:2309.00367), who report .6860 (GCN) at 500,000 parameters and 250 epochs; LRGB's own untuned GCN has .5930. The features of atoms
and bonds are ours. One training, seed 0, nothing tuned here; the best epoch by validation average precision, test touched once. The
learning curve stays in the run folder.
"""

from __future__ import annotations

import ast
import csv
import gzip
import json
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import DATA, parser

from heliograph.files import atomic
from heliograph.train import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, run

LABELS = tuple(f"label_{k}" for k in range(10))


def write_table(path: Path) -> None:
    """SMILES, ten labels and the official part of each peptide."""
    source = DATA / "peptides_func"
    if not source.is_dir():
        raise SystemExit(f"{source} is absent: set HELIOGRAPH_DATA to the folder with peptides_func/. Nothing was run.")
    with np.load(source / "splits_random_stratified_peptide.npz") as file:
        part = {int(row): name for name in ("train", "val", "test") for row in file[name]}
    with gzip.open(source / "peptide_multi_class_dataset.csv.gz", "rt") as data, atomic(path) as whole, open(whole, "w") as out:
        writer = csv.writer(out)
        writer.writerow(["smiles", *LABELS, "split"])
        for row, record in enumerate(csv.DictReader(data)):
            writer.writerow([record["smiles"], *ast.literal_eval(record["labels"]), part[row]])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--budget", default="2h")
    options.add_argument("--fit", type=json.loads, default={}, help="settings of the training, as JSON")
    options.add_argument("--arch-args", type=json.loads, default={}, help="arguments of the network, as JSON")
    options.add_argument("--run", type=Path, default=Path("run-peptides"))
    options.add_argument("--resume", action="store_true")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    table = given.run.with_name(f"{given.run.name}.csv")
    if not table.exists():
        write_table(table)
    settings = {"budget": given.budget, "accelerator": "cpu", "baselines": False, "metrics": ("pr_auc", "roc_auc"), "batch_size": 64}
    config = TrainConfig(
        data=DataConfig(data_path=table, target_columns=LABELS, task_type="binary"),
        split=SplitConfig(splits_column="split"),
        model=ModelConfig(arch=str(Path(__file__).with_name("peptides.toml")), arch_args=given.arch_args),
        fit=FitConfig(**settings | given.fit),
        output_dir=given.run,
    )
    result = run(config, resume=given.resume)
    line = {"set": "peptides-func", "arch": "peptides.toml", "parameters": result.cost.parameters, "budget": given.budget,
            "fit": given.fit, "arch_args": given.arch_args,
            **{f"{part}_ap": round(result.metrics[part]["mean"]["pr_auc"], 4) for part in ("val", "test")},
            **{f"{part}_rows": len(result.rows[part]) for part in ("train", "val", "test")}, "left_out": result.data.reasons,
            "epochs": result.cost.epochs, "best_epoch": result.best_epochs[0], "seconds": round(result.cost.seconds_train),
            "threads": result.cost.threads, "torch": torch.__version__, "date": date.today().isoformat()}  # fmt: skip
    print(json.dumps(line))
    if given.output is not None:
        with open(given.output, "a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
