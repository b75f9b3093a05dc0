"""The scale on which targets are learned: per-element references where composition explains a target, then mean 0 and deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from heliograph.chem.elements import SYMBOLS
from heliograph.errors import DataError
from heliograph.learn.scale import Scaling
from heliograph.learn.task import Task

EXPLAINED = 0.9  # share of the variance that composition must explain before "auto" takes references off
LARGEST = 1e140  # of labels: sums of their squares are still numbers
SIZE_MATTERS = 0.5  # share of the variance explained by the number of atoms below which a target counts as intensive


@dataclass(frozen=True)
class Fitted:
    """`scaling`, and of each target whether it grows with the molecule (`extensive`) or does not care for its size (`intensive`)."""

    scaling: Scaling
    extensive: tuple[bool, ...]
    intensive: tuple[bool, ...]
    notes: tuple[str, ...] = ()


def fit(task: Task, y: np.ndarray, composition: np.ndarray, references: Literal["auto", "none", "fit"]) -> Fitted:
    """Scaling from training labels `y` [n, T] (NaN = missing) and `composition` [n, 119] with hydrogens.

    The unit of a target does not matter: c y gives c times the scaling. Raises DataError for labels beyond 1e140 or below 1e-140.
    """
    T = len(task.targets)
    if task.kind != "regression":
        return Fitted(Scaling.none(T), (False,) * T, (False,) * T)
    elements = [int(z) for z in np.flatnonzero(composition.any(0))]
    per_target = np.zeros((T, len(elements)))
    extensive, intensive, notes = [], [], []
    for t, name in enumerate(task.targets):
        _check_size(name, y[:, t])
        present = np.isfinite(y[:, t])
        counts, labels = composition[present][:, elements].astype(np.float64), y[present, t]
        values, explained, grows = _references(counts, labels)
        if references == "fit" or (references == "auto" and grows):
            per_target[t] = values
            notes.append(_sentence(name, task.units[t], elements, values, explained))
        extensive.append(grows)
        intensive.append(not grows and _explained(np.column_stack([counts.sum(1), np.ones(len(labels))]), labels)[1] < SIZE_MATTERS)
    table = {z: tuple(float(v) for v in per_target[:, k]) for k, z in enumerate(elements)} if per_target.any() else {}
    rest = y - Scaling((0.0,) * T, (1.0,) * T, table).offsets(composition)
    mean = [float(np.nanmean(column)) if np.isfinite(column).any() else 0.0 for column in rest.T]
    std = [_deviation(column) for column in rest.T]
    return Fitted(Scaling(tuple(mean), tuple(std), table), tuple(extensive), tuple(intensive), tuple(notes))


def _deviation(column: np.ndarray) -> float:
    """Population standard deviation; 1 where there is none, so that it can be divided by."""
    values = column[np.isfinite(column)]
    std = float(values.std()) if len(values) else 0.0
    return std if std > 1e-12 * float(np.abs(values).max(initial=0.0)) else 1.0


def _check_size(name: str, column: np.ndarray) -> None:
    """Raises DataError where squares of the labels are no numbers any more."""
    largest = float(np.abs(column[np.isfinite(column)]).max(initial=0.0))
    if largest > LARGEST or 0.0 < largest < 1.0 / LARGEST:
        raise DataError(f"target {name!r}: labels of {largest:.3g} are too large to be squared. Give them in another unit.")


def _references(counts: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """Least squares y = counts @ e: values, the share of variance explained, and whether y looks extensive.

    Extensive: composition explains most of it, and a constant beside the atoms would not help. A tiny ridge keeps elements that
    always come together from getting huge values of opposite sign.
    """
    if len(y) < 2 * counts.shape[1] or np.ptp(y) == 0.0:
        return np.zeros(counts.shape[1]), 0.0, False
    values, explained = _explained(counts, y, ridge=1e-6)
    with_constant = _explained(np.column_stack([counts, np.ones(len(y))]), y)[1]
    grows = explained > EXPLAINED and with_constant - explained < 0.1 * (1.0 - EXPLAINED)
    return values, explained, grows


def _explained(design: np.ndarray, y: np.ndarray, ridge: float = 0.0) -> tuple[np.ndarray, float]:
    """Least-squares coefficients and R² about the mean."""
    if ridge:
        scale = np.sqrt(np.square(design).mean(0)) + 1e-12
        scaled = design / scale
        gram = scaled.T @ scaled / len(y) + ridge * np.eye(design.shape[1])
        values = np.linalg.solve(gram, scaled.T @ y / len(y)) / scale
    else:
        values = np.linalg.lstsq(design, y, rcond=None)[0]
    spread = np.square(y - y.mean()).sum()
    return values, float(1.0 - np.square(y - design @ values).sum() / spread) if spread > 0 else 0.0


def _sentence(name: str, unit: str, elements: list[int], values: np.ndarray, explained: float) -> str:
    shown = ", ".join(f"{SYMBOLS[z]} {value:.4g}" for z, value in zip(elements, values, strict=True))
    return (
        f"Per-element references explain {100 * explained:.1f} % of the variance of {name!r} and are taken off before learning "
        f"({shown}{' ' + unit if unit else ''}); --references none leaves them on."
    )
