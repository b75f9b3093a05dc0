"""Divide a table and write which part each row is in: for tools that read a splits column, ours
among them.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from heliograph.chem.reasons import kind
from heliograph.data import splits
from heliograph.data.store import Store
from heliograph.errors import DataError, UsageError
from heliograph.files import atomic
from heliograph.learn.progress import Progress, silent
from heliograph.train.config import Split
from heliograph.train.likeness import parts_of

FEATURES = "chemprop_v2"  # by which molecules are compared


class DivideConfig(BaseModel):
    """How a table is divided, and where the answer goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_path: Path = Field(description="table of molecules")
    output_path: Path = Field(description="the same table with a column `split`, .csv")
    split: Split = Field(
        "random",
        description="how the rows are divided; kennard-stone: an even cover trains; lead-opt: of some series one molecule is known; "
        "size: small molecules train, large ones test; time: by --time-column",
    )
    split_sizes: tuple[float, float, float] = Field((0.8, 0.1, 0.1), description="shares of train, validation, test")
    time_column: str | None = Field(None, description="column with a date (2024-05-31) or a number, for --split time")
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else the first)")
    seed: int = Field(0, ge=0, description="seed of what is drawn; 0 leaves groups in order of size")
    num_workers: int = Field(2, ge=0, description="processes that read molecules (0: in this one)")


def split_file(config: DivideConfig, progress: Progress | None = None) -> dict[str, int]:
    """Write the table with its parts and return how many rows each has, "" those that can't be
    used.

    Raises DataError where nothing can be used, UsageError where the output exists or options don't
    go together.
    """
    from heliograph.chem.featurizer import preset
    from heliograph.chem.pool import featurize_table
    from heliograph.data.formats import read

    if config.output_path.exists():
        raise UsageError(f"{config.output_path} exists. Give another name with -o.")
    if (config.split == "time") != (config.time_column is not None):
        raise UsageError("--split time and --time-column belong together")
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=())
    if config.time_column is not None and config.time_column not in table.columns:
        raise UsageError(f"--time-column {config.time_column}: {table.name} has no such column; it has {', '.join(table.columns)}")
    featurizer, say = preset(FEATURES), progress or silent()
    molecules, rows, cells, times, reasons = [], [], [], [], Counter[str]()
    outcomes = featurize_table(iter(table), featurizer, config.num_workers, lambda done: say("reading", done))
    for row, (record, molecule, reason) in enumerate(outcomes):
        cells.append([record.meta.get(column, "") for column in table.columns])
        if molecule is None:
            reasons[kind(reason)] += 1
            continue
        molecules.append(molecule)
        rows.append(row)
        times.append(record.meta.get(config.time_column or "", ""))
    if not molecules:
        raise DataError(f"{table.name} has no usable row: {dict(reasons) or 'it is empty'}")
    parts = _parts(Store.build(molecules, featurizer), times, config)
    words = [""] * len(cells)
    for part, chosen in parts.items():
        for k in chosen:
            words[rows[k]] = part
    with (
        atomic(config.output_path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow([*table.columns, "split"])
        writer.writerows([*line, word] for line, word in zip(cells, words, strict=True))
    return dict(Counter(words))


def _parts(store: Store, times: list[str], config: DivideConfig) -> dict[str, np.ndarray]:
    every, sizes = np.arange(len(store)), config.split_sizes
    if config.split == "random":
        return splits.random_split(len(store), sizes, config.seed, store.smiles)
    if config.split == "size":
        return splits.ordered_split(store.n_node, sizes)
    if config.split == "time":
        return splits.ordered_split(splits.moments(times), sizes)
    return parts_of(store, every, config.split, sizes, config.seed or None)
