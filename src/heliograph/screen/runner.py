"""A whole screening: shards to processes, the best of all of them, filters from the best down, a diverse choice, enrichment."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from heliograph import manifest
from heliograph.errors import DataError, UsageError
from heliograph.files import JsonLines
from heliograph.manifest import Kind
from heliograph.screen import library as shelves
from heliograph.screen.best import Best, Hit
from heliograph.screen.config import ScreenConfig
from heliograph.screen.enrichment import enrichment
from heliograph.screen.library import File, Shard
from heliograph.screen.pool import Hands, Here, Pool, Task
from heliograph.screen.result import DIVERSE, RESULTS, TOP, Result
from heliograph.screen.validation import asked_of, validate
from heliograph.screen.work import Outcome, Question, question

if TYPE_CHECKING:
    from heliograph.predictor.predictor import Predictor

JOURNAL, UNPACKED, REPORT = "journal.jsonl", "unpacked", "report.html"
_WRITTEN = (JOURNAL, TOP, DIVERSE, RESULTS, REPORT)
SCREENING = Kind("a screening", re.compile("|".join(map(re.escape, _WRITTEN)) + rf"|{UNPACKED}/[^/]+"))
DEEPER = 4  # times as many candidates as are wanted, where there are filters; again so many if they don't suffice
BLOCK = 256  # molecules filtered at a time


class Progress(Protocol):
    """How far it is, and lines that stay."""

    def __call__(self, stage: str, done: int, total: int | None = None) -> None: ...

    def say(self, text: str) -> None: ...


def run(config: ScreenConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None) -> Result:
    """Screen as `config` says into `config.output_dir`: the `top` best of the library, exactly, each molecule once.

    The answer is the same for any number of processes and after any interruption. `resume` goes on with what is in the folder.
    Raises UsageError (a column that is not there, a screening in the folder), DataError (nothing usable), ModelFileError.
    """
    from heliograph.chem.filters import Filters
    from heliograph.predictor.predictor import open as open_model

    Filters(config.filters)  # before anything is read: are there such filters
    began = time.monotonic()
    _settled(config, resume, overwrite)
    predictor = open_model(config.model_path, config.arch)
    unpacked = [f"{UNPACKED}/{name}" for path in config.library if (name := shelves.unpacked_name(path))]
    if unpacked:
        manifest.claim(config.output_dir, SCREENING, unpacked, replace=False)
    files = [shelves.open_file(path, config.output_dir / UNPACKED) for path in config.library]
    columns, structure = _columns(files, config)
    asked_of(config, predictor.task.targets[0])
    asked = replace(question(predictor, config, columns), smiles_column=config.smiles_columns or structure)
    units = shelves.shards(files, config.shard_size)
    journal, about = JsonLines(config.output_dir / JOURNAL), _about(config, files, predictor)
    old = _begun(journal, about) if resume else []
    manifest.claim(config.output_dir, SCREENING, _WRITTEN, replace=not resume, keep=unpacked)  # what is wrong with the question was seen
    old = old if resume else _begun(journal, about)
    jobs = min(default_jobs() if config.jobs is None else config.jobs, max(1, len(units)))
    settings = {"question": asdict(asked), "model": os.fspath(config.model_path.absolute()), "arch": _absolute(config.arch)}
    whole = _Screening(config, files, units, asked, journal, old, progress)
    whole.known = _known(config.known)
    guarded = bool(jobs) and config.ray is None and predictor.featurizer.geometry != "none"
    with _hands(config, settings, jobs, progress) as pool:
        result = whole.finish(pool, guarded, (*columns, *asked.names))
    validate(result, config, asked.target, journal, progress)
    result.seconds["all"] = time.monotonic() - began
    result.about = _about(config, files, predictor) | {"jobs": jobs}
    result.save(config.output_dir)
    for file in files:
        if file.path.parent == config.output_dir / UNPACKED:
            file.path.unlink(missing_ok=True)
    manifest.seal(config.output_dir)
    if result.rows == sum(result.reasons.values()):
        said = ", ".join(f"{count:,} {reason}" for reason, count in result.reasons.items()) or "no rows"
        raise DataError(f"none of {result.rows:,} rows could be ranked: {said}")
    return result


def _hands(config: ScreenConfig, settings: dict[str, Any], jobs: int, progress: Progress | None) -> Hands:
    """Who does the work: a Ray cluster, processes, or this one."""
    if config.ray is not None:
        from heliograph.screen.cluster import Cluster

        return Cluster(settings, config.ray, progress)
    return Pool(settings, jobs) if jobs else Here(settings)


def default_jobs() -> int:
    """One per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Screening:
    """The state of one run: which shards are done and what is the best so far."""

    def __init__(
        self,
        config: ScreenConfig,
        files: list[File],
        units: list[Shard],
        asked: Question,
        journal: JsonLines,
        old: Sequence[dict[str, Any]],
        progress: Progress | None,
    ):
        self.config, self.files, self.units, self.asked, self.journal, self.progress = config, files, units, asked, journal, progress
        self.outcomes: dict[tuple[int, int], Outcome] = {}  # (depth, shard)
        self.seconds: dict[str, float] = defaultdict(float)
        self.rejects: dict[str, str] = {}  # SMILES -> the filter that turned it away, "" where none did
        for line in old:
            if "rejects" in line or "validated" in line:
                self.rejects |= line.get("rejects", {})
                continue
            one = Outcome.from_dict(line)
            self.outcomes[one.depth, one.shard] = one
        self.costs: dict[str, float] = defaultdict(float)
        self.known: frozenset[str] = frozenset()  # canonical SMILES that are left out
        self.met = 0  # of them, among the candidates

    def finish(self, pool: Hands, guarded: bool, columns: Sequence[str]) -> Result:
        depth = self.config.top * (DEEPER if self.config.filters or self.known else 1)
        while True:
            best = self._scored(pool, depth, guarded)
            candidates = best.ranked()
            hits = self._passing(pool, candidates)
            if len(hits) >= self.config.top or len(candidates) < depth:
                break
            depth *= DEEPER
            if self.progress is not None:
                self.progress.say(f"{len(hits):,} of {len(candidates):,} candidates passed the filters: looking at {depth:,}")
        return self._result(hits[: self.config.top], [self.outcomes[depth, unit.number] for unit in self.units], columns)

    def _scored(self, pool: Hands, depth: int, guarded: bool) -> Best:
        """The `depth` best of the library; shards that are in the journal are not read again."""
        started, best = time.monotonic(), Best(depth)
        bytes_done = rows_done = 0
        total = sum(unit.end - unit.start for unit in self.units)
        for unit in self.units:
            if (known := self.outcomes.get((depth, unit.number))) is not None:
                best.add(known.hits)
                bytes_done += unit.end - unit.start
                rows_done += known.rows
        before = bytes_done, rows_done

        def task(unit: Shard) -> Task:
            def made() -> tuple[dict[str, Any], bytes]:
                file = self.files[unit.file]
                request = {"what": "score", "number": unit.number, "suffix": file.kind, "depth": depth, "floor": best.floor}
                return request | {"guarded": guarded}, shelves.content(file, unit)

            return made

        waiting = ((unit, task(unit)) for unit in self.units if (depth, unit.number) not in self.outcomes)
        for unit, found in pool.as_completed(waiting):
            outcome = Outcome.from_dict(found)
            self.journal.append(found)
            self.outcomes[depth, unit.number] = outcome
            best.add(outcome.hits)
            bytes_done += unit.end - unit.start
            rows_done += outcome.rows
            if self.progress is not None:
                share = (rows_done - before[1]) / max(1, bytes_done - before[0])  # rows a byte
                fresh = rows_done - before[1]
                self.progress(f"screening for {depth:,}", fresh, max(fresh, round(share * (total - before[0]))))
        self.seconds["screening"] += time.monotonic() - started
        return best

    def _passing(self, pool: Hands, candidates: list[Hit]) -> list[Hit]:
        """The first `top` candidates that pass all filters, asked from the best down."""
        unknown = [hit for hit in candidates if hit.smiles not in self.known]
        self.met, candidates = len(candidates) - len(unknown), unknown
        if not self.config.filters:
            return candidates
        started, passed = time.monotonic(), sum(self.rejects.get(hit.smiles) == "" for hit in candidates)
        asked = [hit.smiles for hit in candidates if hit.smiles not in self.rejects]
        blocks = [asked[k : k + BLOCK] for k in range(0, len(asked), BLOCK)]

        def task(block: list[str]) -> Task:
            import json

            return lambda: ({"what": "filter"}, json.dumps(block).encode())

        answers = pool.ordered(task(block) for block in blocks)
        for block, found in zip(blocks, answers, strict=False):
            rejects = dict(zip(block, found["rejects"], strict=True))
            self.journal.append({"rejects": rejects})
            self.rejects |= rejects
            for name, seconds in found["seconds"].items():
                self.costs[name] += seconds
            passed += sum(not name for name in rejects.values())
            if self.progress is not None:
                self.progress(f"filtering {len(candidates):,}", min(passed, self.config.top), self.config.top)
            if passed >= self.config.top:
                break
        self.seconds["filtering"] += time.monotonic() - started
        return [hit for hit in candidates if self.rejects.get(hit.smiles) == ""]

    def _result(self, hits: list[Hit], outcomes: list[Outcome], columns: Sequence[str]) -> Result:
        reasons = sum((Counter(one.reasons) for one in outcomes), Counter[str]())
        result = Result(hits, tuple(columns), self.asked.ranking().text)
        result.rows, result.ranked = sum(one.rows for one in outcomes), sum(one.ranked for one in outcomes)
        result.reasons, result.left_out = dict(reasons.most_common()), sum(one.left_out for one in outcomes)
        result.filtered = len(self.rejects)
        result.rejected = dict(Counter(name for name in self.rejects.values() if name).most_common())
        result.known = self.met
        result.sample = sorted(score for one in outcomes for score in one.sample)
        started = time.monotonic()
        if self.config.diverse is not None or self.config.per_scaffold is not None:
            self._choose(result)
            self.seconds["diversity"] = time.monotonic() - started
        if self.asked.truth is not None:
            scores = [one.scores for one in outcomes if one.scores is not None]
            active = [one.active for one in outcomes if one.active is not None]
            result.enrichment = enrichment(np.concatenate(scores), np.concatenate(active)) if scores else None
        result.seconds = dict(self.seconds) | {f"filter {name}": seconds for name, seconds in self.costs.items()}
        return result

    def _choose(self, result: Result) -> None:
        from heliograph.chem.diversity import check, choose

        smiles = [hit.smiles for hit in result.hits]
        similarity = self.config.similarity if self.config.diverse is not None else None
        chosen = choose(smiles, self.config.diverse or len(smiles), similarity, self.config.per_scaffold)
        result.diverse = [result.hits[k] for k in chosen]
        if similarity is not None:
            result.most_similar = check([hit.smiles for hit in result.diverse], similarity)


def _settled(config: ScreenConfig, resume: bool, overwrite: bool) -> None:
    """Say before anything is changed whether the folder may be used.

    Raises UsageError where it holds what no screening wrote, a screening and neither `resume` nor `overwrite`, or none to resume.
    """
    folder = config.output_dir
    files = manifest.held(folder, SCREENING) or {}
    there = any((folder / name).exists() for name in files if not name.startswith(UNPACKED))
    if there and not resume and not overwrite:
        ways = "Go on with it by --resume, replace it by --overwrite, or give another folder with -o"
        raise UsageError(f"there is a screening in {folder}. {ways}.")
    if resume and not (folder / JOURNAL).exists():
        raise UsageError(f"nothing to resume: there is no screening in {folder}. Leave out --resume.")
    for path in config.known:
        if not path.is_file():
            raise UsageError(f"--known {path}: there is no such file")
    read = [*config.library, *config.known, config.model_path, *([config.arch] if config.arch else [])]
    manifest.refuse(folder, SCREENING, _WRITTEN, replace=True, inputs=[path for path in read if path.exists()])
    for path in config.library:
        shelves.check(path)


def _begun(journal: JsonLines, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Outcomes of a screening that goes on. Raises UsageError where it was another one."""
    lines = journal.read()
    if not lines:
        journal.append({"about": about})
        return []
    old = lines[0].get("about", {})
    if old != about:
        other = [f"{k} was {old.get(k)!r}, is {v!r}" for k, v in about.items() if old.get(k) != v]
        ways = "Begin again with --overwrite, or in another folder"
        raise UsageError(f"{journal.path} is of another screening: {'; '.join(other)[:600]}. {ways}.")
    return lines[1:]


def _about(config: ScreenConfig, files: Sequence[File], predictor: Predictor) -> dict[str, Any]:
    """What decides the result: the question, the library's and the models' content."""
    from heliograph.predictor.predictor import files as model_files

    models = [hashlib.sha256(path.read_bytes()).hexdigest() for path in model_files(config.model_path)]
    known = [hashlib.sha256(path.read_bytes()).hexdigest() for path in config.known]
    about = config.about() | ({"known": known} if known else {})
    return about | {"library": [[file.name, file.digest] for file in files], "models": models, "members": len(predictor.models)}


def _columns(files: Sequence[File], config: ScreenConfig) -> tuple[tuple[str, ...], str | None]:
    """The library's columns, of all its files; and the one with the structures where all files have the same, found on whole files."""
    from heliograph.data.formats import read

    found: dict[str, None] = {}
    structures = set()
    for file in files:
        table = read(file.path, smiles_column=config.smiles_columns, target_columns=())
        found.update(dict.fromkeys(table.columns))
        structures.add(table.smiles_column)
    return tuple(found), structures.pop() if len(structures) == 1 else None


def _known(tables: Sequence[Path]) -> frozenset[str]:
    """Canonical SMILES of all molecules in some tables; rows that can't be read are none."""
    from heliograph.chem.parse import canonical
    from heliograph.data.formats import read
    from heliograph.errors import StructureError

    found = set()
    for path in tables:
        for record in read(path, target_columns=()):
            text = record.structure if isinstance(record.structure, str) else record.meta.get("smiles", "")
            try:
                found.add(canonical(text))
            except StructureError:
                continue
    if tables and not found:
        raise DataError(f"--known: no molecule in {', '.join(map(str, tables))} can be read")
    return frozenset(found)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else os.fspath(path.absolute())
