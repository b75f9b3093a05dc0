"""Which rows train, which validate, which test: row numbers, ascending within each part.

Sizes are fractions that add up to 1, or counts that add up to the number of rows: train, val, test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from heliograph.errors import DataError, UsageError

PARTS = ("train", "val", "test")
_WORDS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}
_NAMES = {word: part for part, words in _WORDS.items() for word in words}


def random_split(
    n: int,
    sizes: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    groups: Sequence[str] | None = None,
    classes: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """`n` rows shuffled with `seed` and cut; rows of one of `groups` [n] follow the one of them that stands first in the table.

    With `classes` [n] every part has its share of each, as far as there are enough of a class: a rare one goes to train, test and
    val in this order. Raises DataError where a part that should have rows gets none.
    """
    wanted = counts(n, sizes)
    order = np.random.default_rng(seed).permutation(n)
    part_of = np.empty(n, dtype=np.int64)
    if classes is None:
        part_of[order] = np.repeat(np.arange(3), wanted)
    else:
        part_of[order] = _by_class(np.asarray(classes)[order], wanted)
    if groups is not None:
        _together(part_of, groups, order, wanted)
    parts = {part: np.flatnonzero(part_of == k) for k, part in enumerate(PARTS)}
    for part, count in zip(PARTS, wanted, strict=True):
        if count and not len(parts[part]):
            raise DataError(f"no rows are left for {part}: rows of equal structure stay together (--copies apart lets them fall apart)")
    return parts


def _together(part_of: np.ndarray, groups: Sequence[str], order: np.ndarray, counts: Sequence[int]) -> None:
    """Bring rows of one group into one part; a part that loses all its rows so gets groups of the largest part. Changes `part_of`."""
    first: dict[str, int] = {}
    for row in range(len(part_of)):
        part_of[row] = first.setdefault(groups[row], int(part_of[row]))
    for part in np.flatnonzero(np.array(counts) > 0).tolist():
        for row in order.tolist():
            size = np.bincount(part_of, minlength=3)
            if size[part]:
                break
            largest, mine = int(np.argmax(size)), groups[row]
            if part_of[row] == largest and any(groups[k] != mine for k in np.flatnonzero(part_of == largest).tolist()):
                part_of[[k for k, name in enumerate(groups) if name == mine]] = part


def _by_class(classes: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """The part of each row, [n]: the rarest class first, each in proportion, rounded so that the sizes come out."""
    n, left = len(classes), np.array(counts)
    found = np.empty(n, dtype=np.int64)
    values, sizes = np.unique(classes, return_counts=True)
    for value in values[np.argsort(sizes, kind="stable")]:
        rows = np.flatnonzero(classes == value)
        share = len(rows) * left / max(left.sum(), 1)  # of what is left: the last class fills the parts
        take = np.floor(share + 1e-9).astype(np.int64)
        for part in (2, 1):  # one at least, where there are enough for that
            if left[part] and not take[part] and len(rows) >= 2 + (part == 1):
                take[0] -= take.sum() == len(rows)
                take[part] = 1
        for part in np.argsort(take - share, kind="stable").tolist() * 2:
            take[part] += take.sum() < len(rows) and take[part] < left[part]
        found[rows] = np.repeat(np.arange(3), take)
        left = left - take
    return found


def scaffold_split(scaffolds: Sequence[str], sizes: Sequence[float] = (0.8, 0.1, 0.1), seed: int | None = None) -> dict[str, np.ndarray]:
    """Return `group_split` by scaffold; rows without a ring (scaffold "") are one group."""
    return group_split(scaffolds, sizes, seed, "scaffold")


def group_split(
    groups_of: Sequence[str], sizes: Sequence[float] = (0.8, 0.1, 0.1), seed: int | None = None, what: str = "cluster"
) -> dict[str, np.ndarray]:
    """Return parts in which rows of one group stay together; `what` names a group in errors.

    `seed` None: groups from the largest to the smallest (ties: the one that begins last in the table first), each to train where it
    fits, else to val, else to test: DeepChem's rule (Z. Wu et al., Chem. Sci. 2018, 9, 513). With a seed, groups larger than half of
    val or of test come first, then both lots are shuffled, as in chemprop (K. Yang et al., J. Chem. Inf. Model. 2019, 59, 3370).
    Raises DataError where a part that should have rows gets none.
    """
    n = len(groups_of)
    n_train, n_val, n_test = counts(n, sizes)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(groups_of):
        groups[name].append(row)
    ordered = list(groups.values())
    if seed is None:
        ordered.sort(key=lambda rows: (len(rows), rows[0]), reverse=True)
    else:
        big = [rows for rows in ordered if len(rows) > n_val / 2 or len(rows) > n_test / 2]
        small = [rows for rows in ordered if not (len(rows) > n_val / 2 or len(rows) > n_test / 2)]
        random = np.random.default_rng(seed)
        ordered = [lot[k] for lot in (big, small) for k in random.permutation(len(lot))]
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for rows in ordered:
        if len(parts["train"]) + len(rows) <= n_train:
            parts["train"] += rows
        elif len(parts["val"]) + len(rows) <= n_val:
            parts["val"] += rows
        else:
            parts["test"] += rows
    for part, wanted in zip(PARTS, (n_train, n_val, n_test), strict=True):
        if wanted and not parts[part]:
            largest = max(map(len, groups.values()))
            raise DataError(
                f"{what} split: no rows for {part} out of {n} rows in {len(groups)} {what}s (the largest has {largest}). "
                "Use a random split, or other sizes."
            )
    return {part: np.array(sorted(rows), dtype=np.int64) for part, rows in parts.items()}


def ordered_split(values: Sequence[float] | np.ndarray, sizes: Sequence[float] = (0.8, 0.1, 0.1)) -> dict[str, np.ndarray]:
    """Return the rows of the lowest values to train and those of the highest to test: small and large molecules, or old and new ones.

    Equal values keep the table's order. Raises DataError for a value that is missing, and where a part that should have rows gets none.
    """
    array = np.asarray(values, dtype=np.float64)
    missing = np.flatnonzero(~np.isfinite(array))
    if len(missing):
        raise DataError(f"{len(missing)} of {len(array)} rows have no value to be ordered by, the first is row {missing[0] + 1}")
    ends, order = np.cumsum(counts(len(array), sizes)), np.argsort(array, kind="stable")
    return {part: np.sort(order[a:b]) for part, a, b in zip(PARTS, [0, *ends[:-1]], ends, strict=True)}


def moments(texts: Sequence[str]) -> np.ndarray:
    """Return dates or numbers as numbers that grow with time, [n]; NaN where a text is neither (ISO 8601: 2024, 2024-05, 2024-05-31)."""
    from datetime import datetime

    found = np.full(len(texts), np.nan)
    for k, text in enumerate(texts):
        plain = text.strip()
        try:
            found[k] = float(plain)
            continue
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(plain + "-01" if len(plain) == 7 else plain)
            found[k] = moment.year + (moment.timetuple().tm_yday - 1 + moment.hour / 24 + moment.minute / 1440) / 366
        except ValueError:
            continue
    return found


def from_column(values: Iterable[str]) -> dict[str, np.ndarray]:
    """Parts as a column names them: train, val (valid, validation, dev), test, any case; blank rows are in none.

    Raises DataError on another word, and where no row trains.
    """
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for row, value in enumerate(values):
        text = value.strip()
        if not text:
            continue
        part = _NAMES.get(text.lower())
        if part is None:
            raise DataError(f"row {row + 1} of the splits column says {text[:40]!r}; expected train, val, test, or blank")
        parts[part].append(row)
    if not parts["train"]:
        raise DataError("the splits column names no row for train")
    return {part: np.array(rows, dtype=np.int64) for part, rows in parts.items()}


def counts(n: int, sizes: Sequence[float]) -> list[int]:
    """Return the rows of each part: fractions rounded down and what is left over to the last part that has any; counts as they are."""
    shown = " ".join(f"{size:g}" for size in sizes)
    if len(sizes) != 3 or any(not size >= 0 for size in sizes):
        raise UsageError(f"split sizes are three numbers >= 0 (train val test), for instance 0.8 0.1 0.1; got {shown or 'none'}")
    total = sum(sizes)
    if abs(total - 1.0) < 1e-6:
        found = [int(size * n + 1e-9) for size in sizes]
        last = max(part for part in range(3) if sizes[part] > 0)
        found[last] += n - sum(found)
        if sizes[1] > 0 and found[1] == 0 and found[2] > 1:  # a handful of rows: one each rather than none and two
            found[1:] = [1, found[2] - 1]
    elif total == n and all(float(size).is_integer() for size in sizes):
        found = [int(size) for size in sizes]
    else:
        raise UsageError(f"split sizes add up to 1, or to the {n} rows as counts; got {shown}, which add up to {total:g}")
    for part, size, count in zip(PARTS, sizes, found, strict=True):
        if size > 0 and count == 0:
            raise DataError(f"split sizes {shown} of {n} usable rows leave none for {part}: give more rows or another size")
    if found[0] == 0:
        raise DataError(f"split sizes {shown} of {n} usable rows leave none for train")
    return found
