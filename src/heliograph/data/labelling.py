"""No labels yet? GFN2-xTB labels for a table of molecules, every row kept, by a pool of processes."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from heliograph.chem.reasons import kind
from heliograph.data.record import Record, Structure
from heliograph.data.writer import Writer, check_output, open_writer
from heliograph.errors import DataError, HeliographError, StructureError
from heliograph.files import atomic

if TYPE_CHECKING:
    from heliograph.chem.xtb import Labels

PROPERTIES = {"energy": "eV", "atomization_energy": "eV", "homo": "eV", "lumo": "eV", "gap": "eV", "dipole": "D"}
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LabelConfig(BaseModel):
    """What to label; the command line's options are these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_path: Path = Field(description="table of molecules: csv, tsv, parquet, smi, sdf, xyz, extxyz (plain or .gz)")
    output_path: Path = Field(description="where to write: .csv, .tsv (plain or .gz), .parquet, or .xyz with the geometries")
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else the first)")
    optimise: bool = Field(True, description="relax each geometry to a stationary point first")
    seed: int = Field(0, ge=0, description="conformers are drawn with it")
    time_limit: PositiveFloat = Field(600.0, description="seconds for one molecule, after which it gets a reason instead of labels")
    num_workers: int = Field(2, ge=0, description="processes that compute (0: in this one)")


@dataclass(frozen=True)
class Summary:
    """What became of the rows. `reasons`: kind of reason -> rows."""

    rows: int
    reasons: dict[str, int]
    seconds: float


class Progress(Protocol):
    """How far it is."""

    def __call__(self, stage: str, done: int, total: int | None = None) -> None: ...


def label_file(config: LabelConfig, *, overwrite: bool = False, progress: Progress | None = None) -> Summary:
    """Write the table with GFN2-xTB labels (`PROPERTIES`, in their units) and a reason where there are none.

    Raises DataError (no such file), UsageError (the output exists), HeliographError (tblite is missing).
    """
    from heliograph.data.formats import read

    check_output(config.output_path, [config.data_path], overwrite)
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=())
    taken = sorted(set(table.columns) & {*PROPERTIES, "reason"})
    if taken:
        raise DataError(f"{table.name} has the column(s) {', '.join(taken)} already, which the labels would need. Rename them first.")
    started, rows = time.monotonic(), 0
    reasons: Counter[str] = Counter()
    with atomic(config.output_path, overwrite) as temporary, _writer(temporary, config.output_path.name, table.columns) as write:
        for record, labels, reason in labelled(table, config):
            write(record, labels, reason)
            rows += 1
            if reason:
                reasons[kind(reason)] += 1
            if progress is not None:
                progress("labelling", rows, None)
    return Summary(rows, dict(reasons.most_common()), time.monotonic() - started)


def labelled(records: Iterable[Record], config: LabelConfig) -> Iterator[tuple[Record, Labels | None, str]]:
    """(record, labels or None, reason) in order; as many processes as `config.num_workers`."""
    from heliograph.chem.xtb import free_atom_energy

    with _one_thread():
        free_atom_energy(1)  # tells at once where tblite is missing; from here on its threads are settled
    how = config.optimise, config.seed, config.time_limit
    if not config.num_workers:
        for record in records:
            yield (record, *attempt(record.structure, record.reason, *how))
        return
    source, waiting = iter(records), deque[tuple[Record, "Future[tuple[Labels | None, str]]"]]()
    with _one_thread(), _pool(config.num_workers) as pool:
        try:
            while True:
                for record in islice(source, 8 * config.num_workers - len(waiting)):
                    waiting.append((record, pool.submit(attempt, record.structure, record.reason, *how)))
                if not waiting:
                    return
                record, future = waiting.popleft()
                yield (record, *future.result())
        except BrokenProcessPool:
            raise HeliographError("a process of GFN2-xTB died. Try --num-workers 0 to find the row, and leave it out.") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))


def attempt(structure: Structure | None, reason: str, optimise: bool, seed: int, seconds: float = math.inf) -> tuple[Labels | None, str]:
    """Labels of one structure, or why there are none."""
    from heliograph.chem.xtb import label

    if structure is None:
        return None, reason or "empty structure"
    try:
        return label(structure, optimise=optimise, seed=seed, seconds=seconds), ""
    except StructureError as error:
        return None, str(error)


@contextmanager
def _writer(path: Path, name: str, columns: tuple[str, ...]) -> Iterator[Callable[[Record, Labels | None, str], object]]:
    if name.endswith((".xyz", ".extxyz")):
        with open(path, "w", encoding="utf-8") as file:
            yield lambda record, labels, reason: file.write(extended_xyz(labels)) if labels is not None else None
        return
    with open_writer(path, name, [*columns, *PROPERTIES, "reason"], set(PROPERTIES)) as writer:
        yield lambda record, labels, reason: _row(writer, columns, record, labels, reason)


def _row(writer: Writer, columns: tuple[str, ...], record: Record, labels: Labels | None, reason: str) -> None:
    values = [float(getattr(labels, name)) if labels is not None else None for name in PROPERTIES]
    writer.row([record.meta.get(column, "") for column in columns], values, reason)


def extended_xyz(labels: Labels) -> str:
    """One frame: positions in angstrom, forces in eV/angstrom, the labels in the comment."""
    from heliograph.chem.elements import SYMBOLS

    keys = " ".join(f"{name}={float(getattr(labels, name)):.10g}" for name in PROPERTIES)
    lines = [str(len(labels.z)), f'Properties=species:S:1:pos:R:3:forces:R:3 smiles="{labels.smiles}" {keys}']
    for z, pos, force in zip(labels.z, labels.pos, labels.forces, strict=True):
        lines.append(f"{SYMBOLS[int(z)]:<2} " + " ".join(f"{v:14.8f}" for v in (*pos, *force)))
    return "\n".join(lines) + "\n"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started meanwhile use one thread each: a process per core is faster than threads within."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
