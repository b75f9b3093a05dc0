"""Test errors of potentials and of a property of crystals: one training each, chosen on validation frames, tested once.

    python bench/potentials.py ethanol --runs FOLDER [--minutes 17] [-o FILE.jsonl]

A training is a run folder of `heliograph train`; the same command goes on with it where it stands, and writes its line when it is whole.
With --minutes it stops after so long, to be gone on with. JOBS says the protocol of each: settings that were fixed beforehand (Adam, a
cosine from 1e-3, moving average of weights), nothing tuned on a test set. `cpu_seconds` adds up all parts, `seconds` are those of the
epochs alone.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from common import DATA, Lines, parser

FIT = "--init-lr 1e-4 --max-lr 1e-3 --final-lr 1e-6 --warmup-epochs 1 --ema 0.99"


@dataclass(frozen=True)
class Job:
    """`train` are files to train and validate on, `test` the test files; `options` of `heliograph train`, `label` the energy's name."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    options: str
    protocol: str
    label: str = "E"


def element(symbol: str, epochs: int) -> Job:
    """One of the given sets of Zuo et al. 2020, with its own division into train and test."""
    return Job(
        (f"forces/mlearn/{symbol}_training.npz",),
        (f"forces/mlearn/{symbol}_test.npz",),
        f"--arch painn --arch-args d=64 --r-max 5 --split-sizes 0.9 0.1 0 --epochs {epochs} --batch-size 4 {FIT}",
        "given train and test; a tenth of train for validation, at random",
    )


JOBS = {
    "ethanol": Job(
        ("forces/ethanol/train.npz", "forces/ethanol/isolated_atoms.npz"),
        ("forces/ethanol/test_MD.npz",),
        f"--arch painn --r-max 5 --split-sizes 0.95 0.05 0 --epochs 280 --batch-size 10 --start-stage-two 0.8 {FIT}",
        "rMD17 geometries with PBE/def2-SVP labels: 950 train, 50 validation at random, 1,000 given for test",
    ),
    "aspirin": Job(
        ("forces/rmd17_aspirin/rmd17_aspirin_train.npz",),
        ("forces/rmd17_aspirin/rmd17_aspirin_test.npz",),
        f"--arch painn --r-max 5 --split-sizes 0.79167 0.04167 0 --epochs 150 --batch-size 10 --start-stage-two 0.8 {FIT}",
        "rMD17: 950 train, 50 validation at random among the 1,200 given, 1,800 given for test",
    ),
    "Si": element("Si", 80),
    "Ge": element("Ge", 80),
    "Li": element("Li", 80),
    "Mo": element("Mo", 80),
    "perov_5": Job(
        ("crystals/perov_5_val.npz", "crystals/perov_5_test.npz"),
        (),
        f"--arch painn --r-max 5 --split-sizes 0.8 0.1 0.1 --epochs 36 --batch-size 32 {FIT}",
        "both given parts pooled, 8:1:1 at random; heat of formation in eV per cell of five atoms",
        "y_heat_all",
    ),
}


def write(path: Path, sources: tuple[str, ...], label: str) -> None:
    """Write the arrays of `sources` as one file of frames."""
    from heliograph.data.frames import Frame, text_of

    with open(path, "w", encoding="utf-8") as file:
        for source in sources:
            with np.load(DATA / source, allow_pickle=False) as q:
                given = {name: q[name] for name in q.files}
            ends = np.concatenate([[0], np.cumsum(given["n_atoms"].astype(np.int64))])
            cells = given.get("cell", given.get("lattice"))
            for k, (a, b) in enumerate(pairwise(ends)):
                cell = None if cells is None else cells[k]
                pos = given["R"][a:b] if "R" in given else given["frac"][a:b].astype(np.float64) @ cell
                forces = given["F"][a:b] if "F" in given else None
                arrays = {} if forces is None or np.isnan(forces).any() else {"forces": forces}
                info = {"energy": float(given[label][k])}
                file.write(text_of(Frame(given["Z"][a:b], pos, cell, (cell is not None,) * 3, info, arrays)))


def train(job: Job, here: Path, seed: int, minutes: float | None) -> bool:
    """Begin or go on; whether it is whole."""
    run, data = here / "run", here / "train.extxyz"
    if (run / "config.toml").is_file():
        command = ["train", "-o", str(run), "--resume", "-q"]
    else:
        here.mkdir(parents=True, exist_ok=True)
        write(data, job.train, job.label)
        command = ["train", str(data), "-o", str(run), *job.options.split(), "--seed", str(seed), "-q"]
        if job.test:
            write(here / "test.extxyz", job.test, job.label)
            command += ["--test-path", str(here / "test.extxyz")]
    with subprocess.Popen([sys.executable, "-m", "heliograph", *command]) as process:
        try:
            process.wait(None if minutes is None else 60 * minutes)
        except subprocess.TimeoutExpired:
            process.kill()
    spent = here / "cpu_seconds"
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    before = float(spent.read_text()) if spent.is_file() else 0.0
    spent.write_text(str(before + used.ru_utime + used.ru_stime))
    if process.returncode not in (0, -9):
        raise SystemExit(f"the training ended with {process.returncode}")
    return (run / "results.json").is_file()


def main() -> None:
    made = parser(__doc__)
    made.add_argument("job", choices=JOBS)
    made.add_argument("--runs", type=Path, required=True, help="folder for the run folders")
    made.add_argument("--minutes", type=float, help="stop after so many, to be gone on with")
    made.add_argument("--seed", type=int, default=0)
    args = made.parse_args()
    args.threads = int(os.environ.get("OMP_NUM_THREADS", args.threads))
    job, here = JOBS[args.job], args.runs / f"{args.job}-{args.seed}"
    if not train(job, here, args.seed, args.minutes):
        epochs = len((here / "run" / "metrics.csv").read_text().splitlines()) - 1
        print(f"{args.job}: stopped after {epochs} epochs; the same command goes on")
        return
    found = json.loads((here / "run" / "results.json").read_text())
    Lines(args)({
        "set": args.job, "seed": args.seed, "protocol": job.protocol, "options": job.options, "sizes": found["sizes"],
        "best_epochs": found["best_epochs"], "parameters": found["parameters"], "seconds": round(found["seconds"]),
        "cpu_seconds": round(float((here / "cpu_seconds").read_text())), "val": found["metrics"]["val"],
        "test": found["metrics"].get("test"), "nothing": found["zero"].get("test"),
    })  # fmt: skip


if __name__ == "__main__":
    main()
