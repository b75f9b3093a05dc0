"""Labels: from cells of a table to numbers, and from numbers to a task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from heliograph.data.formats.table import as_number, is_missing
from heliograph.errors import DataError, UsageError
from heliograph.learn.task import Kind, Task

MAX_CLASSES = 200
TOLERATED = 0.05  # share of cells without a number that a numeric column may have; they count as missing
Cell = str | float | None


@dataclass(frozen=True, eq=False)
class Labels:
    """`y` [n, T], NaN = missing; multiclass: indices of classes. `notes`: what was set aside, in sentences."""

    task: Task
    y: np.ndarray
    notes: list[str] = field(default_factory=list)


def read_labels(columns: dict[str, list[Cell]], asked: str, units: Sequence[str] = (), rows: Sequence[str] = ()) -> Labels:
    """Labels of each target column; `asked` is a task type or "auto" (binary where all labels are 0 or 1, else regression).

    `rows` names the rows in errors. Raises DataError for labels that don't fit the task, UsageError for as many units as don't fit.
    """
    if units and len(units) != len(columns):
        raise UsageError(f"--units has {len(units)} entries for {len(columns)} targets ({', '.join(columns)}); give one each, '' for none")
    notes: list[str] = []
    if asked == "multiclass":
        found = {name: _classes(name, cells) for name, cells in columns.items()}
        y = np.stack([indices for _, indices in found.values()], axis=1)
        return Labels(Task("multiclass", tuple(columns), tuple(units), tuple(names for names, _ in found.values())), y, notes)
    y = np.stack([_numbers(name, cells, rows, asked, notes) for name, cells in columns.items()], axis=1)  # [n, T]
    kind: Kind = "binary" if asked == "binary" or (asked == "auto" and _all_binary(y)) else "regression"
    if kind == "binary":
        for name, column in zip(columns, y.T, strict=True):
            _check_binary(name, column, rows)
        if asked == "auto":
            notes.append("All labels are 0 or 1: trained as binary classification (--task-type regression for numbers).")
    classes = (("0", "1"),) * len(columns) if kind == "binary" else ()
    return Labels(Task(kind, tuple(columns), tuple(units), classes), y, notes)


def _all_binary(y: np.ndarray) -> bool:
    """Every label is 0 or 1, and both occur."""
    labels = y[np.isfinite(y)]
    return len(labels) > 0 and bool(np.isin(labels, (0.0, 1.0)).all()) and len(np.unique(labels)) == 2


def _numbers(name: str, cells: list[Cell], rows: Sequence[str], asked: str, notes: list[str]) -> np.ndarray:
    values = np.full(len(cells), np.nan)
    odd: list[int] = []
    for k, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and is_missing(cell)):
            continue
        number = as_number(cell) if isinstance(cell, str) else float(cell)
        if number is None or math.isinf(number):
            odd.append(k)
        else:
            values[k] = number
    filled = int(np.isfinite(values).sum())
    if odd:
        first = f"{_row(rows, odd[0])} has {str(cells[odd[0]])[:40]!r}"
        if len(odd) > TOLERATED * (filled + len(odd)):
            raise DataError(
                f"target {name!r}: {len(odd)} of {filled + len(odd)} labels are not numbers ({first}); "
                f"{asked if asked != 'auto' else 'regression'} needs numbers. For names of classes use --task-type multiclass."
            )
        notes.append(f"{len(odd)} label{'s' if len(odd) > 1 else ''} of {name!r} counted as missing: not a number ({first}).")
    if not filled:
        raise DataError(f"target {name!r} has no label in any usable row. Name another column with --target-columns.")
    return values


def _check_binary(name: str, column: np.ndarray, rows: Sequence[str]) -> None:
    wrong = np.flatnonzero(np.isfinite(column) & ~np.isin(column, (0.0, 1.0)))
    if len(wrong):
        example = f"{_row(rows, int(wrong[0]))} has {column[wrong[0]]:g}"
        raise DataError(
            f"target {name!r}: binary labels are 0 or 1; {len(wrong)} are not ({example}). "
            "Use --task-type regression, or multiclass for classes."
        )


def _classes(name: str, cells: list[Cell]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes, sorted (as numbers where all are), and indices [n] with NaN for missing."""
    texts = [None if cell is None or (isinstance(cell, str) and is_missing(cell)) else _name(cell) for cell in cells]
    counts = Counter(text for text in texts if text is not None)
    if len(counts) < 2:
        raise DataError(f"target {name!r} has {len(counts)} class{'es' if not counts else ''}; multiclass needs two or more.")
    if len(counts) > MAX_CLASSES:
        raise DataError(
            f"target {name!r} has {len(counts)} classes, at most {MAX_CLASSES} are meant. Is it a number? Use --task-type regression."
        )
    numeric = all(as_number(text) is not None for text in counts)
    names = sorted(counts, key=lambda text: (as_number(text) or 0.0, text) if numeric else (0.0, text))
    index = {text: float(k) for k, text in enumerate(names)}
    return tuple(names), np.array([math.nan if text is None else index[text] for text in texts])


def _name(cell: str | float) -> str:
    """A class by its text; 1 and 1.0 are one class."""
    number = as_number(cell) if isinstance(cell, str) else float(cell)
    return f"{number:g}" if number is not None and float(f"{number:g}") == number else str(cell).strip()


def _row(rows: Sequence[str], k: int) -> str:
    return f"row {rows[k]}" if k < len(rows) else f"row {k + 1}"


def check_training_labels(task: Task, y: np.ndarray) -> list[str]:
    """Notes on targets that teach nothing. Raises DataError where none teaches anything. `y` [n, T]: the training part's labels."""
    same: dict[str, str] = {}
    for name, column in zip(task.targets, y.T, strict=True):
        labels = column[np.isfinite(column)]
        if not len(labels):
            same[name] = "no label"
        elif len(np.unique(labels)) == 1:
            same[name] = f"the same label ({_shown(task, name, float(labels[0]))}) in all {len(labels)} molecules"
    if not same:
        return []
    listed = "; ".join(f"{name!r} has {why}" for name, why in list(same.items())[:5]) + ("; ..." if len(same) > 5 else "")
    if len(same) == len(task.targets):
        raise DataError(f"nothing to learn in the training part: {listed}. Name another column with --target-columns, or split otherwise.")
    return [f"In the training part {listed}: nothing can be learned of {'it' if len(same) == 1 else 'them'}."]


def _shown(task: Task, name: str, label: float) -> str:
    return task.classes[task.targets.index(name)][int(label)] if task.kind == "multiclass" else f"{label:g}"
