"""Made-up results of every kind, as a training would leave them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from heliograph.learn.figures import Epoch, Kind, Metrics
from heliograph.report.stats import r2, roc_auc
from heliograph.train.predictions import Predictions
from heliograph.train.result import BadRow, Baseline, Cost, DataSummary, Replicate, TrainResult, describe

# SMILES, heavy atoms, scaffold
MOLECULES = """
CCO 3
c1ccccc1O 7 c1ccccc1
CC(=O)Oc1ccccc1C(=O)O 13 c1ccccc1
CN1C=NC2=C1C(=O)N(C(=O)N2C)C 14 O=c1[nH]c(=O)c2nc[nH]c2[nH]1
CC(C)Cc1ccc(cc1)C(C)C(=O)O 15 c1ccccc1
C1CCCCC1 6 C1CCCCC1
OCC1OC(O)C(O)C(O)C1O 12 C1CCOCC1
Clc1ccc(cc1)C(c1ccc(Cl)cc1)C(Cl)(Cl)Cl 19 c1ccc(Cc2ccccc2)cc1
c1ccc2ccccc2c1 10 c1ccc2ccccc2c1
CCCCCCCC 8
NC(=O)c1cccnc1 9 c1ccncc1
FC(F)(F)c1ccccc1 10 c1ccccc1
O=C1NC(=O)NC1(c1ccccc1)c1ccccc1 19 O=C1NC(=O)C(c2ccccc2)(c2ccccc2)N1
CC12CCC3C(CCC4=CC(=O)CCC34C)C1CCC2O 21 O=C1C=C2CCC3C4CCCC4CCC3C2CC1
c1ccsc1 5 c1ccsc1
CS(C)=O 4
N#Cc1ccccc1 8 c1ccccc1
CC(C)(C)c1ccc(O)cc1 11 c1ccccc1
OC(=O)c1ccccc1O 10 c1ccccc1
c1ccc(cc1)-c1ccccc1 12 c1ccc(-c2ccccc2)cc1
"""
BAD = (BadRow(4, "CN(C)(C)(C)C", "valence of N is 5"), BadRow(9, "", "empty"))
_ROWS = [[*line.split(), ""][:3] for line in MOLECULES.strip().splitlines()]
SMILES, SIZES, SCAFFOLDS = [r[0] for r in _ROWS], np.array([int(r[1]) for r in _ROWS]), [r[2] for r in _ROWS]
CONFIG: dict[str, Any] = {
    "data": {
        "data_path": "made/up.csv",
        "smiles_columns": None,
        "target_columns": ["a"],
        "task_type": "auto",
        "geometry": "auto",
        "num_workers": 2,
    },
    "split": {"split": "random", "split_sizes": [0.8, 0.1, 0.1], "splits_column": None, "num_replicates": 1},
    "model": {"arch": "dmpnn", "arch_args": {"steps": 3}, "ensemble_size": 1, "references": "auto"},
    "fit": {"epochs": 40, "budget": None, "batch_size": 64, "loss": "mse", "max_lr": 1e-3, "seed": 0, "ema": 0.0, "precision": "32"},
    "output_dir": "run",
}


def predictions(y: np.ndarray, y_pred: np.ndarray, first_row: int = 0, **more: Any) -> Predictions:
    which = np.arange(len(y)) % len(SMILES)
    return Predictions(
        rows=np.arange(len(y)) + first_row,
        ids=tuple(f"mol-{i}" for i in range(len(y))),
        structures=tuple(SMILES[k] for k in which),
        n_atoms=SIZES[which],
        scaffolds=tuple(SCAFFOLDS[k] for k in which),
        y_true=y,
        y_pred=y_pred,
        **more,
    )


def measured(kind: Kind, targets: tuple[str, ...], y: np.ndarray, p: np.ndarray) -> Metrics:
    """Metrics of each target and their mean, NaN where there is nothing to measure."""
    nest: Metrics = {}
    for t, target in enumerate(targets):
        good = np.isfinite(y[:, t])
        a, b = y[good, t], p[good, t]
        if not len(a):
            nest[target] = dict.fromkeys(("rmse", "mae", "r2") if kind == "regression" else ("roc_auc", "accuracy"), math.nan)
        elif kind == "regression":
            nest[target] = {"rmse": float(np.sqrt(((a - b) ** 2).mean())), "mae": float(np.abs(a - b).mean()), "r2": r2(a, b)}
        elif kind == "binary":
            nest[target] = {"roc_auc": roc_auc(a, b), "accuracy": float(((b > 0.5) == a).mean())}
        else:
            nest[target] = {"accuracy": float((a == b).mean())}
    names = next(iter(nest.values()), {})
    columns = {m: [v[m] for v in nest.values() if math.isfinite(v[m])] for m in names}
    return nest | ({"mean": {m: float(np.mean(c)) if c else math.nan for m, c in columns.items()}} if len(targets) > 1 else {})


def history(members: int, epochs: int, metric: str, *, val: bool = True) -> tuple[Epoch, ...]:
    rng = np.random.default_rng(0)
    rows = []
    for m in range(members):
        for e in range(epochs):
            train = 1.5 * math.exp(-e / 6) + 0.12 + 0.01 * rng.random()
            loss = 1.5 * math.exp(-e / 5) + 0.35 + 0.004 * e + 0.05 * rng.random() if val else math.nan
            value = (0.9 - 0.4 * math.exp(-e / 6)) if metric in ("roc_auc", "accuracy") else math.sqrt(loss) if val else math.nan
            rows.append(
                Epoch(
                    m,
                    e,
                    train,
                    loss,
                    {metric: value} if val else {},
                    1e-3,
                    3 * math.exp(-e / 9) + rng.random(),
                    0.4 + 0.3 * e / epochs,
                    0.7,
                )
            )
    return tuple(rows)


def result(
    kind: Kind, y: dict[str, np.ndarray], pred: dict[str, np.ndarray], *, members: int = 1, targets: tuple[str, ...] = (), **changes: Any
) -> TrainResult:
    """A result from truths and predictions per part; `changes` replaces fields."""
    width = next(iter(y.values())).shape[1]
    targets = targets or tuple(f"target {t}" for t in range(width)) if width > 1 else targets or ("log solubility",)
    main = {"regression": "rmse", "binary": "roc_auc", "multiclass": "accuracy"}[kind]
    rng = np.random.default_rng(1)
    metrics = {part: measured(kind, targets, y[part], pred[part]) for part in pred}
    worse = {part: np.roll(pred[part], 1, axis=0) if kind != "regression" else pred[part] * 0.3 for part in pred}
    forest = Baseline({part: measured(kind, targets, y[part], worse[part]) for part in pred}, 3.2)
    nothing = {part: measured(kind, targets, y[part], np.zeros_like(y[part])) for part in pred}
    probabilities = changes.pop("probabilities", {})
    starts = dict(zip(y, np.cumsum([0, *(len(v) for v in y.values())]).tolist(), strict=False))
    parts = {
        part: predictions(y[part], pred[part], starts[part], y_std=rng.uniform(0.1, 0.6, y[part].shape) if members > 1 else None,
                          probabilities=probabilities.get(part))
        for part in pred
    }  # fmt: skip
    values: dict[str, Any] = {
        "config": CONFIG | {"model": CONFIG["model"] | {"ensemble_size": members}},
        "kind": kind, "targets": targets, "main_metric": main, "units": ("log mol/L",) * len(targets) if kind == "regression" else (),
        "predictions": parts, "metrics": metrics,
        "data": DataSummary("made/up.csv", ("smiles", *targets), 1003, 1001, {"valence of N is 5": 1, "empty": 1}, BAD),
        "split": describe(y, {part: [SCAFFOLDS[k % len(SCAFFOLDS)] for k in range(len(v))] for part, v in y.items()}, kind),
        "rows": {part: np.arange(len(v)) for part, v in y.items()},
        "history": history(members, 40, main, val="val" in pred), "best_epochs": tuple(38 - 5 * m for m in range(members)),
        "baselines": {"mean": Baseline(nothing, 0.01), "random forest on ECFP4": forest},
        "cost": Cost(314_159, 2.1, 75.0, 0.4, 40, 980.0, 812.0, "cpu", 2), "notes": ("3D model given SMILES: conformers embedded.",),
        "model_files": tuple(f"model_{m}.safetensors" for m in range(members)) if members > 1 else ("model.safetensors",),
        "versions": {"heliograph": "0.1.0", "torch": "2.13.0", "rdkit": "2026.3.6", "python": "3.11"},
        "command": "heliograph train made/up.csv --arch dmpnn -o run", "finished": "2025-01-31 12:00",
    }  # fmt: skip
    return TrainResult(**values | changes)


def regression(n: int = 120, *, members: int = 1, noise: float = 0.5, **changes: Any) -> TrainResult:
    rng = np.random.default_rng(2)
    y = {part: rng.normal(-3, 2, (k, 1)) for part, k in (("train", 8 * n), ("val", n), ("test", n))}
    pred = {part: y[part] + rng.normal(0, noise, y[part].shape) for part in ("val", "test")}
    return result("regression", y, pred, members=members, **changes)


def binary(n: int = 200, **changes: Any) -> TrainResult:
    rng = np.random.default_rng(3)
    y = {part: (rng.random((k, 1)) < 0.7).astype(float) for part, k in (("train", 8 * n), ("val", n), ("test", n))}
    pred = {part: 1 / (1 + np.exp(-(3 * (y[part] - 0.5) + rng.normal(0, 1.3, y[part].shape)))) for part in ("val", "test")}
    return result("binary", y, pred, targets=("crosses the barrier",), classes=(("no", "yes"),), **changes)


def multiclass(n: int = 150, classes: int = 4, **changes: Any) -> TrainResult:
    rng = np.random.default_rng(4)
    y = {part: rng.integers(0, classes, (k, 1)).astype(float) for part, k in (("train", 4 * n), ("val", n), ("test", n))}
    probabilities = {}
    for part in ("val", "test"):
        logits = rng.normal(0, 1, (n, 1, classes)) + 2.2 * (np.arange(classes) == y[part][:, :, None])
        probabilities[part] = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    pred = {part: p.argmax(axis=2).astype(float) for part, p in probabilities.items()}
    names = tuple(f"class {chr(65 + k)}" for k in range(classes))
    return result("multiclass", y, pred, targets=("odour",), classes=(names,), probabilities=probabilities, **changes)


def many(kind: Kind = "regression", width: int = 5, n: int = 80, *, members: int = 1) -> TrainResult:
    rng = np.random.default_rng(5)
    y = {part: rng.normal(0, 1, (k, width)) for part, k in (("train", 4 * n), ("val", n), ("test", n))}
    if kind == "binary":
        y = {part: (v > 0.5).astype(float) for part, v in y.items()}
    pred = {part: y[part] + rng.normal(0, 0.4, y[part].shape) for part in ("val", "test")}
    if kind == "binary":
        pred = {part: np.clip(0.5 * p + 0.25, 0, 1) for part, p in pred.items()}
    for v in y.values():
        v[rng.random(v.shape) < 0.3] = np.nan
    return result(kind, y, pred, members=members)


def _part(values: list[list[float]]) -> np.ndarray:
    return np.array(values, dtype=float).reshape(len(values), -1)


def one_molecule() -> TrainResult:
    return result("regression", {"train": _part([[1.0], [2.0]]), "test": _part([[1.5]])}, {"test": _part([[1.4]])}, members=3)


def constant_target() -> TrainResult:
    same = np.full((20, 1), 7.0)
    return result("regression", {"train": same, "val": same, "test": same}, {"val": same, "test": same}, members=2)


def no_labels() -> TrainResult:
    y, nothing = np.random.default_rng(0).normal(size=(20, 2)), np.full((6, 2), np.nan)
    y[:, 1] = np.nan
    return result("regression", {"train": y, "val": nothing, "test": nothing}, {"val": np.zeros((6, 2)), "test": np.zeros((6, 2))})


def no_validation() -> TrainResult:
    y = np.random.default_rng(0).normal(size=(30, 1))
    return result("regression", {"train": y, "test": y[:10]}, {"test": y[:10] + 0.1}, best_epochs=())


def no_test() -> TrainResult:
    y = np.random.default_rng(0).normal(size=(30, 1))
    return result("regression", {"train": y, "val": y[:10], "test": y[:0]}, {"val": y[:10] + 0.1, "test": y[:0]})


def nothing_held_back() -> TrainResult:
    y = np.random.default_rng(0).normal(size=(30, 1))
    return result(
        "regression",
        {"train": y},
        {},
        history=(),
        best_epochs=(),
        baselines={},
        cost=Cost(),
        versions={},
        command="",
        notes=(),
        model_files=(),
        config={},
    )


def one_class() -> TrainResult:
    ones = np.ones((12, 1))
    return result("binary", {"train": ones, "val": ones, "test": ones}, {"val": ones * 0.9, "test": ones * 0.8})


def absurd_numbers() -> TrainResult:
    y = np.array([[1e300], [-1e300], [5e-324], [0.0], [math.inf], [-math.inf], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])
    with np.errstate(over="ignore", invalid="ignore"):
        pred = y[::-1].copy()
        made = regression(12)
        parts = {"train": y, "test": y}
        return result("regression", parts, {}, predictions={"test": predictions(y, pred, y_std=np.abs(pred))}, metrics=made.metrics,
                      history=(Epoch(0, 0, math.inf), Epoch(0, 1, -1.0, 1e300, {"rmse": 1e-300})))  # fmt: skip


def replicated() -> TrainResult:
    def scored(rmse: float) -> dict[str, Metrics]:
        return {"test": {"log solubility": {"rmse": rmse, "mae": rmse - 0.1}}}

    replicates = tuple(
        Replicate(
            f"random_{k}",
            scored(0.5 + 0.03 * k),
            {"mean": Baseline(scored(2.0)), "random forest on ECFP4": Baseline(scored(1.0 - 0.1 * k))},
        )
        for k in range(5)
    )
    return regression(replicates=replicates)


HOSTILE = '"><script>alert(1)</script>{{ 7 * 7 }}'


def hostile() -> TrainResult:
    """Text that would like to be markup, wherever a text can stand."""
    y = np.random.default_rng(0).normal(size=(30, 1))
    made = result(
        "regression",
        {"train": y, "val": y[:8], "test": y[:8]},
        {"val": y[:8], "test": y[:8] + 0.3},
        targets=(HOSTILE,),
        units=(HOSTILE,),
        members=2,
    )
    p = made.predictions["test"]
    texts = (HOSTILE, "\udcff\0", "C" * 5000, "</title></style>", "&amp;", "' onload='x", "<svg onload=alert(1)>", "日本語")
    evil = Predictions(p.rows, texts, texts, p.n_atoms, texts, p.y_true, p.y_pred, p.y_std)
    metrics = {"test": {HOSTILE: {HOSTILE: 1.0, "rmse": 0.3}}}
    changes: dict[str, Any] = {
        "predictions": {"test": evil},
        "metrics": metrics,
        "baselines": {HOSTILE: Baseline(metrics, 1.0)},
        "config": {
            "model": {"arch": HOSTILE, "arch_args": {HOSTILE: HOSTILE}},
            "output_dir": HOSTILE,
            "split": {"split": HOSTILE, "splits_column": HOSTILE},
        },
        "data": DataSummary(HOSTILE, texts, 9, 1, {HOSTILE: 8}, tuple(BadRow(0, t, t) for t in texts)),
        "history": made.history,
        "best_epochs": made.best_epochs,
        "cost": Cost(device=HOSTILE),
        "notes": texts,
        "model_files": texts,
        "versions": {HOSTILE: HOSTILE},
        "command": HOSTILE,
        "finished": HOSTILE,
    }
    return result("regression", {"train": y, "test": y[:8]}, {}, targets=(HOSTILE,), units=(HOSTILE,), **changes)


CASES: dict[str, Callable[[], TrainResult]] = {
    "regression": regression,
    "ensemble": lambda: regression(members=5),
    "large": lambda: regression(6000),
    "binary": binary,
    "multiclass": multiclass,
    "many classes": lambda: multiclass(classes=20),
    "multi-task": lambda: many(members=3),
    "multi-task binary": lambda: many("binary", 12),
    "617 targets": lambda: many("binary", 617, 20),
    "one molecule": one_molecule,
    "constant target": constant_target,
    "no labels": no_labels,
    "no validation": no_validation,
    "no test": no_test,
    "nothing held back": nothing_held_back,
    "one class": one_class,
    "absurd numbers": absurd_numbers,
    "replicates": replicated,
    "hostile": hostile,
}
