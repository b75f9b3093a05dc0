"""What choosing molecules is worth: `heliograph active simulate` on known labels, and on shuffled ones, where nothing may win.

    python bench/active.py null --runs 200 -o FILE.jsonl
    python bench/active.py qm9 | hiv | lipophilicity --folder FOLDER -o FILE.jsonl

The learner is a random forest on ECFP4. `null`: whole simulations of 150 shipped molecules with shuffled labels, five repeats each; an
acquisition wins where its interval of the share found lies above that of random (what the report goes by), and, stricter, where a paired
one-sided t test over the repeats says so at 5 %. `qm9`: the gap of 20,000 molecules by SMILES, the best 1 % wanted; `hiv`: all actives;
5 % labelled at the end. `lipophilicity`: at how many labels an acquisition is as good as random with all of its own (RMSE aside).
An interrupted one goes on.
"""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from common import DATA, Lines, parser
from scipy import stats

from heliograph.active import simulate
from heliograph.active.config import SimulateConfig
from heliograph.active.simulation import Simulation

BLOCK = 10  # runs of the null that are one line
NULL = ("random", "greedy", "ucb", "ei", "std", "thompson")
FINDING = {"acquisitions": ("random", "greedy", "ucb", "ei"), "members": 30, "rounds": 9, "repeats": 5}
CASES: dict[str, dict[str, Any]] = {
    "qm9": FINDING | {"target": "gap", "sample": 20_000, "start": 100, "batch": 100, "top": 0.01},
    "hiv": FINDING | {"target": "HIV_active", "start": 205, "batch": 205},
    "lipophilicity": {"acquisitions": ("random", "std", "std+diverse"), "members": 50, "rounds": 16, "repeats": 5, "target": "exp",
                      "start": 100, "batch": 100, "holdout": 0.2},
}  # fmt: skip


def null(options: Any, say: Lines) -> None:
    """Wins of each acquisition among `--runs` simulations that have nothing to find."""
    held = sum(line["runs"] for line in say.kept if line.get("what") == "null, block")
    for start in range(held, options.runs, BLOCK):
        clear, paired = Counter[str](), Counter[str]()
        for seed in range(start, start + BLOCK):
            with tempfile.TemporaryDirectory() as folder:
                given = {
                    "data_path": Path("smallmol"),
                    "target": "gap",
                    "output_dir": Path(folder) / "s",
                    "acquisitions": NULL,
                    "members": 10,
                }
                given |= {"sample": 150, "start": 20, "batch": 15, "rounds": 2, "repeats": 5, "top": 0.1, "holdout": 0, "seed": seed}
                _wins(simulate(SimulateConfig.model_validate(given | {"shuffle_labels": True})), Path(folder) / "s", clear, paired)
        line = {"what": "null, block", "runs": BLOCK, "first_seed": start, "above": dict(clear), "paired": dict(paired)}
        say(line)
        say.kept.append(line)
    lines = [line for line in say.kept if line.get("what") == "null, block"]
    runs = sum(line["runs"] for line in lines)
    shares = {kind: {a: sum(line[kind].get(a, 0) for line in lines) / runs for a in NULL[1:]} for kind in ("above", "paired")}
    say({"what": "null", "runs": runs} | shares)


def _wins(found: Simulation, folder: Path, clear: Counter[str], paired: Counter[str]) -> None:
    import json

    last: dict[str, list[float]] = {}
    for text in (folder / "journal.jsonl").read_text().splitlines()[1:]:
        line = json.loads(text)
        last.setdefault(line["acquisition"], []).append(line["points"][-1]["found"])
    random = next(curve for curve in found.curves if curve.acquisition == "random")
    for curve in found.curves:
        if curve is random:
            continue
        clear[curve.acquisition] += curve.low["found"][-1] > random.high["found"][-1]
        gain = np.array(last[curve.acquisition]) - last["random"]
        paired[curve.acquisition] += bool(gain.std() > 0 and stats.ttest_1samp(gain, 0, alternative="greater").pvalue < 0.05)


def table(name: str, folder: Path) -> Path:
    """The molecules and labels of a case."""
    if name != "qm9":
        return DATA / "moleculenet" / f"{name}.csv.gz"
    path, found = folder / "qm9.csv", np.load(DATA / "qm9" / "qm9.npz")
    gap = dict(zip(found["idx"].tolist(), found["gap"].tolist(), strict=True))
    with gzip.open(DATA / "qm9" / "smiles.csv.gz", "rt") as file:
        rows = [(row["smiles"], gap[int(row["idx"])]) for row in csv.DictReader(file) if int(row["idx"]) in gap]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("smiles", "gap"), *rows])
    return path


def case(name: str, options: Any, say: Lines) -> None:
    """One simulation, with what each acquisition came to."""
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = options.folder / name
    given = CASES[name] | {"data_path": table(name, options.folder), "output_dir": folder}
    found = simulate(SimulateConfig.model_validate(given), resume=(folder / "journal.jsonl").exists())
    line: dict[str, Any] = {"what": name, "pool": found.pool, "wanted": found.wanted, "repeats": found.repeats}
    random = found.curves[0]
    for curve in found.curves:
        last = {m: [round(v[m][-1], 4) for v in (curve.low, curve.mean, curve.high)] for m in ("found", "rmse")}
        as_good = [n for n, rmse in zip(curve.labelled, curve.mean["rmse"], strict=True) if rmse <= random.mean["rmse"][-1]]
        line[curve.acquisition] = {"labels": curve.labelled[-1], "as_good_as_random_at": as_good[0] if as_good else None} | last
    say(line)


def main() -> None:
    """One case."""
    made = parser(__doc__)
    made.add_argument("case", choices=["null", *CASES])
    made.add_argument("--runs", type=int, default=200)
    made.add_argument("--folder", type=Path, default=Path("campaigns"))
    options = made.parse_args()
    say = Lines(options)
    if options.case == "null":
        null(options, say)
    else:
        case(options.case, options, say)


if __name__ == "__main__":
    main()
