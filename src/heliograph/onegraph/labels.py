"""Labels of nodes or edges from cells of a table, and which of them train, validate and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from heliograph.data import splits
from heliograph.errors import DataError, UsageError
from heliograph.onegraph.config import GraphDataConfig, GraphSplitConfig
from heliograph.train.targets import Labels, read_labels

ENOUGH_NUMBERS = 0.95  # share of cells that are numbers in a column of numbers


def read(config: GraphDataConfig, columns: Mapping[str, pa.Array], rows: Sequence[str] = ()) -> Labels:
    """Labels of each target column; text is multiclass. Raises DataError where they don't fit."""
    from heliograph.data.formats.table import as_number, is_missing

    asked: str = config.task_type
    cells = {name: list(column.to_pylist()) for name, column in columns.items()}
    if asked == "auto":
        texts = [c for column in cells.values() for c in column if not is_missing(c)]
        if texts and sum(as_number(c) is not None for c in texts) < ENOUGH_NUMBERS * len(texts):
            asked = "multiclass"
    labels = read_labels(cells, asked, (), rows)
    if config.task_type == "auto" and labels.task.kind == "regression":
        values = labels.y[np.isfinite(labels.y)]
        few = np.unique(values)
        if len(few) <= 20 and (few == np.round(few)).all():
            labels.notes.append(f"Labels are {len(few)} whole numbers, taken as quantities: --task-type multiclass for classes.")
    return labels


def divide(
    labelled: np.ndarray, words: pa.Array | None, config: GraphSplitConfig, seed: int, classes: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Rows of each part. `labelled` [n] bool: rows that have a label; `words` [n]: a splits column; `classes` [n] for a stratified split.

    Rows without a label are in no part. Raises DataError, UsageError.
    """
    if words is not None:
        parts = splits.from_column(words.to_pylist())
        return {part: rows[labelled[rows]] for part, rows in parts.items()}
    there = np.flatnonzero(labelled)
    if config.split == "stratified":
        if classes is None:
            raise UsageError("--split stratified divides each class alike; there are no classes here. Use --split random.")
        pieces: dict[str, list[np.ndarray]] = {part: [] for part in splits.PARTS}
        for c in np.unique(classes[there]):
            rows = there[classes[there] == c]
            if len(rows) < 3:
                raise DataError(f"class {int(c)} has {len(rows)} labelled rows only, too few to be in each part: use --split random")
            for part, chosen in splits.random_split(len(rows), config.split_sizes, seed + int(c)).items():
                pieces[part].append(rows[chosen])
        return {part: np.sort(np.concatenate([np.zeros(0, np.int64), *found])) for part, found in pieces.items()}
    return {part: there[rows] for part, rows in splits.random_split(len(there), config.split_sizes, seed).items()}


def whole(group: np.ndarray, labelled: np.ndarray, config: GraphSplitConfig, seed: int) -> dict[str, np.ndarray]:
    """Rows of each part, all rows of a `group` [n] in one part. Raises UsageError for a stratified split."""
    if config.split != "random":
        raise UsageError("--split stratified would divide molecules: use --split random, or a splits column")
    names = np.unique(group[labelled])
    parts = splits.random_split(len(names), config.split_sizes, seed)
    return {part: np.flatnonzero(labelled & np.isin(group, names[rows])) for part, rows in parts.items()}
