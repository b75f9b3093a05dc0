"""Predictions of one part, and the same as a plain CSV: for people's spreadsheets, and exact enough to be read back bit for bit.

Columns: row, id, smiles, n_atoms, scaffold, then per target its truth under the target's own name, `TARGET_pred`, `TARGET_std`
(ensembles) and `TARGET_p_CLASS` (multiclass probabilities). Read back by position, so that no name of a target can be in the way.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.errors import DataError
from heliograph.files import atomic

FIRST = ("row", "id", "smiles", "n_atoms", "scaffold")


@dataclass(frozen=True, eq=False)
class Predictions:
    """One part of the data with what was predicted for it: n rows, T targets, C classes.

    `y_true` [n, T]: NaN = missing; binary 0/1, multiclass the index of the class.
    `y_pred` [n, T]: the value; binary the probability of 1; multiclass the index of the chosen class.
    `y_std` [n, T]: spread of the ensemble's members (None without one). `probabilities` [n, T, C]: multiclass, if kept.
    `structures`: SMILES, or the formula where there are no bonds. `n_atoms` [n]: heavy atoms. `scaffolds`: "" = no ring.
    """

    rows: np.ndarray  # [n] int64, row in the input, from 0
    ids: tuple[str, ...]
    structures: tuple[str, ...]
    n_atoms: np.ndarray  # [n] int64
    scaffolds: tuple[str, ...]
    y_true: np.ndarray
    y_pred: np.ndarray
    y_std: np.ndarray | None = None
    probabilities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)


def write_predictions(path: Path, predictions: Predictions, targets: Sequence[str], classes: Sequence[Sequence[str]]) -> None:
    """Write one line per molecule. Floats are the shortest text that reads back as the same number of their dtype."""
    p = predictions
    header, columns = list(FIRST), [p.rows, p.ids, p.structures, p.n_atoms, p.scaffolds]
    for t, target in enumerate(targets):
        header += [target, f"{target}_pred"]
        columns += [_texts(p.y_true[:, t]), _texts(p.y_pred[:, t])]
        if p.y_std is not None:
            header.append(f"{target}_std")
            columns.append(_texts(p.y_std[:, t]))
        if p.probabilities is not None:
            for c in range(p.probabilities.shape[2]):
                named = classes[t][c] if t < len(classes) and c < len(classes[t]) else str(c)
                header.append(f"{target}_p_{named}")
                columns.append(_texts(p.probabilities[:, t, c]))
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))


def read_predictions(path: Path, dtypes: dict[str, str], targets: Sequence[str]) -> Predictions:
    """The predictions in a file; `dtypes` names the arrays there are.

    Raises DataError for a file that is missing or has other columns.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing, though results.json beside it names it. Restore it, or train again.")
    with _long_fields(), open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *lines = csv.reader(file)
    names: list[str] = [name for name in ("y_true", "y_pred", "y_std") if name in dtypes]
    n_targets, width = len(targets), len(header) - len(FIRST)
    n_classes = width // n_targets - len(names) if n_targets and "probabilities" in dtypes else 0
    if width != n_targets * (len(names) + n_classes) or any(len(line) != len(header) for line in lines):
        wanted = f"{n_targets} targets ({', '.join(names)})"
        raise DataError(f"{path} has {len(header)} columns, which don't fit {wanted}. Was it edited? Restore it.")
    texts = [[value or "nan" for value in line[len(FIRST) :]] for line in lines]
    block = np.array(texts, dtype=np.float64).reshape(len(lines), n_targets, len(names) + n_classes)  # [n, T, columns]
    arrays: dict[str, Any] = {name: block[:, :, k].astype(dtypes[name]) for k, name in enumerate(names)}
    if n_classes:
        arrays["probabilities"] = block[:, :, len(names) :].astype(dtypes["probabilities"])
    return Predictions(
        rows=np.array([line[0] for line in lines], dtype=np.int64),
        ids=tuple(line[1] for line in lines),
        structures=tuple(line[2] for line in lines),
        n_atoms=np.array([line[3] for line in lines], dtype=np.int64),
        scaffolds=tuple(line[4] for line in lines),
        **arrays,
    )


def _texts(values: np.ndarray) -> list[str]:
    plain = values.tolist() if values.dtype == np.float64 else list(values)  # a narrower float knows its own shortest text
    return ["" if v != v else str(v) for v in plain]


@contextmanager
def _long_fields() -> Iterator[None]:
    """A structure may be longer than the csv module's limit of 131,072 characters."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)
