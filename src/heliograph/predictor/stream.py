"""Prediction for a table of any length in flat memory: every row, every column, the order, and a reason where there is no answer.

Rows flow through in chunks: read lazily, featurized by a pool of processes in order, predicted in batches of molecules of
like size, written to a temporary file that takes its name when it is whole.
"""

from __future__ import annotations

import gzip
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from heliograph.allocator import keep_freed_memory
from heliograph.chem.reasons import kind
from heliograph.data.writer import Writer, check_output, open_writer
from heliograph.errors import DataError
from heliograph.files import atomic

if TYPE_CHECKING:
    from heliograph.data.formats import Table
    from heliograph.data.record import Record
    from heliograph.data.store import Store
    from heliograph.model import MPNN
    from heliograph.predictor.environments import Environments
    from heliograph.predictor.predictor import Answers, Predictor

Row = tuple["Record", Any, str]  # record, molecule or None, reason
CHUNK = 4096  # rows predicted and written at a time
LEAST_KEPT = 512  # molecules in a chunk from which on environments are kept
KEPT_BYTES = 2**29  # for states of atoms and bonds whose environments were met before, all models together
USUAL_NODES = 24  # of a drug-like molecule without hydrogens
COUNT_LIMIT = 2**30  # bytes up to which a file's lines are counted for the time left


class PredictConfig(BaseModel):
    """What a prediction is asked to do; the command line's options are these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_path: Path = Field(description="a model file, or a run folder (all models of its ensemble)")
    data_path: Path = Field(description="table of molecules: csv, tsv, xlsx, parquet, smi, sdf, xyz, extxyz (plain or packed); -: stdin")
    output_path: Path = Field(description="where to write: .csv, .tsv (plain or .gz) or .parquet")
    smiles_columns: str | None = Field(
        None, description="column with the SMILES (default: as in training, else the one that holds molecules; it is printed)"
    )
    arch: Path | None = Field(None, description="your architecture file, where the model was trained with one")
    batch_size: PositiveInt | None = Field(None, description="molecules of usual size per step (default: 1024, with positions 256)")
    num_workers: int = Field(2, ge=0, description="processes that featurize (0: in this one)")
    coverage: tuple[float, ...] = Field(
        (), description="share of the truths that an interval should hold, one or several (default: as the model was trained)"
    )
    safe_cells: bool = Field(False, description="put an apostrophe before text that a spreadsheet would run as a formula (=, +, -, @)")
    strict: bool = Field(False, description="stop with exit code 1 at the first row that can't be used")


@dataclass(frozen=True)
class Summary:
    """What became of the rows. `reasons`: kind of reason -> rows without an answer; `renamed`: answer columns whose name was taken;
    `doubts`: kind of reason -> rows with an answer and something that speaks against it."""

    rows: int
    reasons: dict[str, int]
    seconds: float
    renamed: dict[str, str]
    doubts: dict[str, int] = field(default_factory=dict)

    @property
    def predicted(self) -> int:
        return self.rows - sum(self.reasons.values())


class Progress(Protocol):
    """How far it is, and lines that stay."""

    def __call__(self, stage: str, done: int, total: int | None = None) -> None: ...

    def say(self, text: str) -> None: ...


def predict_file(config: PredictConfig, *, overwrite: bool = False, progress: Progress | None = None) -> Summary:
    """Predict for each row of `config.data_path` and write the table with its answers to `config.output_path`.

    Adds `TARGET_pred` (value; probability of 1; or class), `TARGET_std` for an ensemble or a calibrated model, `TARGET_prob_CLASS` for
    multiclass, `TARGET_lower` and `TARGET_upper` of a calibrated model (classes: `TARGET_set`), `in_domain`, `domain_distance` and
    `new_atoms` of a model with a domain, `reason`.
    Raises DataError (no such file; with `strict`, the first bad row), UsageError (the output exists), ModelFileError.
    """
    from heliograph.data.formats import read
    from heliograph.predictor.environments import Environments
    from heliograph.predictor.predictor import open as open_model

    check_output(config.output_path, (config.data_path, config.model_path, *([config.arch] if config.arch else [])), overwrite)
    keep_freed_memory()
    predictor = open_model(config.model_path, config.arch)
    if config.coverage:
        predictor.trust = predictor.trust.asking(config.coverage)
    usual = predictor.document.training.get("structure_column")
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=(), usual_column=usual)
    if progress is not None:
        for note in table.notes:
            progress.say(note)
    grouped = predictor.trust.group_by
    if grouped is not None and grouped not in table.columns and progress is not None:
        progress.say(f"error bars were calibrated by groups of {grouped!r}, which {table.name} has not: those of all are taken")
    started = time.monotonic()
    total = count_rows(config.data_path) if progress is not None else None
    names, renamed = answer_columns(predictor, table.columns)
    structure = _structure_column(table)
    columns = [*([structure] if structure else []), *table.columns, *names]
    numeric = {name for name in names[:-1] if not (predictor.task.kind == "multiclass" and name.endswith("_pred"))}
    numeric -= {name for name in names if name.endswith("_set") or "_set_" in name or name.startswith("in_domain")}
    reasons: Counter[str] = Counter()
    doubts: Counter[str] = Counter()
    rows = 0
    environments = [Environments(KEPT_BYTES // len(predictor.models)) for _ in predictor.models]
    with (
        atomic(config.output_path, overwrite) as temporary,
        open_writer(temporary, config.output_path.name, columns, numeric, config.safe_cells) as writer,
    ):
        for chunk in chunks(_featurized(table, predictor, config, progress), CHUNK):
            if config.strict:
                _refuse(chunk, rows, table.name)
            answers = answer(chunk, predictor, config.batch_size, environments)
            if grouped is not None:
                answers = predictor.trust.by_group(answers, [record.meta.get(grouped, "") for record, _, _ in chunk])
            _write(chunk, answers, predictor, table, writer)
            rows += len(chunk)
            without = np.isnan(answers.y).all(1)
            for reason, none in zip(answers.reasons, without.tolist(), strict=True):
                if reason or none:
                    (reasons if none else doubts)[kind(reason) or "the network's answer is not finite"] += 1
            if progress is not None:
                progress("predicting", rows, max(total, rows) if total else None)
    return Summary(rows, dict(reasons.most_common()), time.monotonic() - started, renamed, dict(doubts.most_common()))


def answer(chunk: Sequence[Row], predictor: Predictor, batch_size: int | None, environments: Sequence[Environments] = ()) -> Answers:
    """Answers for a chunk's rows, NaN where there is no molecule; batches hold molecules of like size, so that they are full.

    Without positions batches are large: the more molecules, the more atoms and bonds are in environments that others share. Where
    `environments` are given, one a network, those are shared with the chunks before.
    """
    from heliograph.data.store import Store
    from heliograph.predictor.predictor import joined, placed

    good = np.array([k for k, (_, molecule, _) in enumerate(chunk) if molecule is not None], dtype=np.int64)
    reasons = tuple(reason for _, _, reason in chunk)
    if not len(good):
        return placed(None, good, reasons, predictor)
    store = Store.build([chunk[k][1] for k in good], predictor.featurizer, environments[0].codes if environments else None)
    kept = _ready(environments, predictor, store)
    pieces = list(batches(np.asarray(store.n_node), batch_size or (256 if store.has_geometry else 1024)))
    found = [predictor.predict_store(store, len(rows), rows, kept) for rows in pieces]

    rows = np.concatenate(pieces)
    return placed(predictor.founded(joined(found), store, rows), good[rows], reasons, predictor)


def _ready(environments: Sequence[Environments], predictor: Predictor, store: Store) -> Sequence[Environments | None]:
    """What is kept for each network; nothing with positions, nor for a few molecules, which would not repay the check."""
    if not environments or store.has_geometry or (len(store) < LEAST_KEPT and not environments[0].checked):
        return ()
    for model, one in zip(predictor.models, environments, strict=True):
        if not one.checked:
            check(one, model, store)
    return environments


def check(environments: Environments, model: MPNN, store: Store) -> None:
    """Before anything is kept of a network, on molecules of all parts of a store."""
    from heliograph.predictor.environments import CHECKED

    some = np.linspace(0, len(store) - 1, min(len(store), CHECKED)).astype(np.int64)
    environments.check(model.eval(), store.batch(some))


def batches(n_node: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Rows by number of nodes, small first, in batches that cost alike: up to `size` molecules of USUAL_NODES, fewer of larger ones.

    A molecule counts by its nodes squared where it is larger than usual, for the models that look at every pair of atoms.
    """
    order = np.argsort(n_node, kind="stable")
    share = np.maximum(n_node[order], 1) / USUAL_NODES
    cost = np.cumsum(np.where(share > 1, share**2, share))
    yield from np.split(order, np.flatnonzero(np.diff(cost // size)) + 1)


def answer_columns(predictor: Predictor, taken: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Names of the added columns, the last one `reason`; a name that the table has already gets a number, and is reported."""
    task = predictor.task
    wanted = []
    for t, target in enumerate(task.targets):
        wanted.append(f"{target}_pred")
        if predictor.has_std:
            wanted.append(f"{target}_std")
        if task.kind == "multiclass":
            wanted += [f"{target}_prob_{name}" for name in task.classes[t]]
        wanted += predictor.trust.columns(t)
    wanted += predictor.trust.domain_columns
    wanted.append("reason")
    known, names, renamed = set(taken), [], {}
    for name in wanted:
        new, k = name, 1
        while new in known:
            k += 1
            new = f"{name}_{k}"
        if new != name:
            renamed[name] = new
        known.add(new)
        names.append(new)
    return names, renamed


def chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Lists of up to `size` rows."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk


def count_rows(path: Path) -> int | None:
    """Lines of a text file, for the time left only; None where that is not known quickly."""
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith((".csv", ".tsv", ".txt", ".smi")) or not path.is_file() or os.path.getsize(path) > COUNT_LIMIT:
        return None
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b"")) - (not name.endswith(".smi"))
    except (OSError, EOFError):
        return None


def _featurized(table: Table, predictor: Predictor, config: PredictConfig, progress: Progress | None) -> Iterator[Row]:
    from heliograph.chem.pool import featurize_table

    featurizer = predictor.featurizer
    if featurizer.geometry == "given" and table.kind == "smiles":
        featurizer = replace(featurizer, geometry="embed")
        if progress is not None:
            progress.say(f"the model needs coordinates and {table.name} has SMILES alone: conformers are embedded (ETKDG + MMFF, seeded)")
    return iter(featurize_table(table, featurizer, config.num_workers, scaffold=False))


def _write(chunk: Sequence[Row], answers: Answers, predictor: Predictor, table: Table, writer: Writer) -> None:
    structure = _structure_column(table) is not None
    width = len(answer_columns(predictor, ())[0]) - 1  # a chunk without any answer has them all
    for k, (record, molecule, _) in enumerate(chunk):
        cells = [molecule.smiles if molecule is not None else ""] if structure else []
        cells += [record.meta.get(column, "") for column in table.columns]
        writer.row(cells, answer_values(answers, k, predictor) if molecule is not None else [None] * width, answers.reasons[k])


def answer_values(answers: Answers, k: int, predictor: Predictor) -> list[float | str | None]:
    """Return row `k`'s values of `answer_columns`, but for the reason."""
    task, trust = predictor.task, predictor.trust
    values: list[float | str | None] = []
    for t in range(answers.y.shape[1]):
        y = answers.y[k, t]
        values.append(float(y) if task.kind != "multiclass" or np.isnan(y) else task.classes[t][int(y)])
        if answers.std is not None:
            values.append(float(answers.std[k, t]))
        if answers.probabilities is not None:
            values += [float(p) for p in answers.probabilities[k, t, : len(task.classes[t])]]
        values += trust.cells(answers, k, t)
    return [*values, *trust.domain_cells(answers, k)]


def _structure_column(table: Table) -> str | None:
    """Files of geometries have no column with the structure: the answers get one."""
    return "smiles" if table.smiles_column is None and "smiles" not in table.columns else None


def _refuse(chunk: Sequence[Row], before: int, name: str) -> None:
    for k, (record, _, reason) in enumerate(chunk):
        if reason:
            shown = next((str(v) for v in record.meta.values()), "")[:80]
            raise DataError(f"{name}, row {before + k + 1} ({shown!r}): {reason}. Leave out --strict to get a reason column instead.")
