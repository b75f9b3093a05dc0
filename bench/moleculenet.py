"""Test error of one architecture with its defaults on fixed splits of four MoleculeNet sets.

    python bench/moleculenet.py [--sets delaney freesolv lipophilicity bbbp] [--arch dmpnn] [--arch-args '{"scale": 0.01}']
                                [--ensemble-size 1] [--seed 0] -o FILE.jsonl

Needs the tables and their splits (columns random_0 .. random_4, scaffold) in $HELIOGRAPH_DATA or ../shared/data; says so where
they are absent. One training a split through `heliograph.train`, nothing tuned, the test part touched once; a JSON line each, and
the mean over the random splits at the end. A file that has some of the lines already is gone on with.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import statistics
import tempfile
from datetime import date
from pathlib import Path

import torch

from heliograph.train import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, run

SETS = {  # column, metric, random splits that the peers were run on
    "delaney": ("measured log solubility in mols per litre", "rmse", 5),
    "freesolv": ("expt", "rmse", 5),
    "lipophilicity": ("exp", "rmse", 3),
    "bbbp": ("p_np", "roc_auc", 3),
}


def folder() -> Path:
    found = Path(os.environ.get("HELIOGRAPH_DATA", Path(__file__).parents[2] / "shared" / "data")) / "moleculenet"
    if not found.is_dir():
        raise SystemExit(
            f"{found} is absent: set HELIOGRAPH_DATA to the folder with moleculenet/ and moleculenet/splits/. Nothing was run."
        )
    return found


def table(name: str, target: str, split: str, to: Path) -> Path:
    """SMILES, target and one split as a table of their own."""
    with gzip.open(folder() / f"{name}.csv.gz", "rt") as data, open(folder() / "splits" / f"{name}.csv") as splits, open(to, "w") as out:
        writer = csv.writer(out)
        writer.writerow(["smiles", target, split])
        for row, part in zip(csv.DictReader(data), csv.DictReader(splits), strict=True):
            assert row["smiles"] == part["smiles"], "the splits are of another table"
            writer.writerow([row["smiles"], row[target], part[split]])
    return to


def train(name: str, split: str, options: argparse.Namespace) -> dict[str, object]:
    target, metric, _ = SETS[name]
    with tempfile.TemporaryDirectory() as scratch:
        path = table(name, target, split, Path(scratch) / f"{name}.csv")
        result = run(TrainConfig(
            data=DataConfig(data_path=path, target_columns=(target,)), split=SplitConfig(splits_column=split),
            model=ModelConfig(arch=options.arch, arch_args=options.arch_args, ensemble_size=options.ensemble_size),
            fit=FitConfig(seed=options.seed, accelerator="cpu", baselines=False), output_dir=Path(scratch) / "run"))  # fmt: skip
    cost = result.cost
    return {"set": name, "split": split, "arch": options.arch, "arch_args": options.arch_args, "ensemble_size": options.ensemble_size,
            "seed": options.seed, "metric": metric,
            "test": round(result.metrics["test"]["mean"][metric], 4), "val": round(result.metrics["val"]["mean"][metric], 4),
            "rows_left_out": {k: v for k, v in result.data.reasons.items()}, "epochs": cost.epochs, "seconds": round(cost.seconds_train, 1),
            "molecules_per_second": round(cost.molecules_per_second, 1), "threads": cost.threads, "torch": torch.__version__,
            "date": date.today().isoformat()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--arch", default="dmpnn")
    parser.add_argument("--arch-args", type=json.loads, default={}, help="as JSON")
    parser.add_argument("--ensemble-size", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches; the splits are given")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    lines = [{"arch_args": {}, "seed": 0} | line for line in lines]  # files written before these could be chosen
    for name in options.sets:
        own = {"set": name} | {k: getattr(options, k) for k in ("arch", "arch_args", "ensemble_size", "seed")}
        for split in [*(f"random_{k}" for k in range(SETS[name][2])), "scaffold"]:
            if any(line.items() >= (own | {"split": split}).items() for line in lines):
                continue
            lines.append(train(name, split, options))
            options.output.parent.mkdir(parents=True, exist_ok=True)
            with open(options.output, "a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
        mine = [line for line in lines if line.items() >= own.items()]
        random = [line["test"] for line in mine if line["split"] != "scaffold"]
        print(f"{name}: mean {statistics.mean(random):.3f} of {[round(x, 3) for x in random]}; "
              f"scaffold {[line['test'] for line in mine if line['split'] == 'scaffold']}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
