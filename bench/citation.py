"""Test accuracy on Cora and CiteSeer, public split, with the settings of each paper.

    python bench/citation.py [--sets cora citeseer] [--archs gcn gat gat_code appnp gcn2] [--seeds 20] [--device cuda] [--runs FOLDER]
                             [-o FILE.jsonl]

Needs planetoid/SET.npz in $HELIOGRAPH_DATA or ../shared/data. The networks are in `papers.py`. Full batches, Adam, weight decay where the
paper has it; 20 nodes a class to train, 500 to validate, 1,000 to test, features normalised by row. Training ends when the validation loss
(for gat: neither it nor the accuracy) has not improved for `patience` epochs; the best weights of validation are tested, once. Nothing is
tuned here. The seeds are members of one ensemble; killed, it goes on where it was in --runs.

Published, public split: gcn 81.5 / 70.3 (Kipf & Welling 2017, table 2), gat 83.0 / 72.5 (Velickovic et al. 2018, table 2), appnp 83.3 /
71.8 and gcn2 85.5 / 73.4 (Chen et al. 2020, table 2).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import DATA, Lines, parser
from papers import load, network
from torch import Tensor, nn

from heliograph import learn
from heliograph.learn.figures import Metrics

PUBLISHED = {"gcn": (81.5, 70.3), "gat": (83.0, 72.5), "gat_code": (83.0, 72.5), "appnp": (83.3, 71.8), "gcn2": (85.5, 73.4)}


@dataclass(frozen=True)
class Setting:
    """Learning rate, weight decay of the module `part` and of the others, epochs at most and without improvement, what must improve."""

    lr: float
    decay: tuple[float, float]
    epochs: int
    patience: int
    select: str | tuple[str, ...] = "loss"
    part: str = "embed"

    def adam(self, module: nn.Module, fit: learn.FitConfig) -> torch.optim.Optimizer:
        """Adam with a decay of its own for the part."""
        groups = [{"params": [p], "weight_decay": self.decay[f"model.{self.part}." not in name]} for name, p in module.named_parameters()]
        return torch.optim.Adam(groups, lr=fit.init_lr, fused=True)


SETTINGS = {
    "gcn": Setting(0.01, (5e-4, 0.0), 200, 10),  # sec. 5.2
    "gat": Setting(0.005, (5e-4, 5e-4), 100_000, 100, ("loss", "accuracy")),  # sec. 3.3
    "gat_code": Setting(0.005, (5e-4, 5e-4), 100_000, 100, ("loss", "accuracy")),
    "appnp": Setting(0.01, (5e-3, 0.0), 10_000, 100),  # sec. 5 and appendix
    "gcn2": Setting(0.01, (0.01, 5e-4), 1_500, 100, part="layers"),  # sec. 5.1: convolutions, then dense layers
}


def accuracy(y: Tensor, outputs: Mapping[str, Tensor], rows: np.ndarray) -> Metrics:
    """In percent."""
    return {"mean": {"accuracy": round(100 * float((outputs["y"].argmax(1) == y[rows]).float().mean()), 2)}}


def train(arch: str, data: str, seeds: int, device: str, folder: Path | None) -> list[dict[str, object]]:
    """A line for each seed: accuracies in percent at the epoch that validation chose, that epoch, and how many there were."""
    setting, (source, x, parts) = SETTINGS[arch], load(DATA / "planetoid" / f"{data}.npz")
    rates = dict.fromkeys(("init_lr", "max_lr", "final_lr"), setting.lr)
    fit = learn.FitConfig(epochs=setting.epochs, patience=setting.patience, batch_size=len(source), accelerator=device, **rates)
    build = partial(network, arch, data, x, int(source.y["y"].max()) + 1)
    score = partial(accuracy, source.y["y"])
    job = learn.Job(source, parts, build, learn.Supervised({"y": "ce"}), fit, score, ("accuracy",), setting.select,
                    optimizer=setting.adam, members=seeds, folder=folder, unit="nodes")  # fmt: skip
    found = []
    for one in learn.train(job)[1]:
        tested = learn.infer(learn.network(job, one), source, parts["test"], job.objective, len(source))
        s, test = one.summary, score(tested, parts["test"])["mean"]["accuracy"]
        found.append({"set": data, "arch": arch, "seed": s["member"], "epochs": s["epochs"], "best_epoch": s["best_epoch"] + 1,
                      "val": s["val_metrics"]["mean"]["accuracy"], "test": test, "device": device})  # fmt: skip
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", default=["cora", "citeseer"], choices=["cora", "citeseer"])
    options.add_argument("--archs", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--runs", type=Path, help="keep trainings in this folder, and go on with those that are there")
    given = options.parse_args()
    if missing := [p for d in given.sets if not (p := DATA / "planetoid" / f"{d}.npz").is_file()]:
        raise SystemExit(f"{missing[0]} is absent: set HELIOGRAPH_DATA to the folder with planetoid/. Nothing was run.")
    lines = Lines(given)
    for arch in given.archs:
        for data in given.sets:
            folder = given.runs and given.runs / f"{data}-{arch}-{given.seeds}"
            for line in (found := train(arch, data, given.seeds, given.device, folder)):
                lines(line)
            tests = [line["test"] for line in found]
            mean, std = statistics.mean(tests), statistics.stdev(tests) if len(tests) > 1 else math.nan
            lines({"set": data, "arch": arch, "seeds": given.seeds, "test_mean": round(mean, 2), "test_std": round(std, 2),
                   "published": PUBLISHED[arch][data == "citeseer"]})  # fmt: skip


if __name__ == "__main__":
    main()
