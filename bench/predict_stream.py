"""Prediction of the 288,700 screening SMILES, 1 % of the lines corrupted: rows kept, reasons, peak memory, rate.

    python bench/predict_stream.py [--rows 30000 288700] [--model RUN_OR_FILE]

Needs screening/screening_smiles.csv.gz in $HELIOGRAPH_DATA or ../shared/data; says so where it is absent. Without --model a `dmpnn`
with its defaults and random weights predicts. One JSON line a size; the peak is that of the predicting process, not of its workers.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GARBAGE = (b"garbage((", b"", b"C" * 10_000, b"C\xff\xfeC", b"C(C)(C)(C)(C)C")  # the last: a valence error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[30_000, 288_700])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        predict(*map(Path, args.one))
        return
    data = Path(os.environ.get("HELIOGRAPH_DATA", "../shared/data")) / "screening" / "screening_smiles.csv.gz"
    if not data.is_file():
        print(f"skipped: {data} is not there (set HELIOGRAPH_DATA)", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = args.model or untrained(Path(folder) / "model.safetensors")
        for rows in args.rows:
            table, out = Path(folder) / f"{rows}.csv", Path(folder) / f"{rows}_out.csv"
            bad = corrupt(data, table, rows)
            child = [sys.executable, __file__, "--one", str(model), str(table), str(out)]
            found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
            with open(table, newline="", errors="surrogateescape") as a, open(out, newline="", errors="surrogateescape") as b:
                same = all(x[:2] == y[:2] for x, y in zip(csv.reader(a), csv.reader(b), strict=True))
            print(json.dumps({"corrupted": bad, "every_row_in_order": same} | found | {"machine": platform.processor()}), flush=True)


def corrupt(source: Path, target: Path, rows: int) -> int:
    """Write the first `rows` molecules, 1 % of them replaced by garbage; how many."""
    chance, bad = random.Random(1), 0
    with gzip.open(source) as lines, open(target, "wb") as file:
        header = lines.readline()
        column = header.decode().strip().split(",").index("smiles")
        file.write(header)
        for _, line in zip(range(rows), lines, strict=False):
            if chance.random() < 0.01:
                cells = line.rstrip(b"\n").split(b",")
                cells[column] = chance.choice(GARBAGE)
                line, bad = b",".join(cells) + b"\n", bad + 1
            file.write(line)
    return bad


def untrained(path: Path) -> Path:
    """A model file of the default architecture at its default size."""
    from inputs import untrained as predictor

    predictor("dmpnn").save(path)
    return path


def predict(model: Path, table: Path, out: Path) -> None:
    """In a process of its own, so that the peak is its own."""
    from heliograph.predictor.stream import PredictConfig, predict_file

    started = time.monotonic()
    summary = predict_file(PredictConfig(model_path=model, data_path=table, output_path=out))
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform.startswith("linux") else 1024**2)
    figures = {"rows": summary.rows, "reasons": summary.reasons, "seconds": round(seconds, 1), "rows_per_s": round(summary.rows / seconds)}
    print(json.dumps(figures | {"peak_mb": round(peak)}))


if __name__ == "__main__":
    main()
