"""Do the error bars hold? Members by folds on fixed splits of MoleculeNet sets, judged on their
test molecules, pooled over splits.

    python bench/uncertainty.py --runs FOLDER [--sets delaney freesolv lipophilicity] [--splits random_0 ... scaffold butina_0 ...]
                                [--calibrate-for random] [--domain full] [--epochs 30] [--head auto] [-o FILE.jsonl]

One training of five members a split through `heliograph.train`, with the defaults, nothing tuned;
the test part is touched once. A run folder that is there already is gone on with, so an interrupted
bench loses at most a minute. One JSON line a split, then one for each set over its random splits
and one over its Butina splits, which are made here with seeds: coverage with the binomial interval
of all molecules, figures beside those simulated from the model's own sigmas, and the interval score
against that of one conformal width for all, paired by molecule. Molecules recur in the splits, so
binomial intervals are somewhat too narrow. Needs $HELIOGRAPH_DATA or ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from moleculenet import SETS, folder, table

from heliograph.predictor import Predictor
from heliograph.train import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, run
from heliograph.train.config import TrustConfig
from heliograph.train.result import TrainResult
from heliograph.train.split_file import DivideConfig, split_file
from heliograph.uncertainty import conformal, judge, metrics
from heliograph.uncertainty.regression import Calibration

LEVELS = metrics.LEVELS


def train(options: argparse.Namespace, name: str, split: str) -> tuple[TrainResult, Path]:
    """The run of a split: gone on with where it is there."""
    target, _, _ = SETS[name]
    words = [name, split, options.calibrate_for, options.domain, options.head, str(options.epochs)]
    here = options.runs / "-".join(words)
    data = options.runs / f"{name}-{split}.csv"
    if not data.exists() and split.startswith("butina"):
        table(name, target, "scaffold", plain := options.runs / f"{name}-plain.csv")
        seed = 1 + int(split.removeprefix("butina_"))  # 0 would leave the clusters in order of size
        split_file(DivideConfig(data_path=plain, output_path=data, split="butina", seed=seed, num_workers=0))
    elif not data.exists():
        table(name, target, split, data)
    column = "split" if split.startswith("butina") else split
    config = TrainConfig(
        data=DataConfig(data_path=data, smiles_columns="smiles", target_columns=(target,), num_workers=0),
        split=SplitConfig(splits_column=column),
        model=ModelConfig(ensemble_size=5, members="folds", uncertainty_method=options.head),
        fit=FitConfig(epochs=options.epochs, baselines=False, accelerator="cpu"),
        trust=TrustConfig(calibrate_for=options.calibrate_for, domain=options.domain, calibrate=options.calibrate),
        output_dir=here,
    )
    return run(config, resume=(here / "config.toml").is_file()), here


def judged(result: TrainResult, here: Path) -> dict[str, np.ndarray]:
    """By test molecule: truth, answer, sigma, ends of intervals, those of one width for all,
    whether in domain.
    """
    predictor = Predictor.load(here / "model.safetensors")
    entry, factor = (
        predictor.document.calibration["targets"][0],
        predictor.document.calibration["factor"][0],
    )
    calibration = Calibration.from_dict(entry)
    test, oof = result.predictions["test"], result.predictions["out_of_fold"]
    assert test.y_std is not None
    y, pred, sigma = test.y_true[:, 0], test.y_pred[:, 0], test.y_std[:, 0]
    residual = np.abs(oof.y_true[:, 0] - oof.y_pred[:, 0]) * factor
    found = {
        "y": y,
        "pred": pred,
        "sigma": sigma,
        "z": calibration.shape.draw(np.random.default_rng(0), 2000),
    }
    for c in LEVELS:
        found[f"low {c}"], found[f"high {c}"] = calibration.interval(pred, sigma, c)
        found[f"one width {c}"] = np.full(len(y), conformal.quantile(residual[np.isfinite(residual)], c))
    answers = predictor.predict_records(test.structures)
    assert answers.in_domain is not None
    return found | {"in_domain": answers.in_domain}


def summary(a: dict[str, np.ndarray]) -> dict[str, Any]:
    """Figures of the molecules of one split, or of several together."""
    y, pred, sigma = a["y"], a["pred"], a["sigma"]
    intervals = {c: (a[f"low {c}"], a[f"high {c}"]) for c in LEVELS}
    about = judge.numbers(y, pred, sigma, intervals, lambda random, n: random.choice(a["z"], n))
    assert about is not None
    ours = metrics.interval_scores(y, *intervals[0.9], 0.9)
    q = a["one width 0.9"]
    constant = metrics.interval_scores(y, pred - q, pred + q, 0.9)
    gain = constant - ours
    inside = a["in_domain"] > 0.5
    rmse = {k: math.sqrt(float(np.square((y - pred)[m]).mean())) if m.any() else None for k, m in (("in", inside), ("out", ~inside))}
    held = metrics.covered(y, *intervals[0.9])
    return {
        "n": about["n"],
        "rmse": about["rmse"],
        "coverage": {str(r["claimed"]): [round(r[k], 4) for k in ("held", "low", "high", "width")] for r in about["coverage"]},
        "figures": {k: round(v, 4) for k, v in about["figures"].items()},
        "simulated": {k: [round(x, 4) for x in v] for k, v in about["simulated"].items()},
        "interval_score_90": [round(float(ours.mean()), 4), round(float(constant.mean()), 4)],
        "gain": [round(float(gain.mean()), 4), round(float(gain.std() / math.sqrt(len(gain))), 4)],
        "out_of_domain": round(float((~inside).mean()), 4),
        "rmse_domain": rmse,
        "coverage_90_in_domain": round(float(held[inside].mean()), 4),
    }


def main() -> None:
    """Run the sets and splits that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sets",
        nargs="+",
        default=["delaney", "freesolv", "lipophilicity"],
        choices=list(SETS),
    )
    parser.add_argument("--splits", nargs="+", default=[f"random_{k}" for k in range(5)] + ["scaffold"])
    parser.add_argument("--calibrate-for", default="random", choices=["random", "scaffold", "cluster"])
    parser.add_argument("--calibrate", default="auto")
    parser.add_argument("--domain", default="full", choices=["none", "hashes", "full"])
    parser.add_argument("--head", default="auto", choices=["auto", "none", "laplace", "mve", "evidential", "quantiles"])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--runs", type=Path, required=True, help="folder that keeps the runs")
    parser.add_argument("-o", "--output", type=Path, help="append JSON lines here too")
    options = parser.parse_args()
    folder()  # says so where the data are absent
    options.runs.mkdir(parents=True, exist_ok=True)

    def say(line: dict[str, Any]) -> None:
        text = json.dumps(line)
        print(text, flush=True)
        if options.output is not None:
            with options.output.open("a", encoding="utf-8") as file:
                file.write(text + "\n")

    about = {k: getattr(options, k) for k in ("calibrate_for", "calibrate", "domain", "head", "epochs")}
    for name in options.sets:
        pooled: dict[str, list[dict[str, np.ndarray]]] = {}
        for split in options.splits:
            result, here = train(options, name, split)
            if result.kind == "binary":
                judged_classes = result.trust["test"][SETS[name][0]]
                figures = {k: v for k, v in judged_classes.items() if k != "bins"}
                why = [note for note in result.notes if note.startswith("Calibration of")]
                say({"set": name, "split": split} | about | figures | {"why": why})
                continue
            arrays = judged(result, here)
            why = [note for note in result.notes if note.startswith("Calibration of")]
            say({"set": name, "split": split} | about | summary(arrays) | {"why": why})
            pooled.setdefault(split.partition("_")[0], []).append(arrays)
        for kind, parts in pooled.items():
            if len(parts) > 1:
                every = {k: np.concatenate([a[k] for a in parts]) for k in parts[0]}
                say({"set": name, "split": f"{len(parts)} {kind} splits together"} | about | summary(every))


if __name__ == "__main__":
    main()
