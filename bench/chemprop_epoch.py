"""Seconds of a training epoch on lipophilicity: `dmpnn` 300 x 3 against `chemprop train`, each a whole pipeline in a process of its own.

    python bench/chemprop_epoch.py [--epochs 6] [--steps 3] [--precision float32 bf16] [-o FILE.jsonl]

The same table, the same split (random_0), batch 64, 300 x 3. Ours is `heliograph.train.run`. chemprop runs through its own command line,
in its default float32, with RDKit's featurizer and with its faster one (`--use-cuikmolmaker-featurization`); a Lightning callback notes the
times. Given two precisions, ours runs in each beside one run of chemprop. "epoch" is from one epoch's end or start to the next one's
(validation, logging and saving included), "training" its training steps alone. Of each run the median epoch counts, the first left out:
start-up and featurization are in neither. Runs alternate. The line "best", one a precision, is against the faster of chemprop's ways.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import DATA, Lines, parser, spread

TARGET, SPLIT = "exp", "random_0"
WAYS = {"RDKit featurizer": [], "cuik-molmaker featurizer": ["--use-cuikmolmaker-featurization"]}


def table(rows: int | None, to: Path) -> Path:
    """SMILES, target and split; `rows` None: all."""
    import moleculenet

    whole = moleculenet.table("lipophilicity", TARGET, SPLIT, to).read_text().splitlines(keepends=True)
    to.write_text("".join(whole[: None if rows is None else rows + 1]))
    return to


def ours(path: Path, folder: Path, epochs: int, precision: str) -> dict[str, Any]:
    """Notes the time whenever an epoch has been told of: training, validation and bookkeeping are then done."""
    from heliograph.train import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, run

    config = TrainConfig(
        data=DataConfig(data_path=path, target_columns=(TARGET,)), split=SplitConfig(splits_column=SPLIT), model=ModelConfig(arch="dmpnn"),
        fit=FitConfig(accelerator="cpu", baselines=False, epochs=epochs, batch_size=64, precision="bf16" if precision == "bf16" else "32"),
        output_dir=folder / "ours")  # fmt: skip
    clock = Clock()
    result = run(config, progress=clock)
    return {"ends": clock.ends, "training": [row.seconds for row in result.history], "parameters": result.cost.parameters}


class Clock:
    """A progress display that only notes when lines about epochs are said."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None: ...

    def say(self, text: str) -> None:
        if text.startswith("epoch "):
            self.ends.append(time.perf_counter())


def theirs(path: Path, folder: Path, epochs: int, way: str) -> dict[str, Any]:
    """`chemprop train` with one more callback."""
    import warnings

    warnings.simplefilter("ignore")
    from chemprop.cli.main import main as chemprop
    from lightning import pytorch as pl

    class Notes(pl.Callback):
        def __init__(self) -> None:
            self.starts: list[float] = []
            self.training: list[float] = []
            self.parameters = 0

        def on_train_epoch_start(self, trainer: Any, model: Any) -> None:
            self.starts.append(time.perf_counter())
            self.parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)

        def on_train_batch_end(self, trainer: Any, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx + 1 == trainer.num_training_batches:
                self.training.append(time.perf_counter() - self.starts[-1])

    notes, original = Notes(), pl.Trainer.__init__

    def with_notes(self: Any, *args: Any, callbacks: Any = None, **kwargs: Any) -> None:
        original(self, *args, callbacks=[*(callbacks or []), notes], **kwargs)

    pl.Trainer.__init__ = with_notes  # type: ignore[method-assign]
    sys.argv = ["chemprop", "train", "--data-path", str(path), "--smiles-columns", "smiles", "--target-columns", TARGET,
                "--splits-column", SPLIT, "--output-dir", str(folder / "theirs"), "--epochs", str(epochs), "--batch-size", "64",
                "--message-hidden-dim", "300", "--depth", "3", "--ffn-hidden-dim", "300", "--accelerator", "cpu", *WAYS[way]]  # fmt: skip
    chemprop()
    return {"ends": notes.starts, "training": notes.training, "parameters": notes.parameters}


def child(options: argparse.Namespace, path: Path, *who: str) -> dict[str, Any]:
    """One run in a process of its own: seconds of the median epoch, whole and training alone."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            __file__,
            "--epochs",
            str(options.epochs),
            "--threads",
            str(options.threads),
            "--child",
            *who,
            str(path),
            folder,
        ]
        environment = os.environ | {"HELIOGRAPH_CACHE": str(path.parent / "cache")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1][:300])
    found = json.loads(done.stdout.strip().splitlines()[-1])
    whole = [b - a for a, b in pairwise(found["ends"])]
    if not whole:
        raise RuntimeError("no epoch was timed: --epochs must be at least 2")
    return {
        "epoch": statistics.median(whole[1:] or whole),
        "training": statistics.median(found["training"][1:]),
        "parameters": found["parameters"],
    }


def compare(options: argparse.Namespace, path: Path, lines: Lines) -> None:
    found = []
    for way in WAYS:
        about = {"benchmark": "a training epoch on lipophilicity, dmpnn 300 x 3, batch 64", "peer": "chemprop train", "way": way,
                 "peer_precision": "float32"}  # fmt: skip
        try:
            runs = [({p: child(options, path, "ours", p) for p in options.precision}, child(options, path, "theirs", way))
                    for _ in range(options.steps)]  # fmt: skip
        except RuntimeError as error:
            lines(about | {"failed": str(error)})
            continue
        for precision in options.precision:
            found.append(about | {"precision": precision} | ratios([(ours[precision], its) for ours, its in runs])
                         | {"runs": options.steps, "epochs_a_run": options.epochs})  # fmt: skip
            lines(found[-1])
    for precision in options.precision:
        if rows := [line for line in found if line["precision"] == precision]:
            lines({"best": True} | min(rows, key=lambda line: line["ratio_epoch_min_median_max"][1]))


def ratios(runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """Of paired runs, ours and theirs: medians, and the spread of theirs over ours."""
    line: dict[str, Any] = {}
    for what in ("epoch", "training"):
        line |= {f"seconds_{what}": round(statistics.median(a[what] for a, _ in runs), 3),
                 f"peer_seconds_{what}": round(statistics.median(b[what] for _, b in runs), 3),
                 f"ratio_{what}_min_median_max": spread([b[what] / a[what] for a, b in runs])}  # fmt: skip
    return line | {"parameters": runs[0][0]["parameters"], "peer_parameters": runs[0][1]["parameters"]}


def main() -> None:
    made = parser(__doc__, steps=3)
    made.add_argument("--epochs", type=int, default=6, help="of each run; the first is left out")
    made.add_argument("--precision", nargs="+", choices=("float32", "bf16"), default=["float32"], help="ours; chemprop has float32 alone")
    made.add_argument("--molecules", type=int, help="only the first ones, to see that it runs")
    made.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.child:
        who, how, path, folder = options.child
        os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
        with contextlib.redirect_stdout(sys.stderr):
            found = (ours if who == "ours" else theirs)(Path(path), Path(folder), options.epochs, how)
        print(json.dumps(found))
        return
    if not (DATA / "moleculenet" / "splits" / "lipophilicity.csv").is_file():
        print(f"skipped: lipophilicity and its splits are not in {DATA} (set HELIOGRAPH_DATA)", file=sys.stderr)
        return
    lines = Lines(options)
    with tempfile.TemporaryDirectory() as scratch:
        compare(options, table(options.molecules, Path(scratch) / "lipophilicity.csv"), lines)


if __name__ == "__main__":
    main()
