"""Accuracy and cost of every architecture of the zoo on one split of ESOL and of QM9, at one budget of time each.

    OMP_NUM_THREADS=1 python bench/zoo_table.py [--sets esol gap u0] [--archs gcn gin ...] [--budget 5m] -o FILE.jsonl

Needs moleculenet/ and qm9/qm9.npz in $HELIOGRAPH_DATA or ../shared/data. ESOL: random_0 of its splits. QM9: 11,000 molecules to train,
1,000 to validate, 10,000 to test (a random split, seed 0); networks of bonds get bonds that are found from the geometry. One training
each with the defaults of the architecture and of `heliograph train` (QM9: the mean absolute error as loss), seed 0, nothing tuned, test
touched once. `--budget` counts training alone; a probe turns it into epochs, so nothing else should run meanwhile. A JSON line each; a
file that has some of the lines already is gone on with. `--table` prints what a file holds as a table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import moleculenet
import numpy as np
import qm9
import torch

from heliograph import zoo
from heliograph.train import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, run

SETS = {"esol": ("measured log solubility in mols per litre", "", "rmse"), "gap": ("gap", "eV", "mae"), "u0": ("u0_atom", "eV", "mae")}
HEADS = {"esol": "ESOL, RMSE in log mol/L", "gap": "gap, MAE in meV", "u0": "U0, MAE in meV"}
TEST = 10_000


def config(name: str, arch: str, budget: str, scratch: Path) -> TrainConfig:
    target, unit, _ = SETS[name]
    if name == "esol":
        path, column = moleculenet.table("delaney", target, "random_0", scratch / "esol.csv"), "random_0"
        fit = FitConfig(budget=budget, accelerator="cpu", baselines=False)
    else:
        path, column = qm9.write_table(scratch / f"{name}.extxyz", target, test=TEST), "split"
        fit = FitConfig(budget=budget, accelerator="cpu", baselines=False, loss="mae", metrics=("mae", "rmse"))
    units = {"units": (unit,)} if unit else {}
    return TrainConfig(
        data=DataConfig(data_path=path, target_columns=(target,), **units),
        split=SplitConfig(splits_column=column),
        model=ModelConfig(arch=arch),
        fit=fit,
        output_dir=scratch / "run",
    )


def train(name: str, arch: str, budget: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as scratch:
        result = run(config(name, arch, budget, Path(scratch)))
    cost, metric = result.cost, SETS[name][2]
    molecules = sum(len(result.rows[part]) for part in ("val", "test"))
    return {
        "set": name,
        "arch": arch,
        "budget": budget,
        "metric": metric,
        "test": round(result.metrics["test"]["mean"][metric], 4),
        "val": round(result.metrics["val"]["mean"][metric], 4),
        "epochs": cost.epochs,
        "seconds": round(cost.seconds_train, 1),
        "parameters": cost.parameters,
        "train_molecules_per_second": round(cost.molecules_per_second, 1),
        "predict_molecules_per_second": round(molecules / cost.seconds_predict, 1),
        "peak_memory_mb": round(cost.peak_memory_mb),
        "threads": cost.threads,
        "left_out": result.data.reasons,
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Rows by error on the first set that is there."""
    found = {(line["set"], line["arch"]): line for line in lines}
    sets = [name for name in SETS if any(s == name for s, _ in found)]
    archs = sorted({arch for _, arch in found}, key=lambda a: [found.get((s, a), {}).get("test", np.inf) for s in sets])
    rows = ["| architecture | parameters |" + "".join(f" {HEADS[s]} | epochs (s) | molecules/s |" for s in sets)]
    rows.append("|---|---|" + "---|---|---|" * len(sets))
    for arch in archs:
        cells = [cell for s in sets for cell in _cells(found.get((s, arch)), 1 if s == "esol" else 1000)]
        parameters = next(line["parameters"] for (_, a), line in found.items() if a == arch)
        rows.append(f"| `{arch}` | {parameters:,} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _cells(line: dict[str, Any] | None, factor: int) -> tuple[str, str, str]:
    """Error, epochs and seconds of the training, molecules a second in training and in prediction."""
    if line is None:
        return "", "", ""
    rates = " / ".join(f"{line[k]:,.0f}" for k in ("train_molecules_per_second", "predict_molecules_per_second"))
    return f"{factor * line['test']:.3g}", f"{line['epochs']} ({line['seconds']:.0f})", rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--archs", nargs="+", default=zoo.names())
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    if options.table:
        print(table(lines))
        return
    for name in options.sets:
        for arch in options.archs:
            if name == "esol" and zoo.load(arch).GEOMETRY == "required":
                continue  # it would be a comparison of conformer generators
            if any((line["set"], line["arch"], line["budget"]) == (name, arch, options.budget) for line in lines):
                continue
            lines.append(train(name, arch, options.budget))
            print(json.dumps(lines[-1]), flush=True)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            with open(options.output, "a") as file:
                file.write(json.dumps(lines[-1]) + "\n")


if __name__ == "__main__":
    main()
