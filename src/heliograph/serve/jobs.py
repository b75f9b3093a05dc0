"""Jobs: tables that are predicted while nobody waits, kept on disk, so that a service that was killed goes on with them.

A job is a folder of `--jobs-folder` named by its id: the table as it was sent, `answers.csv` as far as it goes, and `job.json`, which
says how many rows and bytes of it count. A piece of rows at a time is asked of the model's queue, so that others get their turns.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from heliograph.data.formats import read
from heliograph.data.record import Record
from heliograph.errors import HeliographError, UsageError
from heliograph.files import atomic, hold
from heliograph.serve.batching import Busy
from heliograph.serve.served import Row
from heliograph.serve.service import Service

MARK = "heliograph-jobs"  # a file that says whose the folder is; the service that uses it holds its lock
JOB, ANSWERS, TABLE = "job.json", "answers.csv", "table"
PIECE = 256  # rows
PATIENCE = 1.0  # s until a full queue is asked again
SWEEP = 600.0  # s between two looks at what was done long ago
ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Job:
    """`state`: waiting, running, done or failed, with an `error`. `rows` and `bytes` of the answers are written; times are in seconds."""

    id: str
    model: str
    sha256: str
    suffix: str
    smiles_column: str | None
    created: float
    state: str = "waiting"
    rows: int = 0
    bytes: int = 0
    finished: float | None = None
    error: str = ""

    def about(self) -> dict[str, Any]:
        """What its owner may know."""
        return {k: v for k, v in asdict(self).items() if k not in ("suffix", "bytes", "smiles_column")}


class Full(Exception):
    """As many jobs wait as may."""


class Jobs:
    """The jobs in `folder`. At most `most` that are not done; those that are go after `keep` seconds.

    Raises UsageError where the folder holds what no service put there, or another service uses it.
    """

    def __init__(self, folder: Path, service: Service, most: int, keep: float):
        self.folder, self.service, self.most, self.keep = folder, service, most, keep
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / MARK).exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds other files. Give a new folder with --jobs-folder.")
        lock = hold(folder / MARK)
        if lock is None:
            raise UsageError(f"another service uses {folder} now. Give a folder of its own with --jobs-folder.")
        self._lock = lock
        self.jobs = {job.id: job for job in sorted(self._found(), key=lambda job: job.created)}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go on with what was not done; in the event loop that answers."""
        self.sweep()
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Leave what is under way where it stands."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.close()

    def close(self) -> None:
        """Leave the folder to another service."""
        self._lock.close()

    def add(self, model: str, body: bytes, suffix: str, smiles_column: str | None) -> Job:
        """Keep a table and put it at the end of the queue. Raises Full."""
        self.sweep()
        if sum(job.finished is None for job in self.jobs.values()) >= self.most:
            raise Full
        job = Job(uuid.uuid4().hex, model, self.service.models[model].sha256, suffix, smiles_column, time.time())
        self._at(job).mkdir(mode=0o700)
        (self._at(job) / (TABLE + suffix)).write_bytes(body)
        self._save(job)
        self._wake.set()
        return job

    def answers(self, job: Job) -> Path:
        """The file with the answers of a job that is done."""
        return self._at(job) / ANSWERS

    def remove(self, job: Job) -> None:
        """Forget a job and its files."""
        del self.jobs[job.id]
        shutil.rmtree(self._at(job), ignore_errors=True)

    def sweep(self) -> None:
        """Remove what was done long ago."""
        for job in list(self.jobs.values()):
            if job.finished is not None and time.time() - job.finished > self.keep:
                self.remove(job)

    def _found(self) -> Iterator[Job]:
        for path in self.folder.iterdir():
            if ID.fullmatch(path.name):
                try:
                    job = Job(**json.loads((path / JOB).read_text(encoding="utf-8")))
                    if job.id == path.name:
                        yield job
                except (OSError, ValueError, TypeError):
                    continue  # killed before it was whole: nobody was told its id

    def _at(self, job: Job) -> Path:
        return self.folder / job.id

    def _save(self, job: Job) -> None:
        with atomic(self._at(job) / JOB) as temporary:
            temporary.write_text(json.dumps(asdict(job)), encoding="utf-8")
        self.jobs[job.id] = job

    async def _work(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), SWEEP)
            self.sweep()
            job = next((job for job in self.jobs.values() if job.finished is None), None)
            if job is None:
                self._wake.clear()
                continue
            try:
                await self._do(job)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # a job's own fault or ours: the next one has its turn
                text = str(error)[:300] if isinstance(error, HeliographError) else "something went wrong here"
                self.service.log({"event": "job failed", "id": job.id, "error": type(error).__name__})
                if job.id in self.jobs:
                    self._save(replace(self.jobs[job.id], state="failed", finished=time.time(), error=text))

    async def _do(self, job: Job) -> None:
        if job.model not in self.service.models:
            raise UsageError(f"the service has no model {job.model} any more")
        if job.sha256 != self.service.models[job.model].sha256:  # another model now: its answers would be mixed with the old one's
            job = replace(job, sha256=self.service.models[job.model].sha256, rows=0, bytes=0)
        path = self._at(job) / (TABLE + job.suffix)
        table = await asyncio.to_thread(read, path, smiles_column=job.smiles_column, target_columns=())
        records, names = islice(table, job.rows, None), self.service.models[job.model].columns
        self._save(job := replace(job, state="running"))
        with open(self.answers(job), "ab") as file:
            file.truncate(job.bytes)
            if not job.bytes:
                file.write(line([*table.columns, *names, "reason"]))
            while piece := await asyncio.to_thread(_taken, records):
                rows = await self._asked(job.model, [str(r.structure) if isinstance(r.structure, str) else "" for r in piece])
                if job.id not in self.jobs or self.service.models[job.model].sha256 != job.sha256:
                    return  # it was removed, or the model loaded again: then it begins anew
                for record, row in zip(piece, rows, strict=True):
                    file.write(written([record.meta.get(column, "") for column in table.columns], row, names))
                file.flush()
                self._save(job := replace(job, rows=job.rows + len(piece), bytes=file.tell()))
        self._save(replace(job, state="done", finished=time.time()))

    async def _asked(self, model: str, smiles: list[str]) -> list[Row]:
        while True:
            try:
                return await self.service.predict(model, smiles)
            except Busy:
                await asyncio.sleep(PATIENCE)


def _taken(records: Iterator[Record]) -> list[Record]:
    """The next rows; the first call of a job that is gone on with reads those that are done, too."""
    return list(islice(records, PIECE))


def written(own: list[str], row: Row, names: tuple[str, ...]) -> bytes:
    """One line of a table with answers."""
    return line([*own, *("" if (v := row.answers.get(name)) is None else v for name in names), row.reason])


def line(cells: list[Any]) -> bytes:
    """One line of CSV."""
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerow(cells)
    return sink.getvalue().encode("utf-8", "backslashreplace")
