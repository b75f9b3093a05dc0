"""From a table to what is trained on: a cached store of molecules, the cells beside them, and the three parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from heliograph.data import cache, formats, splits
from heliograph.data.formats.table import Table
from heliograph.data.record import MolBlock, Record
from heliograph.data.store import Store
from heliograph.errors import DataError, UsageError
from heliograph.learn.progress import Progress
from heliograph.train import copies
from heliograph.train.config import DataConfig, SplitConfig, TrainConfig
from heliograph.train.likeness import parts_of
from heliograph.train.result import BadRow, DataSummary
from heliograph.train.targets import Cell, Labels, read_labels

if TYPE_CHECKING:
    from heliograph.chem.featurizer import Featurizer
    from heliograph.chem.molecule import Molecule

FILE_PARTS = ("train", "val", "test")  # what the data, --val-path and --test-path are for
MAX_BAD_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Dataset:
    """G usable molecules with labels `labels.y` [G, T], `weights` [G], row numbers in their file `rows` [G], and which file `files` [G].

    `splits_column` [G]: the cells of --splits-column, or none. `key` tells one content of the input from another.
    """

    store: Store
    labels: Labels
    weights: np.ndarray
    rows: np.ndarray
    files: np.ndarray
    splits_column: tuple[str, ...]
    summary: DataSummary
    key: str
    notes: list[str] = field(default_factory=list)
    structure_column: str | None = None


def load(config: TrainConfig, module: ModuleType, progress: Progress) -> Dataset:
    """Read, featurize (or find in the cache) and label. `module`: the architecture's.

    Raises DataError: no usable row, labels that don't fit; with --strict, at the first row that can't be used.
    """
    tables = _tables(config)
    featurizer, notes = featurizer_for(config.data, module, tables[0].kind, config.model.arch)
    paths = [p for p in (config.data.data_path, config.split.val_path, config.split.test_path) if p is not None]
    key = cache.key_of({"content": [_content(p) for p in paths], "smiles": tables[0].smiles_column,
                        "weight": config.data.weight_column, "featurizer": featurizer.to_dict(), "what": "store 1"})  # fmt: skip
    store, about = _featurized(tables, featurizer, key, config.data, progress)
    cells = _cells(tables, about, key, config)
    rows = np.array(about["rows"], dtype=np.int64)
    names = [f"{r + 1}" for r in rows]
    known = tuple(tables[0].units.get(target, "") for target in tables[0].targets)
    units = config.data.units or (known if any(known) else ())
    labels = read_labels(cells["targets"], config.data.task_type, units, names, config.data.censored, config.data.missing)
    notes = [*tables[0].notes, *chosen(tables[0], config.data), *notes]
    bad = tuple(BadRow(*row) for row in about["bad"])
    summary = DataSummary(str(config.data.data_path), tables[0].columns, about["read"], len(rows), about["reasons"], bad)
    if about["reasons"]:
        notes.append(_bad_sentence(about["reasons"], about["read"]))
    notes += copies.sentences(store.smiles, labels, _keeps_copies(config.split))
    return Dataset(store, labels, np.array(cells["weights"]), rows, np.array(about["files"], dtype=np.int64), tuple(cells["splits"]),
                   summary, hashlib.sha256(f"{key} {tables[0].targets}".encode()).hexdigest(), [*notes, *labels.notes],
                   tables[0].smiles_column)  # fmt: skip


def _keeps_copies(split: SplitConfig) -> bool:
    """Whether rows of equal structure are in one part by the way they are divided."""
    given = split.splits_column is not None or split.val_path is not None or split.test_path is not None
    apart = split.split in ("size", "time") or (split.split == "random" and split.copies == "apart")
    return not given and not apart


def _bad_sentence(reasons: Mapping[str, int], read: int) -> str:
    bad = sum(reasons.values())
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return f"{bad:,} of {read:,} rows can't be used: {listed}."


def cut_by(config: SplitConfig) -> str | None:
    """Return the column that says how rows are divided. Raises UsageError where --split time has none, or another split has one."""
    if (config.split == "time") != (config.time_column is not None):
        raise UsageError("--split time and --time-column belong together: the rows of the earliest times train, the latest test")
    if config.time_column is not None and config.splits_column is not None:
        raise UsageError("--time-column and --splits-column exclude one another: both say how the rows are divided")
    return config.splits_column or config.time_column


def _tables(config: TrainConfig) -> list[Table]:
    data = config.data
    common: dict[str, Any] = {"smiles_column": data.smiles_columns, "weight_column": data.weight_column, "missing": marks(data)}
    first = formats.read(data.data_path, target_columns=data.target_columns or None, splits_column=cut_by(config.split), **common)
    if not first.targets:
        raise DataError(
            f"{first.name} has no numeric column to learn: {left_out(first) or ', '.join(first.columns)}. Name one with --target-columns."
        )
    others = [p for p in (config.split.val_path, config.split.test_path) if p is not None]
    return [first, *(formats.read(p, target_columns=first.targets, **common) for p in others)]


def marks(data: DataConfig) -> tuple[str, ...]:
    """What stands for missing beside the usual; "none" says that nothing does."""
    return tuple(mark for mark in data.missing if mark.lower() != "none")


def chosen(table: Table, data: DataConfig) -> list[str]:
    """Which columns are learned, and why the others are not, where nobody named them."""
    if data.target_columns:
        return []
    more = len(table.targets) - 20
    names = ", ".join(repr(name) for name in table.targets[:20]) + (f" and {more} more" if more > 0 else "")
    out = left_out(table)
    return [f"Targets, for want of --target-columns: {names}.{f' Left out: {out}.' if out else ''}"]


def left_out(table: Table) -> str:
    """Columns that are no targets, with the reasons."""
    listed = [f"{name!r} ({why})" for name, why in list(table.left_out.items())[:20]]
    more = len(table.left_out) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more > 0 else "")


def featurizer_for(data: DataConfig, module: ModuleType, kind: str, arch: str) -> tuple[Featurizer, list[str]]:
    """The architecture's featurizer with geometry as asked, and what was decided. Raises UsageError where they don't go together."""
    from heliograph.chem.featurizer import preset

    asked, wants = data.geometry, module.GEOMETRY
    notes = []
    if asked == "auto":
        asked = "none" if wants == "none" else "given" if kind in ("sdf", "xyz") else "embed" if wants == "required" else "none"
        if asked == "embed":
            notes.append(f"{arch} reads positions and the input has none: conformers are embedded (ETKDG + MMFF, seeded).")
        elif asked == "given" and wants == "optional":
            notes.append(f"{arch} uses the coordinates of the input (--geometry none for bonds only).")
        elif kind == "xyz" and wants == "none":
            notes.append(f"{arch} reads bonds, not positions: bonds are found from the distances; the positions are not used.")
    elif asked == "none" and wants == "required":
        raise UsageError(
            f"--geometry none: {arch} reads positions. Use --geometry embed or given, or an architecture of bonds (dmpnn, gin, gcn)."
        )
    elif asked != "none" and wants == "none":
        raise UsageError(f"--geometry {asked}: {arch} does not read positions. Leave the option out, or use schnet or gilmer.")
    if asked == "given" and kind == "smiles":
        raise UsageError("--geometry given: a table of SMILES has no coordinates. Use --geometry embed, or an SDF or XYZ file.")
    featurizer = preset(module.FEATURIZER)
    if asked != "none":
        return replace(featurizer, hydrogens="explicit", geometry=asked), notes
    return replace(featurizer, geometry="none"), notes


def _content(path: Path) -> str:
    """SHA-256 of a file's bytes; of a shipped set, of all files that its name begins."""
    from heliograph.data import sets
    from heliograph.data.formats.reader import standard_input

    path = standard_input() if str(path) == "-" else path
    files = [path] if path.is_file() else sorted(f for f in Path(sets.__path__[0]).glob(f"{path.name}*") if f.is_file())
    digest = hashlib.sha256()
    for name in files:
        with open(name, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _featurized(
    tables: list[Table], featurizer: Featurizer, key: str, data: DataConfig, progress: Progress
) -> tuple[Store, dict[str, Any]]:
    """The store of usable rows, and which rows they are: from the cache, or made now."""

    def build(folder: Path) -> None:
        about: dict[str, Any] = {"rows": [], "files": [], "reasons": {}, "bad": [], "read": 0}
        molecules = _molecules(tables, featurizer, data, about, progress)
        first = next(molecules, None)
        if first is None:
            raise DataError(_nothing(tables[0], about))
        Store.build(_chain(first, molecules), featurizer).save(folder / "store")
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")

    folder = cache.cached(key, build)
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    if data.strict and about["bad"]:
        raise DataError(_strict(*about["bad"][0]))
    return Store.open(folder / "store"), about


def _chain(first: Molecule, rest: Iterator[Molecule]) -> Iterator[Molecule]:
    yield first
    yield from rest


def _molecules(
    tables: list[Table], featurizer: Featurizer, data: DataConfig, about: dict[str, Any], progress: Progress
) -> Iterator[Molecule]:
    """Usable molecules of all files, one after the other; `about` is filled on the way."""
    from heliograph.chem.pool import featurize_table
    from heliograph.chem.reasons import kind

    for number, table in enumerate(tables):
        outcomes = featurize_table(iter(table), featurizer, data.num_workers, _stage(progress, table.name))
        for row, (record, molecule, reason) in enumerate(outcomes):
            about["read"] += 1
            if molecule is not None:
                about["rows"].append(row)
                about["files"].append(number)
                yield molecule
                continue
            about["reasons"][kind(reason)] = about["reasons"].get(kind(reason), 0) + 1
            if len(about["bad"]) < MAX_BAD_ROWS:
                about["bad"].append((row, _text(record), reason))
            if data.strict:
                raise DataError(_strict(row, _text(record), reason))


def _stage(progress: Progress, name: str) -> Callable[[int], None]:
    return lambda done: progress(f"featurizing {name}", done)


def _text(record: Record) -> str:
    """What stood in the row, for people."""
    structure = record.structure
    if isinstance(structure, str):
        return structure[:200]
    return (structure.text.partition("\n")[0] if isinstance(structure, MolBlock) else next(iter(record.meta.values()), ""))[:200]


def _strict(row: int, text: str, reason: str) -> str:
    return f"row {row + 1} ({text[:60]!r}) can't be used: {reason}. Mend it, or leave --strict out to go on without it."


def _nothing(table: Table, about: Mapping[str, Any]) -> str:
    where = f" in the column {table.smiles_column!r} (another: --smiles-columns)" if table.smiles_column else ""
    if not about["read"]:
        return f"{table.name} has no rows: there is nothing to learn from."
    counts = ", ".join(f"{count} {reason}" for reason, count in about["reasons"].items())
    first = about["bad"][0]
    return (
        f"none of the {about['read']:,} rows of {table.name} has a usable structure{where}: {counts}. "
        f"The first: row {first[0] + 1}, {first[2]}."
    )


def _cells(tables: list[Table], about: Mapping[str, Any], key: str, config: TrainConfig) -> dict[str, Any]:
    """Cells of targets, weights and splits for the usable rows, in a second pass over the table (cached for formats slow to read)."""
    usable: list[set[int]] = [set() for _ in tables]
    for row, number in zip(about["rows"], about["files"], strict=True):
        usable[number].add(row)

    def collect() -> dict[str, Any]:
        targets: dict[str, list[Cell]] = {name: [] for name in tables[0].targets}
        out: dict[str, Any] = {"targets": targets, "weights": [], "splits": []}
        column = cut_by(config.split)
        for number, table in enumerate(tables):
            for row, record in enumerate(table):
                if row in usable[number]:
                    for name, cells in targets.items():
                        cells.append(record.targets.get(name))
                    out["weights"].append(record.weight)
                    if column is not None:
                        out["splits"].append(record.meta.get(column, "") if number == 0 else FILE_PARTS[number])
        return out

    if tables[0].kind == "smiles":
        return collect()
    name = cache.key_of({"of": key, "targets": tables[0].targets, "splits": cut_by(config.split), "what": "cells 1"})
    folder = cache.cached(name, lambda folder: _write_json(folder / "cells.json", collect()))
    found: dict[str, Any] = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
    return found


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def divide(data: Dataset, config: SplitConfig, seed: int, replicate: int) -> dict[str, np.ndarray]:
    """Rows of the store for train, val and test; rows without any label are in none.

    Replicates differ in the split's seed; a split that is given (a column, files) stays.
    """
    labelled = np.flatnonzero(np.isfinite(data.labels.y).any(1))
    own = labelled[data.files[labelled] == 0]
    if config.splits_column is not None:
        has_label = np.isfinite(data.labels.y).any(1)
        parts = splits.from_column([cell if has else "" for cell, has in zip(data.splits_column, has_label, strict=True)])
    else:
        sizes, files = _sizes(config)
        parts = _cut(data, config, own, sizes, seed, replicate) if sizes[0] < 1.0 else {"train": own, "val": own[:0], "test": own[:0]}
        for number, part in enumerate(files, 1):
            parts[part] = labelled[data.files[labelled] == number]
            if not len(parts[part]):
                raise DataError(f"the file for {part} has no usable row with a label")
    if not len(parts["train"]):
        raise DataError("no usable molecule with a label is left to train on")
    return parts


def _sizes(config: SplitConfig) -> tuple[tuple[float, ...], list[str]]:
    """Shares for the data file itself, and the parts that files of their own are for."""
    files = [part for part, path in (("val", config.val_path), ("test", config.test_path)) if path is not None]
    sizes = [0.0 if part in files else size for part, size in zip(FILE_PARTS, config.split_sizes, strict=True)]
    if not files:
        return tuple(sizes), files
    whole = sum(sizes) or 1.0
    if config.test_path is not None and config.val_path is not None:
        return (1.0, 0.0, 0.0), files
    return tuple(size / whole for size in sizes), files


def _cut(
    data: Dataset, config: SplitConfig, rows: np.ndarray, sizes: tuple[float, ...], seed: int, replicate: int
) -> dict[str, np.ndarray]:
    if config.split == "random":
        groups = [data.store.smiles[k] for k in rows] if config.copies == "together" and data.store.has_bonds else None
        binary = data.labels.task.kind == "binary" and len(data.labels.task.targets) == 1
        parts = splits.random_split(len(rows), sizes, seed + replicate, groups, data.labels.y[rows, 0] if binary else None)
    elif config.split == "size":
        parts = splits.ordered_split(data.store.n_node[rows], sizes)
    elif config.split == "time":
        parts = splits.ordered_split(splits.moments([data.splits_column[k] for k in rows]), sizes)
    else:
        parts = parts_of(data.store, rows, config.split, sizes, None if replicate == 0 else seed + replicate)
    return {part: rows[chosen] for part, chosen in parts.items()}
