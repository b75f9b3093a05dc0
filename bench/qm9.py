"""Test error on QM9 with geometry at a small training set: 11,000 to train, 1,000 to validate, all others to test.

    python bench/qm9.py --arch schnet --target u0_atom --budget 1h -o FILE.jsonl
    python bench/qm9.py --arch schnet --arch-args '{"dipole": true}' --target mu -o FILE.jsonl

Needs qm9/qm9.npz in $HELIOGRAPH_DATA or ../shared/data (119,015 molecules: nearly all with fluorine and the 3,054 uncharacterized
ones are absent, so the figures are not those of the full set); says so where it is absent. One random split (seed 0), one target a
model, through `heliograph.train`; the learning curve stays in the run folder's metrics.csv. The line to beat at this size is
enn-s2s's: U0 53 meV, gap 152 meV, mu 0.128 D, alpha 0.276 bohr^3.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import date
from pathlib import Path

import numpy as np
import torch

from heliograph.data import sets
from heliograph.files import atomic
from heliograph.train import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, run

TRAIN, VAL = 11_000, 1_000
FIT = {"accelerator": "cpu", "baselines": False, "loss": "mae", "metrics": ("mae", "rmse"), "max_lr": 1e-3, "final_lr": 1e-5}


def write_table(path: Path, target: str, test: int | None = None) -> Path:
    """QM9 as extended XYZ, with the target and the split of each molecule; `test`: how many to test on (None: all others)."""
    from ase.data import chemical_symbols

    source = Path(os.environ.get("HELIOGRAPH_DATA", Path(__file__).parents[2] / "shared" / "data")) / "qm9" / "qm9.npz"
    if not source.is_file():
        raise SystemExit(f"{source} is absent: set HELIOGRAPH_DATA to the folder with qm9/qm9.npz. Nothing was run.")
    data = np.load(source)
    order = np.random.default_rng(0).permutation(len(data["n_atoms"]))
    part = np.full(len(order), "test", dtype="<U5")
    part[order[:TRAIN]], part[order[TRAIN : TRAIN + VAL]] = "train", "val"
    if test is not None:
        part[order[TRAIN + VAL + test :]] = ""
    counts, z, pos, y = (data[k] for k in ("n_atoms", "z", "pos", target))
    ends = np.cumsum(counts)
    with atomic(path) as whole, open(whole, "w") as file:
        for k, (end, n) in enumerate(zip(ends, counts, strict=True)):
            if not part[k]:
                continue
            file.write(f"{n}\nProperties=species:S:1:pos:R:3 {target}={float(y[k])!r} split={part[k]}\n")
            for a in range(int(end) - int(n), int(end)):
                file.write(f"{chemical_symbols[z[a]]} {pos[a, 0]:.7g} {pos[a, 1]:.7g} {pos[a, 2]:.7g}\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="schnet")
    parser.add_argument("--arch-args", type=json.loads, default={}, help="as JSON")
    parser.add_argument("--fit", type=json.loads, default={}, help="settings of the training, as JSON: '{\"batch_size\": 20}'")
    parser.add_argument("--ensemble", type=int, default=1, help="networks that differ in their seed; their mean is scored")
    parser.add_argument("--target", default="u0_atom")
    parser.add_argument("--budget", default="1h")
    parser.add_argument("--run", type=Path, default=None, help="run folder (default: run-qm9-ARCH-TARGET)")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    folder = options.run or Path(f"run-qm9-{options.arch}-{options.target}")
    table, unit = folder.with_name(f"{folder.name}.extxyz"), sets.find("qm9").units[options.target]
    if not table.exists():
        write_table(table, options.target)
    result = run(
        TrainConfig(
            data=DataConfig(data_path=table, target_columns=(options.target,), units=(unit,), geometry="given"),
            split=SplitConfig(splits_column="split"),
            model=ModelConfig(arch=options.arch, arch_args=options.arch_args, ensemble_size=options.ensemble),
            fit=FitConfig(**FIT | {"budget": options.budget} | options.fit),
            output_dir=folder,
        ),
        resume=options.resume,
    )
    line = {
        "set": "qm9 (119,015 molecules)",
        "arch": options.arch,
        "arch_args": options.arch_args,
        "ensemble": options.ensemble,
        "fit": options.fit,
        "target": options.target,
        **{part: len(result.rows[part]) for part in ("train", "val", "test")},
        **{f"{part}_mae": float(f"{result.metrics[part]['mean']['mae']:.4g}") for part in ("test", "val")},
        "unit": unit,
        "budget": result.config["fit"]["budget"],
        "epochs": result.cost.epochs,
        "seconds": round(result.cost.seconds_train),
        "molecules_per_second": round(result.cost.molecules_per_second, 1),
        "threads": result.cost.threads,
        "left_out": result.data.reasons,
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }
    with open(options.output, "a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line))


if __name__ == "__main__":
    main()
