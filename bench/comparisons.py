"""Full comparisons on four MoleculeNet sets: eight architectures and the baselines on the same folds, at one equal budget.

    python bench/comparisons.py [--sets freesolv delaney bbbp lipophilicity] [--jobs 2] [--runs FOLDER] [-o bench/results/comparisons]

About 100,000 parameters for each architecture, by its width, and as many epochs of batches of 64 as `EPOCHS` says: 400 to 920 steps.
5 x 5 folds, lipophilicity 2 x 5; random folds; nothing tuned. `gps` is left out: it computes on all pairs of atoms. Needs the
tables in $HELIOGRAPH_DATA or ../shared/data; says so where they are absent. A comparison is worked on in FOLDER and can be killed at any
time: the same command goes on with it. What is kept of a finished one (results.json, scores.csv, report.html) names no folder of this
machine.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from moleculenet import SETS, folder

from heliograph.compare import CompareConfig, CompareOptions, CompareResult, run
from heliograph.compare.verdict import verdict
from heliograph.report import write_comparison
from heliograph.train import DataConfig, FitConfig

ARCHS = ("gcn", "gin", "sage", "gatv2", "gatedgcn", "duvenaud", "dmpnn", "attentivefp")
PARAMETERS = 100_000
EPOCHS = {"freesolv": 50, "delaney": 40, "bbbp": 40, "lipophilicity": 20}
CV = {"lipophilicity": "2x5"}
UNITS = {"delaney": ("log mol/L",), "freesolv": ("kcal/mol",)}


def config(name: str, runs: Path, jobs: int) -> CompareConfig:
    return CompareConfig(
        data=DataConfig(
            data_path=folder() / f"{name}.csv.gz",
            smiles_columns="smiles",
            target_columns=(SETS[name][0],),
            units=UNITS.get(name, ()),
            num_workers=0,
        ),
        compare=CompareOptions(archs=ARCHS, cv=CV.get(name, "5x5"), parameters=PARAMETERS, jobs=jobs),
        fit=FitConfig(epochs=EPOCHS[name], accelerator="cpu", metrics=(SETS[name][1],)),
        output_dir=runs / name,
    )


def keep(result: CompareResult, name: str, to: Path) -> None:
    """The result with the names of files, without where they lay."""
    data = result.config["data"] | {"data_path": f"{name}.csv.gz"}
    plain = replace(result, config=result.config | {"data": data, "output_dir": name}, command=f"python bench/comparisons.py --sets {name}")
    to.mkdir(parents=True, exist_ok=True)
    plain.save(to)
    write_comparison(plain, to / "report.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["freesolv", "delaney", "bbbp", "lipophilicity"])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("run-comparisons"))
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results" / "comparisons")
    options = parser.parse_args()
    for name in options.sets:
        asked = config(name, options.runs, options.jobs)
        result = run(asked, resume=(asked.output_dir / "journal.jsonl").is_file())
        keep(result, name, options.output / name)
        print(f"== {name}", *verdict(result), sep="\n", flush=True)


if __name__ == "__main__":
    main()
