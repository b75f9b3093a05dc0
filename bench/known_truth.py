"""Do error bars find a noise that is known? The shipped molecules with planted labels whose noise
depends on the structure.

    python bench/known_truth.py --runs FOLDER [--molecules 6373] [--epochs 15] [--head none] [-o FILE.jsonl]

Label: a sum over atoms plus noise of a known sigma: "structure" makes it .2 + .25 per ring + .35
per nitrogen + .15 per oxygen, which the calibration has features for; "substructure" .2 + .6 with a
carbonyl + .15 per methyl, which it has not; "constant" .5. Five members by folds. Of the
out-of-fold answers of all molecules: the rank correlation of sigma with the true one, and the
coverage of the 90 % interval in each tenth of true sigma, over labels whose noise is drawn afresh
20 times. For constant noise: the spread of sigma over its mean.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.data import formats
from heliograph.predictor import Predictor
from heliograph.predictor.trust import features
from heliograph.train import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, run
from heliograph.train.config import TrustConfig
from heliograph.uncertainty import metrics
from heliograph.uncertainty.domain import Domain
from heliograph.uncertainty.regression import KIND, Calibration

DRAWS = 20


def planted(smiles: str, kind: str) -> tuple[float, float]:
    """The true mean and the true sigma of a label."""
    from heliograph.chem.parse import parse_smiles

    mol = parse_smiles(smiles)
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    worth = {"C": 0.4, "N": -0.8, "O": -1.0, "F": 0.3, "S": 0.6, "Cl": 0.7}
    mean = sum(worth.get(s, 0.0) for s in symbols)
    rings = mol.GetRingInfo().NumRings()
    if kind == "substructure":  # which the calibration has no feature of: a head has to find it
        carbonyl = any(
            b.GetBondTypeAsDouble() == 2.0 and {"C", "O"} == {b.GetBeginAtom().GetSymbol(), b.GetEndAtom().GetSymbol()}
            for b in mol.GetBonds()
        )
        methyls = sum(a.GetSymbol() == "C" and a.GetTotalNumHs() == 3 for a in mol.GetAtoms())
        return mean, 0.2 + 0.6 * carbonyl + 0.15 * methyls
    structure = 0.2 + 0.25 * rings + 0.35 * symbols.count("N") + 0.15 * symbols.count("O")
    return mean, structure if kind == "structure" else 0.5


def judge(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    """One kind of noise."""
    options.runs.mkdir(parents=True, exist_ok=True)
    records = [r for r in formats.read("smallmol") if r.structure is not None]
    texts = list(dict.fromkeys(r.meta["smiles"] for r in records))[: options.molecules]
    truth = np.array([planted(text, kind) for text in texts])  # [n, 2]
    random = np.random.default_rng(0)
    y = truth[:, 0] + truth[:, 1] * random.standard_normal(len(texts))
    data = options.runs / f"{kind}-{len(texts)}.csv"
    if not data.exists():
        with data.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["smiles", "y"])
            writer.writerows(zip(texts, y.tolist(), strict=True))
    here = options.runs / f"{kind}-{options.head}-{options.epochs}-{len(texts)}"
    config = TrainConfig(
        data=DataConfig(data_path=data, target_columns=("y",), num_workers=0),
        split=SplitConfig(split_sizes=(0.9, 0.1, 0.0)),
        model=ModelConfig(
            arch=options.arch,
            ensemble_size=5,
            members="folds",
            uncertainty_method=options.head,
            references="none",
        ),
        fit=FitConfig(epochs=options.epochs, baselines=False, accelerator="cpu"),
        trust=TrustConfig(domain="full"),
        output_dir=here,
    )
    result = run(config, resume=(here / "config.toml").is_file())
    predictor = Predictor.load(here / "model.safetensors")
    entry = Calibration.from_dict(predictor.document.calibration["targets"][0])
    oof = result.predictions["out_of_fold"]
    rows, pred = oof.rows, oof.y_pred[:, 0]
    sigma = out_of_fold_sigma(predictor, oof.structures, pred, entry, oof.y_std, options.head)
    mean, true = truth[rows, 0], truth[rows, 1]
    low, high = entry.interval(pred, sigma, 0.9)
    tenth = [part for part in np.array_split(np.argsort(true, kind="stable"), 10)]
    held = np.zeros(10)
    for _ in range(DRAWS):
        label = mean + true * random.standard_normal(len(mean))
        inside = metrics.covered(label, low, high)
        held += [inside[part].mean() / DRAWS for part in tenth]
    return {
        "noise": kind,
        "head": options.head,
        "molecules": len(rows),
        "epochs": options.epochs,
        "arch": options.arch,
        "method": entry.method,
        "spearman_of_sigmas": round(metrics.spearman(sigma, true), 3) if kind != "constant" else None,
        "coverage_90_by_tenth": [round(float(h), 3) for h in held],
        "spread_of_sigma": round(float(sigma.std() / sigma.mean()), 3),
        "rmse_of_mean": round(float(np.sqrt(np.square(pred - mean).mean())), 3),
    }


def out_of_fold_sigma(
    predictor: Predictor,
    structures: Any,
    pred: np.ndarray,
    entry: Calibration,
    spread: np.ndarray | None,
    head: str,
) -> np.ndarray:
    """Sigma of the out-of-fold answers; with a head its own out-of-fold spread is not kept, so
    members' mean stands for it.
    """
    from heliograph.chem import featurize
    from heliograph.data.store import Store

    store = Store.build(
        [featurize(s, predictor.featurizer, scaffold=False) for s in structures],
        predictor.featurizer,
    )
    folds = np.random.default_rng(0).permutation(len(store)) % 5
    _, place = Domain.fit(store, np.arange(len(store)), folds, "full")
    raw = predictor.with_trust({}, {}).predict_store(store)
    kinds = [name for name in entry.uses if name.startswith(KIND)]
    heads = None if raw.head is None else raw.head[:, 0]
    return entry.sigma(features(store, pred, heads, place, kinds), len(pred))


def main() -> None:
    """Both kinds of noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=6373)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--arch", default="gcn")
    parser.add_argument("--head", default="none", choices=["none", "mve", "evidential", "quantiles"])
    parser.add_argument("--kinds", nargs="+", default=["structure", "constant"])
    parser.add_argument("--runs", type=Path, required=True, help="folder that keeps the runs")
    parser.add_argument("-o", "--output", type=Path, help="append JSON lines here too")
    options = parser.parse_args()
    for kind in options.kinds:
        text = json.dumps(judge(options, kind))
        print(text, flush=True)
        if options.output is not None:
            with options.output.open("a", encoding="utf-8") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    main()
