"""`heliograph predict` against `chemprop predict`: screening SMILES, file to file, the whole command; and the rate of parsing alone.

    python bench/predict_chemprop.py [--rows 100000] [--steps 3] [-o FILE.jsonl]

The first rows of the screening set as a table; `dmpnn` 300 x 3 with untrained weights against chemprop's 300 x 3 after one epoch on 500 of
them with random targets. Seconds are of the command as a user types it, start-up included; runs alternate. chemprop predicts with RDKit's
featurizer at batch 64, its default, and with its faster one (`--use-cuikmolmaker-featurization`) at 256; `--ways` has each at the other
batch too. How many rows got a number is told of both. Parsing is `Chem.MolFromSmiles` on the same SMILES in two processes, start-up left
out. The line "best" is against the fastest of chemprop's ways.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import inputs
from common import DATA, Lines, parser, spread

SCREENING = DATA / "screening" / "screening_smiles.csv.gz"
CUIK = ["--use-cuikmolmaker-featurization"]
WAYS = {
    "RDKit featurizer, batch 64": ["--batch-size", "64"],
    "RDKit featurizer, batch 256": ["--batch-size", "256"],
    "cuik-molmaker featurizer, batch 64": [*CUIK, "--batch-size", "64"],
    "cuik-molmaker featurizer, batch 256": [*CUIK, "--batch-size", "256"],
}
MAIN_WAYS = ["RDKit featurizer, batch 64", "cuik-molmaker featurizer, batch 256"]
SIZE = ["--message-hidden-dim", "300", "--depth", "3", "--ffn-hidden-dim", "300", "--accelerator", "cpu"]


def smiles(rows: int | None) -> list[str]:
    with gzip.open(SCREENING, "rt") as file:
        return [row["smiles"] for row in islice(csv.DictReader(file), rows)]


def write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def command(name: str) -> str:
    """The program of that name beside this Python, else on the path."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or name


def seconds(line: Sequence[str]) -> float:
    """Wall time of a command."""
    started = time.perf_counter()
    done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(line[:2])}: {(done.stderr.strip().splitlines() or ['no message'])[-1][:300]}")
    return elapsed


def answered(path: Path, column: str) -> int:
    """Rows with a number in `column`."""
    with open(path, newline="") as file:
        return sum(1 for row in csv.DictReader(file) if row[column] not in ("", "Invalid SMILES", None))


def parse(chunk: list[str]) -> int:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        return sum(Chem.MolFromSmiles(text) is not None for text in chunk)


def parsing_rate(texts: list[str]) -> float:
    """SMILES a second of two processes."""
    chunks = [texts[k : k + 1000] for k in range(0, len(texts), 1000)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(parse, [["C"]] * 8, chunksize=1)  # RDKit is loaded in both
        started = time.perf_counter()
        pool.map(parse, chunks, chunksize=1)
        return len(texts) / (time.perf_counter() - started)


def prepare(texts: list[str], folder: Path) -> tuple[Path, Path, Path]:
    """The table, our model file, chemprop's."""
    table = write(folder / "screening.csv", ["smiles"], [[text] for text in texts])
    inputs.untrained("dmpnn").save(folder / "model.safetensors")
    rng = random.Random(0)
    train = write(folder / "train.csv", ["smiles", "y"], [[text, rng.random()] for text in texts[:500]])
    to = folder / "chemprop"
    asked = ["--data-path", str(train), "--output-dir", str(to), "--epochs", "1", "--warmup-epochs", "0", *SIZE]
    seconds([command("chemprop"), "train", *asked])
    return table, folder / "model.safetensors", next(to.rglob("best.pt"))


def main() -> None:
    made = parser(__doc__, steps=3)
    made.add_argument("--rows", type=int, default=100_000)
    made.add_argument("--ways", nargs="+", choices=WAYS, default=MAIN_WAYS, metavar="WAY", help=f"of chemprop: {'; '.join(WAYS)}")
    options = made.parse_args()
    if not SCREENING.is_file():
        print(f"skipped: {SCREENING} is not there (set HELIOGRAPH_DATA)", file=sys.stderr)
        return
    lines = Lines(options)
    texts = smiles(options.rows)
    rates = [parsing_rate(texts) for _ in range(options.steps)]
    lines({"benchmark": "parsing alone, two RDKit processes", "rows": len(texts), "rows_per_second_min_median_max": spread(rates, 0)})
    with tempfile.TemporaryDirectory() as scratch:
        compare(options, texts, Path(scratch), statistics.median(rates), lines)


def compare(options: argparse.Namespace, texts: list[str], folder: Path, parsing: float, lines: Lines) -> None:
    os.environ["HELIOGRAPH_CACHE"] = str(folder / "cache")  # what is compiled on first use is compiled by the run that is not counted
    table, our_model, their_model = prepare(texts, folder)
    our_output, their_output = folder / "ours.csv", folder / "theirs.csv"
    us = [command("heliograph"), "predict", str(our_model), str(table), "-o", str(our_output), "--overwrite", "--quiet"]
    seconds(us)
    found = []
    for way in options.ways:
        about: dict[str, Any] = {"benchmark": "predict, file to file, whole command, dmpnn 300 x 3", "rows": len(texts),
                                 "peer": "chemprop predict", "way": way}  # fmt: skip
        them = [command("chemprop"), "predict", "--test-path", str(table), "--model-paths", str(their_model), "--preds-path",
                str(their_output), "--accelerator", "cpu", *WAYS[way]]  # fmt: skip
        try:
            runs = [(seconds(us), seconds(them)) for _ in range(options.steps)]
        except RuntimeError as error:
            lines(about | {"failed": str(error)})
            continue
        mine, its = answered(our_output, "y_pred"), answered(their_output, "y")
        ours = statistics.median(a for a, _ in runs)
        found.append(about | {
            "rows_per_second": round(len(texts) / ours), "peer_rows_per_second": round(len(texts) / statistics.median(b for _, b in runs)),
            "ratio_min_median_max": spread([b / a for a, b in runs]), "share_of_parsing_rate": round(len(texts) / ours / parsing, 3),
            "rows_answered": mine, "peer_rows_answered": its, "runs": options.steps})  # fmt: skip
        lines(found[-1])
    if found:
        lines({"best": True} | min(found, key=lambda line: line["ratio_min_median_max"][1]))


if __name__ == "__main__":
    main()
