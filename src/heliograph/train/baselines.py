"""What a simple model makes of the same parts: to know whether the network was worth it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from heliograph.learn import metrics
from heliograph.learn.progress import Progress
from heliograph.learn.task import Task
from heliograph.train.result import Baseline

MOST_KERNEL = 6_000  # training molecules that a kernel matrix is made of
MOST_CHOOSING = 1_500  # of them, and of validation molecules, to choose the kernel's length and the ridge with
MOST_ANSWERS = 10_000  # molecules of a part that it answers for
MOST_FOREST = 20_000
TREES = 500  # of a forest
ROUNDS = 100  # of gradient boosting
LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the median distance
RIDGES = (1e-8, 1e-6, 1e-4, 1e-2)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What baselines learn from. `y` [G, T] NaN = missing; `parts`: row numbers into all of it; `smiles` [G], `z`, `pos` per molecule."""

    task: Task
    y: np.ndarray
    parts: dict[str, np.ndarray]
    smiles: list[str]
    geometry: list[tuple[np.ndarray, np.ndarray]] | None  # (z [n], pos [n, 3]) each
    composition: np.ndarray  # [G, 119]
    names: tuple[str, ...]  # of the metrics
    seed: int = 0
    settings: Mapping[str, float] = field(default_factory=dict)  # of scikit-learn's forests, where they are not its defaults


Answers = tuple[np.ndarray, np.ndarray | None]
Parts = dict[str, Answers]


def fit_all(inputs: Inputs, progress: Progress) -> tuple[dict[str, Baseline], list[str]]:
    """Every baseline that the data allows, and notes on what was left out to keep it small."""
    notes: list[str] = []
    todo: dict[str, Callable[[Inputs, list[str]], Parts]] = {"mean": mean}
    if any(inputs.smiles[k] for k in inputs.parts["train"][:100]) and inputs.geometry is None:
        todo["random forest on ECFP4"] = forest
    if inputs.geometry is not None and inputs.task.kind == "regression":
        todo["kernel ridge on Coulomb matrices"] = kernel_ridge
    found = {}
    for k, (name, function) in enumerate(todo.items()):
        progress("baselines", k, len(todo), name)
        started = time.perf_counter()
        answers = function(inputs, notes)
        scores = {
            part: metrics.evaluate(inputs.task, inputs.names, inputs.y[inputs.parts[part]], *answers[part])
            for part in ("val", "test") if len(inputs.parts[part])
        }  # fmt: skip
        found[name] = Baseline(scores, time.perf_counter() - started)
    progress("baselines", len(todo), len(todo))
    return found, notes


def mean(inputs: Inputs, notes: list[str]) -> Parts:
    """The training mean of each target; for classes, their shares."""
    task, train = inputs.task, inputs.y[inputs.parts["train"]]
    if task.kind == "multiclass":
        shares = np.stack([_shares(column, task.n_classes) for column in train.T])  # [T, C]
        return {part: _chosen(np.repeat(shares[None], len(rows), 0)) for part, rows in inputs.parts.items()}
    middle = np.array([np.nanmean(c) if np.isfinite(c).any() else np.nan for c in train.T])
    return {part: (np.repeat(middle[None], len(rows), 0), None) for part, rows in inputs.parts.items()}


def _shares(column: np.ndarray, classes: int) -> np.ndarray:
    counts = np.bincount(column[np.isfinite(column)].astype(np.int64), minlength=classes)
    return np.asarray(counts / max(counts.sum(), 1))


def _chosen(probabilities: np.ndarray) -> Answers:
    return probabilities.argmax(-1).astype(np.float64), probabilities


def forest(inputs: Inputs, notes: list[str]) -> Parts:
    """500 trees on 2,048-bit ECFP4 fingerprints, scikit-learn's defaults but for `settings`."""
    from scipy.sparse import csc_matrix
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if inputs.task.kind == "regression" else RandomForestClassifier
    make = partial(kind, n_estimators=TREES, n_jobs=-1, random_state=inputs.seed, **inputs.settings)
    return _on_fingerprints(inputs, make, "random forest", notes, columns=csc_matrix)  # few bits are set: less time


def boosting(inputs: Inputs, notes: list[str]) -> Parts:
    """Gradient boosting by histograms on the same fingerprints, scikit-learn's defaults (100 trees of at most 31 leaves)."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if inputs.task.kind == "regression" else HistGradientBoostingClassifier
    make = partial(kind, max_iter=ROUNDS, random_state=inputs.seed, **inputs.settings)
    return _on_fingerprints(inputs, lambda: _Varying(make()), "gradient boosting", notes)


class _Varying:
    """A model that sees the columns that vary in training only: it could not split on the others, and each costs it time."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, X: np.ndarray, y: np.ndarray) -> None:
        self.columns = (X[:1] != X).any(0)
        self.columns[0] = True  # one at least
        self.model.fit(X[:, self.columns], y)

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(X[:, self.columns]))

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict_proba(X[:, self.columns]))

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.model.classes_)


def _on_fingerprints(
    inputs: Inputs, make: Callable[[], Any], name: str, notes: list[str], columns: Callable[[np.ndarray], Any] = np.asarray
) -> Parts:
    """A model for each target on ECFP4, held as the model likes it."""
    from heliograph.chem import ecfp

    task = inputs.task
    train = _some(inputs, MOST_FOREST, name, notes)
    bits = {part: columns(ecfp([inputs.smiles[k] for k in rows])) for part, rows in (inputs.parts | {"train": train}).items()}
    found: dict[str, list[np.ndarray]] = {part: [] for part in inputs.parts}
    for t in range(len(task.targets)):
        present = np.isfinite(inputs.y[train, t])
        model, labels = make(), inputs.y[train, t][present]
        middle, scale = _unit(labels) if task.kind == "regression" else (0.0, 1.0)
        if present.any():
            free = (labels - middle) / scale if task.kind == "regression" else labels
            model.fit(bits["train"][present], free.round(12))  # without last digits, which depend on the unit, and ties on them
            if hasattr(model, "n_jobs"):
                model.n_jobs = 1  # several threads add up the trees in the order in which they come: other last digits every time
        for part in inputs.parts:
            answer = _forest_answer(task, model, bits[part]) if present.any() else _unknown(task, bits[part].shape[0])
            found[part].append(answer * scale + middle)
    out: Parts = {}
    for part, of_targets in found.items():
        stacked = np.stack(of_targets, axis=1)  # [n, T] or [n, T, C]
        out[part] = _chosen(stacked) if task.kind == "multiclass" else (stacked, None)
    return out


def _unit(labels: np.ndarray) -> tuple[float, float]:
    """Mean and deviation, which labels are freed of: trees do not split what varies by less than 1e-16, whatever its unit."""
    if not len(labels):
        return 0.0, 1.0
    middle, scale = float(labels.mean()), float(labels.std())
    return middle, scale if scale > 1e-12 * float(np.abs(labels).max()) else 1.0


def _unknown(task: Task, n: int) -> np.ndarray:
    return np.full((n, task.n_classes) if task.kind == "multiclass" else n, np.nan)


def _forest_answer(task: Task, model: Any, bits: Any) -> np.ndarray:
    """[n], or [n, C] for multiclass."""
    if not bits.shape[0]:
        return _unknown(task, 0)
    if task.kind == "regression":
        return np.asarray(model.predict(bits))
    known = model.predict_proba(bits)  # [n, classes seen]
    probabilities = np.zeros((bits.shape[0], max(2, task.n_classes)))
    probabilities[:, model.classes_.astype(int)] = known
    return probabilities if task.kind == "multiclass" else probabilities[:, 1]


def kernel_ridge(inputs: Inputs, notes: list[str]) -> Parts:
    """On Coulomb matrices with sorted rows: M. Rupp et al., Phys. Rev. Lett. 2012, 108, 058301; K. Hansen et al., J. Chem. Theory
    Comput. 2013, 9, 3404."""
    from heliograph.chem.coulomb import coulomb

    return _kernel_ridge(inputs, coulomb, "kernel ridge on Coulomb matrices", notes)


def bonds_ridge(inputs: Inputs, notes: list[str]) -> Parts:
    """On bags of bonds: K. Hansen et al., J. Phys. Chem. Lett. 2015, 6, 2326."""
    from heliograph.chem.coulomb import bag_of_bonds

    return _kernel_ridge(inputs, bag_of_bonds, "kernel ridge on bags of bonds", notes)


def _kernel_ridge(
    inputs: Inputs, represent: Callable[[list[tuple[np.ndarray, np.ndarray]]], np.ndarray], name: str, notes: list[str]
) -> Parts:
    """Laplacian kernel; its length and the ridge by the validation error. What composition explains (least squares on the training
    part) is taken off first."""
    assert inputs.geometry is not None
    train = _some(inputs, MOST_KERNEL, name, notes)
    parts = {part: rows[:MOST_ANSWERS] for part, rows in inputs.parts.items()} | {"train": train}
    if any(len(rows) > MOST_ANSWERS for part, rows in inputs.parts.items() if part != "train"):
        notes.append(f"The baseline {name} answered for the first {MOST_ANSWERS:,} molecules of each part.")
    together = represent([inputs.geometry[k] for rows in parts.values() for k in rows])
    ends = np.cumsum([len(rows) for rows in parts.values()])
    matrices = dict(zip(parts, np.split(together, ends[:-1]), strict=True))
    out = {part: np.full((len(rows), len(inputs.task.targets)), np.nan) for part, rows in inputs.parts.items()}
    for t in range(len(inputs.task.targets)):
        base = _by_composition(inputs.y[:, t], inputs.composition, train)
        rest = {part: inputs.y[rows, t] - base[rows] for part, rows in parts.items()}
        for part, answer in _kernel_answers(matrices, rest).items():
            out[part][: len(parts[part]) if part != "train" else 0, t] = answer + base[parts[part]]
    return {part: (answer, None) for part, answer in out.items()}


def _by_composition(y: np.ndarray, composition: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Least squares on the atom counts and a constant, fitted where `train` has labels; for all molecules."""
    design = np.column_stack([composition[:, composition[train].any(0)], np.ones(len(y))]).astype(np.float64)
    rows = train[np.isfinite(y[train])]
    return np.asarray(design @ np.linalg.lstsq(design[rows], y[rows], rcond=None)[0])


def _kernel_answers(matrices: dict[str, np.ndarray], y: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Answers for val and test; length and ridge are chosen with at most `MOST_CHOOSING` molecules of train and val."""
    from scipy.spatial.distance import cdist

    present = np.isfinite(y["train"])
    x, labels = matrices["train"][present], y["train"][present]
    judge = np.flatnonzero(np.isfinite(y["val"]))[:MOST_CHOOSING]
    few, truth = slice(MOST_CHOOSING), y["val"][judge]
    near = cdist(x[few], x[few], "cityblock")
    scale = float(np.median(near)) or 1.0
    best = (np.inf, LENGTHS[len(LENGTHS) // 2] * scale, RIDGES[1])
    if len(judge):
        far = cdist(matrices["val"][judge], x[few], "cityblock")
        for length in (factor * scale for factor in LENGTHS):
            for ridge in RIDGES:
                answers = np.exp(-far / length) @ _kernel_weights(near, labels[few], length, ridge)
                best = min(best, (float(np.abs(answers - truth).mean()), length, ridge))
    _, length, ridge = best
    weights = _kernel_weights(cdist(x, x, "cityblock"), labels, length, ridge)
    pieces = {part: [np.exp(-cdist(m[k : k + 1000], x, "cityblock") / length) @ weights for k in range(0, len(m), 1000)]
              for part, m in matrices.items() if part != "train"}  # fmt: skip
    return {part: np.concatenate([np.zeros(0), *answers]) for part, answers in pieces.items()}


def _kernel_weights(apart: np.ndarray, y: np.ndarray, length: float, ridge: float) -> np.ndarray:
    from scipy.linalg import solve

    kernel = np.exp(-apart / length)
    kernel[np.diag_indices_from(kernel)] += ridge
    return np.asarray(solve(kernel, y, assume_a="pos"))


def _some(inputs: Inputs, most: int, name: str, notes: list[str]) -> np.ndarray:
    """Training rows, a random choice where they are too many."""
    train = inputs.parts["train"]
    if len(train) <= most:
        return train
    notes.append(
        f"The baseline {name} learned from {most:,} of the {len(train):,} training molecules, chosen at random, "
        "to stay within memory and time."
    )
    return np.sort(np.random.default_rng(inputs.seed).choice(train, most, replace=False))
