"""Made-up comparisons of every kind, as a comparison would leave them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from report_cases import HOSTILE, SMILES

from heliograph.compare.bounds import Bound, Twin
from heliograph.compare.curve import Curve, fit
from heliograph.compare.disagreement import Disagreement
from heliograph.compare.result import CompareResult, Learner
from heliograph.diagnose.propagation import Propagation

NETWORKS = ("gcn", "gin", "gatv2", "dmpnn", "attentivefp", "pna")
BASELINES = ("mean", "random forest", "gradient boosting")
METRICS = {"regression": ("rmse", "mae", "r2"), "binary": ("roc_auc", "accuracy"), "multiclass": ("accuracy", "log_loss")}


def config(cv: str, networks: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    data = {
        "data_path": "made/up.csv",
        "smiles_columns": None,
        "target_columns": ["a"],
        "task_type": "auto",
        "units": [],
        "geometry": "auto",
    }
    compare = {"archs": list(networks), "cv": cv, "split": "random", "parameters": None, "rope": None, "jobs": 1}
    return {
        "data": data,
        "compare": compare | changes,
        "fit": {"epochs": 30, "budget": None, "seed": 0, "metrics": []},
        "output_dir": "my run",
    }


def comparison(
    kind: str = "regression", networks: tuple[str, ...] = NETWORKS, cv: str = "5x5", targets: int = 1, **changes: Any
) -> CompareResult:
    """Learners of which each is a little worse than the one before; errors of several targets in several units."""
    rng = np.random.default_rng(0)
    repeats, folds = (int(n) for n in cv.split("x"))
    J, names = repeats * folds, (*networks, *BASELINES)
    quality = np.array([0.6 + 0.022 * k for k in range(len(networks))] + [1.3, 0.75, 0.7])
    easy = rng.normal(size=(J, 1, 1)) * 0.04  # a fold's own luck, which all share
    values = quality[None, :, None] + easy + rng.normal(size=(J, len(names), targets)) * 0.03
    scores = {}
    for name in METRICS[kind]:
        scores[name] = values * 10.0 ** np.arange(targets) if name in ("rmse", "mae", "log_loss") else 1.4 - values
    learners = [
        Learner(n, True, 40_000 * (k + 1), 30, 60.0 * (k % 4 + 1) * (1 + k / 3), 900.0 / (k + 1), 4000.0 / (k % 3 + 1) + k, 80.0 + k)
        for k, n in enumerate(networks)
    ]
    learners += [Learner(n, False, None, None, s, None, None) for n, s in zip(BASELINES, (0.001, 41.0, 9.0), strict=True)]
    columns = tuple(f"target {t}" for t in range(targets)) if targets > 1 else ("log solubility",)
    fields: dict[str, Any] = {
        "config": config(cv, networks), "kind": kind, "targets": columns,
        "units": ("log mol/L",) * targets if kind == "regression" else ("",) * targets,
        "molecules": 1128, "folds": tuple(f"{r + 1}.{f + 1}" for r in range(repeats) for f in range(folds)),
        "learners": tuple(learners), "scores": scores, "bounds": (bound(networks, METRICS[kind][0]),), "notes": ("2 rows are left out.",),
        "classes": () if kind == "regression" else (("no", "yes", "perhaps")[: 2 if kind == "binary" else 3],) * targets,
        "disagreements": disagreements(kind, networks, columns, rng), "versions": {"python": "3.11", "heliograph": "0.1"},
        "command": "heliograph compare made/up.csv -o 'my run'", "finished": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    return CompareResult(**fields | changes)


def bound(networks: tuple[str, ...], metric: str, **changes: Any) -> Bound:
    pairs = (("C[C@H](O)F", "C[C@@H](O)F"), ("F/C=C/F", r"F/C=C\F"), ("CCO", "CCO"), ("CC", "CC"), ("CN", "CN"), ("CF", "CF"), ("CS", "CS"))
    twins = [Twin(pair, (k, k + 7), (0.0, 1.0), 0.4 / (k + 1), "they differ in stereochemistry only") for k, pair in enumerate(pairs)]
    floor = (0.147, 0.041, 0.023, 0.02) if metric in ("rmse", "log_loss") else (0.82, 0.94, 0.97, 0.971)
    fields: dict[str, Any] = {
        "features": "table10_1", "archs": networks, "bounded": networks[:-1], "metric": metric, "table": floor,
        "folds": tuple(v * 0.9 for v in floor), "sharing": (120, 44, 30, 28), "twins": tuple(twins),
        "noise": "9 structures are there more than once (20 rows); their labels scatter by 0.3 (95 %: 0.2 to 0.5).",
        "depth": (("diameter", "The two atoms farthest apart are 9 bonds apart."), ("gap", "Averaging takes about 12 rounds.")),
    }  # fmt: skip
    return Bound(**fields | changes)


def disagreements(kind: str, networks: tuple[str, ...], targets: tuple[str, ...], rng: np.random.Generator) -> tuple[Disagreement, ...]:
    found = []
    for k, structure in enumerate(SMILES[:12]):
        values = rng.normal(size=len(networks) + 2) if kind == "regression" else rng.random(len(networks) + 2)
        answers = dict(zip((*networks, *BASELINES[1:]), values.tolist(), strict=True))
        spread = float(np.std(values[: len(networks)]))
        label = -0.5 if kind == "regression" else float(k % 2)
        found.append(Disagreement(structure, 3 * k, targets[k % len(targets)], label, answers, networks, spread))
    return tuple(found)


def undefined_on_folds() -> CompareResult:
    """A metric that is not the main one is missing on some folds, a task's main metric on one."""
    made = comparison("binary", targets=3)
    made.scores["roc_auc"][4, :, 1] = math.nan
    made.scores["accuracy"][:, 2] = math.nan
    made.scores["accuracy"][3:9, 1] = math.nan
    return made


def equal() -> CompareResult:
    """Learners that score the same to the last bit."""
    made = comparison(networks=("gcn", "gin", "sage"), cv="2x3")
    for values in made.scores.values():
        values[:, 1] = values[:, 0]
        values[:, 2] = values[:, 0] + 0.5
    return made


def free() -> CompareResult:
    """Costs that could not be measured."""
    made = comparison(networks=("gcn", "gin"), cv="1x2")
    learners = tuple(Learner(k.name, k.network, None, None, 0.0, None, None) for k in made.learners)
    return comparison(networks=("gcn", "gin"), cv="1x2", learners=learners)


def hostile() -> CompareResult:
    """Every text is an attack."""
    networks = (f"/tmp/{HOSTILE}/mine.py", HOSTILE)
    twin = Twin((HOSTILE, "C" * 10_000), (0, 1), (0.0, 1.0), 0.5, HOSTILE)
    one = Disagreement(HOSTILE, 0, HOSTILE, 0.5, {networks[0]: 0.1, HOSTILE: 0.7}, networks, 0.3)
    made = comparison(networks=networks, cv="2x2")
    learners = tuple(k for k in made.learners if k.network or k.name == "mean")
    asked = config("2x2", networks)
    asked["data"] |= {"data_path": HOSTILE, "target_columns": [HOSTILE]}
    return CompareResult(
        asked | {"output_dir": HOSTILE}, "regression", (HOSTILE,), (HOSTILE,), 9, made.folds, learners,
        {m: v[:, :3] for m, v in made.scores.items()},
        (bound(networks, "rmse", features=HOSTILE, twins=(twin,), noise=HOSTILE, depth=((HOSTILE, HOSTILE),)),),
        (Curve(HOSTILE, (5, 9), ((1.0, 1.1), (0.8, 0.9)), -0.3, -0.5, -0.1),), (Propagation(HOSTILE, (0.9, 0.2), (0.7, 0.3), (0.5, 0.5)),),
        (HOSTILE, "C" * 10_000), (), (one,), {HOSTILE: HOSTILE}, HOSTILE, HOSTILE,
    )  # fmt: skip


def asked_for_more() -> CompareResult:
    """With learning curves and what depth does."""
    made = comparison()
    sizes, rng = (113, 226, 451, 902), np.random.default_rng(5)
    curves = []
    for k, name in enumerate(made.ranking):
        errors = np.exp(rng.normal(scale=0.02, size=(4, 5))) * (3 + 0.3 * k) * np.array(sizes)[:, None] ** -0.25
        curve = fit(name, sizes, errors, 0.25)
        assert curve is not None
        curves.append(curve)
    propagation = tuple(Propagation(n, (0.9, 0.6, 0.3), (0.5, 0.2, 0.1, 0.1, 0.05, 0.05), (0.1, 0.2, 0.2, 0.2, 0.1, 0.2)) for n in NETWORKS)
    return replace(made, curves=tuple(curves), propagation=propagation)


def tuned() -> CompareResult:
    """With settings that trials chose."""
    made = comparison()
    chosen = [{"max_lr": 2.1e-3, "depth": 3}, {}]
    learners = tuple(replace(k, settings=chosen[j % 2]) for j, k in enumerate(made.learners))
    asked = dict(made.config["compare"]) | {"tune": 10, "sample": 500}
    return replace(made, learners=learners, config=made.config | {"compare": asked})


def two() -> CompareResult:
    """One network, nothing but the mean and a forest beside it, in two folds."""
    made = comparison(networks=("gcn",), cv="1x2")
    names = ("gcn", "random forest")
    apart = tuple(replace(one, answers={name: one.answers[name] for name in names}, among=names) for one in made.disagreements)
    return replace(made, learners=made.learners[:3], scores={m: v[:, :3] for m, v in made.scores.items()}, disagreements=apart)


def many() -> CompareResult:
    return comparison(networks=tuple(f"net {k}" for k in range(18)))


CASES: dict[str, Callable[[], CompareResult]] = {
    "regression": comparison,
    "binary": lambda: comparison("binary"),
    "multiclass": lambda: comparison("multiclass", cv="2x3"),
    "multi-task": lambda: comparison(targets=3),
    "multi-task binary": lambda: comparison("binary", targets=12, cv="2x5"),
    "two learners": two,
    "twenty learners": many,
    "no bounds": lambda: comparison(networks=("schnet", "dtnn"), bounds=(), disagreements=()),
    "one round": lambda: comparison(
        bounds=(bound(NETWORKS, "rmse", table=(0.0,), folds=(0.0,), sharing=(0,), twins=(), noise="", depth=()),)
    ),
    "floor undefined": lambda: comparison(
        bounds=(bound(NETWORKS, "rmse", table=(0.1, math.nan), folds=(math.nan, math.nan), sharing=(3, 3), bounded=()),)
    ),
    "undefined on folds": undefined_on_folds,
    "equal": equal,
    "no costs": free,
    "hostile": hostile,
    "asked for more": asked_for_more,
    "tuned": tuned,
}
