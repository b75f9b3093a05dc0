"""Labels: from cells of a table to numbers, and from numbers to a task."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from heliograph.data.formats.cells import as_number, bound, is_missing, two_words
from heliograph.errors import DataError, UsageError
from heliograph.learn.task import Task

MAX_CLASSES = 200
TOLERATED = 0.05  # share of cells without a number that a numeric column may have; they count as missing
_STANDS_FOR_MISSING = (-99.0, -999.0, -9999.0, -99999.0, -999999.0, 999.0, 9999.0, 99999.0, 999999.0)
_CODES = ((0.0, 1.0), (-1.0, 1.0), (1.0, 2.0))  # numbers that stand for two classes
Cell = str | float | None
Censored = Literal["drop", "bound", "loss"]


@dataclass(frozen=True, eq=False)
class Labels:
    """`y` [n, T], NaN = missing; multiclass: indices of classes. `notes`: what was set aside, in sentences.

    `sides` [n, T]: 1 where the value is above `y`, -1 where it is below (a bound that is learned from); None: nowhere.
    """

    task: Task
    y: np.ndarray
    notes: list[str] = field(default_factory=list)
    sides: np.ndarray | None = None

    @property
    def known(self) -> np.ndarray:
        """`y` without bounds: what a prediction can be compared with, [n, T]."""
        return self.y if self.sides is None else np.where(self.sides == 0, self.y, np.nan)


def read_labels(
    columns: dict[str, list[Cell]],
    asked: str,
    units: Sequence[str] = (),
    rows: Sequence[str] = (),
    censored: Censored | None = None,
    missing: Sequence[str] = (),
    classes: Sequence[tuple[str, ...]] = (),
) -> Labels:
    """Labels of each target column; `asked` is a task type or "auto": binary where all columns have two classes (0 and 1, -1 and 1,
    1 and 2, or words like no and yes), else regression.

    `rows` names the rows in errors. `censored`: what becomes of bounds like >10. `missing`: marks that the user has named, "none" for
    numbers that only look like one. `classes`: which word or number is 0 and which is 1, where that is known from a model.
    Raises DataError for labels that don't fit the task, UsageError for as many units as don't fit.
    """
    if units and len(units) != len(columns):
        raise UsageError(f"--units has {len(units)} entries for {len(columns)} targets ({', '.join(columns)}); give one each, '' for none")
    notes: list[str] = []
    if asked == "multiclass":
        found = {name: _classes(name, cells) for name, cells in columns.items()}
        y = np.stack([indices for _, indices in found.values()], axis=1)
        return Labels(Task("multiclass", tuple(columns), tuple(units), tuple(names for names, _ in found.values())), y, notes)
    words = {name: _words(cells, classes[t] if classes else None) for t, (name, cells) in enumerate(columns.items())}
    read = {name: _numbers(name, _coded(cells, words[name]), rows, asked, censored, missing, notes) for name, cells in columns.items()}
    y = np.stack([values for values, _ in read.values()], axis=1)  # [n, T]
    pairs = _pairs(columns, y, words, asked, classes)
    if pairs is not None and asked in ("auto", "binary"):
        y = np.stack([_as_binary(column, pair) for column, pair in zip(y.T, pairs, strict=True)], axis=1)
        for name, column in zip(columns, y.T, strict=True):
            _check_binary(name, column, rows)
        notes += _said(list(columns), pairs, words, asked)
        names = tuple(words[name] or (f"{pair[0]:g}", f"{pair[1]:g}") for name, pair in zip(columns, pairs, strict=True))
        return Labels(Task("binary", tuple(columns), tuple(units), names), y, notes)
    if asked == "binary":
        for name, column in zip(columns, y.T, strict=True):
            _check_binary(name, column, rows)
        return Labels(Task("binary", tuple(columns), tuple(units), (("0", "1"),) * len(columns)), y, notes)
    notes += [f"{name!r} is learned as a number: {pair[0]!r} is 0, {pair[1]!r} is 1." for name, pair in words.items() if pair]
    sides = np.stack([side for _, side in read.values()], axis=1)
    return Labels(Task("regression", tuple(columns), tuple(units), ()), y, notes, sides if sides.any() else None)


def _words(cells: list[Cell], known: tuple[str, ...] | None) -> tuple[str, str] | None:
    """Words for 0 and 1 of a column; None where it has numbers."""
    texts = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip()]
    if known is not None and any(as_number(word) is None for word in known):
        return known[0], known[1]
    return two_words(texts) or two_words(text for text in texts if not is_missing(text))


def _coded(cells: list[Cell], words: tuple[str, str] | None) -> list[Cell]:
    """Cells with 0.0 and 1.0 in place of the two words, in any case."""
    if words is None:
        return cells
    number = {words[0].lower(): 0.0, words[1].lower(): 1.0}
    return [number.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell for cell in cells]


def _pairs(
    names: Iterable[str], y: np.ndarray, words: Mapping[str, tuple[str, str] | None], asked: str, classes: Sequence[tuple[str, ...]]
) -> list[tuple[float, float]] | None:
    """Which numbers are 0 and 1, a pair for each column, where every one has two classes and both occur; None elsewhere."""
    found = []
    both: set[float] = set()
    for t, (name, column) in enumerate(zip(names, y.T, strict=True)):
        values = set(np.unique(column[np.isfinite(column)]).tolist())
        codes = [(0.0, 1.0)] if words[name] else list(_CODES)
        if classes and not words[name]:
            codes = [(as_number(classes[t][0]) or 0.0, as_number(classes[t][1]) or 0.0)]
        pair = next((pair for pair in codes if values <= set(pair)), None)
        if pair is None:
            return None
        found.append(pair)
        both |= {0.0 if value == pair[0] else 1.0 for value in values}
    if asked == "binary":
        return found
    return found if len(both) == 2 else None


def _as_binary(column: np.ndarray, pair: tuple[float, float]) -> np.ndarray:
    return np.where(np.isfinite(column), (column == pair[1]).astype(float), np.nan)


def _said(names: list[str], pairs: list[tuple[float, float]], words: Mapping[str, tuple[str, str] | None], asked: str) -> list[str]:
    """What was taken for 0 and 1, where the user did not say."""
    odd = [(name, pair) for name, pair in zip(names, pairs, strict=True) if pair != (0.0, 1.0)]
    worded = [(name, word) for name, word in words.items() if word]
    notes = [f"{name!r}: {low:g} is taken for 0, {high:g} for 1, whose probability is the answer." for name, (low, high) in odd]
    notes += [f"{name!r}: {word[0]!r} is 0, {word[1]!r} is 1, whose probability is the answer." for name, word in worded]
    if asked == "auto":
        what = "All labels are 0 or 1" if not odd and not worded else "All labels are of two classes"
        notes.append(f"{what}: trained as binary classification (--task-type regression for numbers).")
    return notes


def _unit(cells: Sequence[Cell]) -> str:
    """What follows a number in every cell, where that is always the same."""
    number = re.compile(r"[-+]?[\d.,]*\d(?:[eE][-+]?\d+)?\s*([^\d\s].*)")
    found = [number.fullmatch(cell.strip()) if isinstance(cell, str) else None for cell in cells]
    tails = {match.group(1) for match in found if match}
    return tails.pop() if len(tails) == 1 and None not in found else ""


def _numbers(
    name: str, cells: list[Cell], rows: Sequence[str], asked: str, censored: Censored | None, missing: Sequence[str], notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Values [n] and sides [n] of one column."""
    values, sides = np.full(len(cells), np.nan), np.zeros(len(cells), dtype=np.int8)
    odd: list[int] = []
    for k, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and is_missing(cell)):
            continue
        sign, text = bound(cell) if isinstance(cell, str) else ("", cell)
        number = as_number(text) if isinstance(text, str) else float(text)
        if number is None or math.isinf(number):
            odd.append(k)
        else:
            values[k] = number
            sides[k] = {">": 1, "<": -1}.get(sign, 0)
    filled = int(np.isfinite(values).sum())
    if odd:
        share = len(odd) / (filled + len(odd))
        what = f"{len(odd)} of {filled + len(odd)} labels ({100 * share:.3g} %) are not numbers: {_examples(rows, cells, odd)}"
        if share > TOLERATED:
            needs = asked if asked != "auto" else "regression"
            unit = _unit([cells[k] for k in odd])
            mend = ": --missing MARK leaves such cells out; for names of classes use --task-type multiclass."
            if unit:
                mend = f", and these are numbers with the unit {unit!r}: take it out of the cells, into the column's name."
            raise DataError(f"target {name!r}: {what}. {needs.capitalize()} needs numbers{mend}")
        notes.append(f"target {name!r}: {what}; counted as missing.")
    if not filled:
        raise DataError(f"target {name!r} has no label in any usable row. Name another column with --target-columns.")
    _bounds(name, cells, rows, values, sides, censored, notes)
    if not missing:
        _ask_of_marks(name, values)
    return values, sides


def _examples(rows: Sequence[str], cells: list[Cell], at: Sequence[int]) -> str:
    """Three cells with their rows, different ones where there are."""
    seen: dict[str, int] = {}
    for k in at:
        seen.setdefault(str(cells[k])[:40], k)
    shown = list(seen.items())[:3] if len(seen) > 2 else [(str(cells[k])[:40], k) for k in at[:3]]
    return ", ".join(f"{_row(rows, k)} has {text!r}" for text, k in shown)


def _bounds(
    name: str, cells: list[Cell], rows: Sequence[str], values: np.ndarray, sides: np.ndarray, censored: Censored | None, notes: list[str]
) -> None:
    """Censored values: left out, taken as they are, or kept with their side. Changes `values` and `sides`."""
    at = np.flatnonzero(sides)
    if not len(at):
        return
    total = int(np.isfinite(values).sum())
    signs = " and ".join(f"{int((sides == side).sum())} {sign!r}" for sign, side in ((">", 1), ("<", -1)) if (sides == side).any())
    share, examples = 100 * len(at) / total, _examples(rows, cells, at.tolist())
    what = f"target {name!r}: {len(at)} of {total} labels ({share:.3g} %) are bounds, {signs} ({examples})"
    if censored is None and len(at) > TOLERATED * total:
        raise DataError(
            f"{what}. Say what they are worth: --censored drop leaves them out, bound takes the bound for the value, "
            "loss learns that the value is beyond it."
        )
    if censored in (None, "drop"):
        values[at] = np.nan
        sides[at] = 0
        notes.append(f"{what}; left out (--censored bound or loss keeps them).")
        if not np.isfinite(values).any():
            raise DataError(f"target {name!r}: every label is a bound; nothing is left to learn. Use --censored loss or bound.")
    elif censored == "bound":
        sides[at] = 0
        notes.append(f"{what}; the bound is taken for the value.")
    else:
        notes.append(f"{what}; a prediction beyond the bound costs nothing. Scores are of the other labels.")


def _ask_of_marks(name: str, values: np.ndarray) -> None:
    """Numbers like -999 far from all others: asked about. Raises DataError."""
    there = values[np.isfinite(values)]
    for mark in _STANDS_FOR_MISSING:
        rest = there[there != mark]
        count = len(there) - len(rest)
        if not count or len(rest) < 3:
            continue
        rest = rest[~np.isin(rest, _STANDS_FOR_MISSING)]
        if len(rest) < 3:
            continue
        apart = float(rest.min() - mark) if mark < 0 else float(mark - rest.max())
        if apart > np.ptp(rest) and (count > 1 or abs(mark) > 100):
            raise DataError(
                f"target {name!r}: {count} of {len(there)} labels are {mark:g}, the others from {rest.min():g} to {rest.max():g}. "
                f"If that stands for missing, say --missing {mark:g}; if it is a number, --missing none."
            )


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
