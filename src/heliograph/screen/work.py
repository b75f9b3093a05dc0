"""One shard, from bytes to its best rows: a function of the bytes, the model and the question, so that any process gives the same."""

from __future__ import annotations

import base64
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliograph.chem.reasons import kind
from heliograph.errors import UsageError, suggest
from heliograph.screen.best import DIGITS, Best, Hit
from heliograph.screen.config import ScreenConfig
from heliograph.screen.expression import Expression, Node

if TYPE_CHECKING:
    from heliograph.data.formats import Table
    from heliograph.data.record import Record
    from heliograph.predictor.environments import Environments
    from heliograph.predictor.predictor import Predictor
    from heliograph.predictor.stream import Row

KEPT_BYTES = 2**27  # for states of atoms and bonds met before in this shard, all models together
CHUNK = 4096
BATCH = 512  # molecules without positions predicted at a time: half of what `predict` takes, for several processes on one machine
SAMPLE = 64  # scores of a shard that are told, for the report's histogram


@dataclass(frozen=True)
class Question:
    """What is asked of each row, as text (`to_dict` travels). `names`: the columns of answers, under the names that they have here."""

    names: tuple[str, ...]
    target: str
    goal: str
    score: str | None = None
    where: str | None = None
    truth: str | None = None
    smiles_column: str | None = None
    filters: tuple[str, ...] = ()

    def ranking(self) -> Expression:
        """What to rank by; higher is better."""
        if self.score is not None:
            return Expression.parse(self.score, "--score")
        value = Node("column", self.target)
        if self.goal == "max":
            return Expression(self.target, value)
        if self.goal == "min":
            return Expression(f"-{self.target}", Node("negative", None, (value,)))
        away = Node("call", "abs", (Node("arithmetic", "-", (value, Node("number", float(self.goal)))),))
        return Expression(f"-abs({self.target} - {self.goal})", Node("negative", None, (away,)))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Question:
        return cls(**{**data, "names": tuple(data["names"]), "filters": tuple(data["filters"])})


@dataclass(eq=False)
class Outcome:
    """What a shard came to. `scores`, `active`: of all ranked rows, where actives are known. `sample`: some scores, ascending."""

    shard: int
    depth: int
    rows: int = 0
    ranked: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    hits: list[Hit] = field(default_factory=list)
    sample: list[float] = field(default_factory=list)
    scores: np.ndarray | None = None
    active: np.ndarray | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        data = {k: v for k, v in vars(self).items() if k not in ("hits", "scores", "active")}
        data["hits"] = [hit.to_list() for hit in self.hits]
        if self.scores is not None and self.active is not None:
            data["scores"] = base64.b64encode(self.scores.astype("<f8").tobytes()).decode()
            data["active"] = base64.b64encode(np.packbits(self.active).tobytes()).decode()
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Outcome:
        found = cls(**{k: v for k, v in data.items() if k not in ("hits", "scores", "active")})
        found.hits = [Hit.from_list(one) for one in data["hits"]]
        if "scores" in data:
            found.scores = np.frombuffer(base64.b64decode(data["scores"]), "<f8")
            bits = np.frombuffer(base64.b64decode(data["active"]), np.uint8)
            found.active = np.unpackbits(bits, count=len(found.scores)).astype(bool)
        return found


class Scorer:
    """A predictor and a question, ready for shards."""

    def __init__(self, predictor: Predictor, question: Question):
        self.predictor, self.question = predictor, question
        self.ranking = question.ranking()
        self.where = Expression.parse(question.where, "--where") if question.where else None
        self.truth = Expression.parse(question.truth, "--truth") if question.truth else None

    def score(self, number: int, content: bytes, suffix: str, depth: int, floor: float | None, guarded: bool = False) -> Outcome:
        """The `depth` best rows of a shard; those that score less than `floor` may be absent.

        `guarded`: structures are read by a process of their own, so that one that crashes RDKit costs its row alone.
        """
        from heliograph.data.formats import read
        from heliograph.predictor.environments import Environments

        outcome, reasons = Outcome(number, depth), Counter[str]()
        found: list[_Scored] = []
        environments = [Environments(KEPT_BYTES // len(self.predictor.models)) for _ in self.predictor.models]
        with tempfile.TemporaryDirectory(prefix="heliograph-screen-") as folder:
            path = Path(folder) / f"shard{suffix}"
            path.write_bytes(content)
            table = read(path, smiles_column=self.question.smiles_column, target_columns=())
            rows = _featurized(self._considered(table, outcome), table, self.predictor, guarded)
            while chunk := list(islice(rows, CHUNK)):
                reasons.update(kind(reason) for _, _, reason in chunk if reason)
                found.append(self._scored(chunk, environments))
        outcome.reasons = dict(reasons + Counter({"no score": sum(one.missing for one in found)}))
        outcome.left_out += sum(one.left_out for one in found)
        outcome.hits = _best(found, number, self.question.names, Best(depth), floor)
        scores = np.concatenate([one.scores for one in found]) if found else np.zeros(0)
        outcome.ranked = len(scores)
        outcome.sample = np.sort(scores)[np.linspace(0, len(scores) - 1, min(SAMPLE, len(scores))).astype(int)].tolist()
        if self.truth is not None:
            outcome.scores = scores
            outcome.active = np.concatenate([one.active for one in found]) if found else np.zeros(0, bool)
        return outcome

    def _considered(self, table: Table, outcome: Outcome) -> Iterator[Record]:
        """Records; those that `--where` leaves out by the library's columns alone are not even read as molecules."""
        early = self.where is not None and set(self.where.names) <= set(table.columns)
        for record in table:
            outcome.rows += 1
            if early and record.structure is not None and not self._passes(record):
                outcome.left_out += 1
                continue
            yield replace(record, id=str(outcome.rows - 1))

    def _passes(self, record: Record) -> bool:
        assert self.where is not None
        return bool(self.where.truths({name: [record.meta.get(name)] for name in self.where.names}, 1)[0])

    def _scored(self, chunk: list[Row], environments: Sequence[Environments]) -> _Scored:
        from heliograph.predictor.stream import answer, answer_values

        answers = answer(chunk, self.predictor, BATCH if self.predictor.featurizer.geometry == "none" else None, environments)
        good = [k for k, (_, molecule, _) in enumerate(chunk) if molecule is not None]
        values = [answer_values(answers, k, self.predictor) for k in good]
        columns: dict[str, list[Any]] = {name: [row[c] for row in values] for c, name in enumerate(self.question.names)}
        needed = {name for one in (self.ranking, self.where, self.truth) if one is not None for name in one.names} - set(columns)
        library: dict[str, list[Any]] = {name: [chunk[k][0].meta.get(name) for k in good] for name in needed}
        scores = _rounded(self.ranking.numbers(library | columns, len(good)))
        kept = np.isfinite(scores)
        missing = int((~kept).sum())
        if self.where is not None and set(self.where.names) & set(columns):
            kept &= self.where.truths(library | columns, len(good))
        active = self.truth.truths(library | columns, len(good)) if self.truth is not None else np.zeros(len(good), bool)
        places = np.flatnonzero(kept)
        rows = [(chunk[good[k]][0], chunk[good[k]][1].smiles, values[k]) for k in places]
        return _Scored(scores[places], active[places], rows, missing, len(good) - missing - len(places))


@dataclass(eq=False)
class _Scored:
    """Rows of a chunk that have a score: `rows` holds the record, the molecule's SMILES and the answers."""

    scores: np.ndarray
    active: np.ndarray
    rows: list[tuple[Record, str, list[Any]]]
    missing: int
    left_out: int


def _rounded(scores: np.ndarray) -> np.ndarray:
    return np.array([float(f"{score:.{DIGITS}g}") for score in scores.tolist()], np.float64)


def _featurized(records: Iterator[Record], table: Table, predictor: Predictor, guarded: bool) -> Iterator[Row]:
    from heliograph.chem.pool import featurize_table

    featurizer = predictor.featurizer
    if featurizer.geometry == "given" and table.kind == "smiles":
        featurizer = replace(featurizer, geometry="embed")
    return iter(featurize_table(records, featurizer, 1 if guarded else 0, scaffold=False))


def _best(found: Sequence[_Scored], number: int, names: Sequence[str], best: Best, floor: float | None) -> list[Hit]:
    """The best rows by score, canonical SMILES and place, each molecule once; SMILES are made canonical from the best down."""
    scores = np.concatenate([one.scores for one in found]) if found else np.zeros(0)
    rows = [row for one in found for row in one.rows]
    order = np.argsort(-scores, kind="stable")
    ties = np.split(order, np.flatnonzero(np.diff(scores[order])) + 1) if len(order) else []
    for tie in ties:
        score = float(scores[tie[0]])
        if score < max(floor if floor is not None else -np.inf, best.floor if best.floor is not None else -np.inf):
            break
        best.add(_hit(score, number, names, *rows[k]) for k in tie.tolist())
    return best.ranked()


def _hit(score: float, number: int, names: Sequence[str], record: Record, smiles: str, values: Sequence[Any]) -> Hit:
    from heliograph.chem.parse import canonical

    text = canonical(record.structure) if isinstance(record.structure, str) else smiles
    return Hit(score, text, (number, int(record.id)), {**record.meta, **dict(zip(names, values, strict=True))})


def question(predictor: Predictor, config: ScreenConfig, columns: Sequence[str]) -> Question:
    """The question of a configuration for a table with these columns. Raises UsageError for a target or a column that is not there."""
    from heliograph.predictor.stream import answer_columns

    task = predictor.task
    target = config.target if config.target is not None else task.targets[0]
    if target not in task.targets:
        raise UsageError(f"--target: the model does not predict {target!r}; {suggest(target, task.targets)}")
    names, renamed = answer_columns(predictor, columns)
    if task.kind == "multiclass" and config.score is None:
        raise UsageError(f'the model predicts classes: give --score, for instance --score "{names[1]}"')
    wanted = f"{target}_pred"
    texts = {"score": config.score, "where": config.where, "truth": config.truth}
    column = renamed.get(wanted, wanted)
    made = Question(tuple(names[:-1]), column, config.goal, **texts, smiles_column=config.smiles_columns, filters=config.filters)
    known = [*columns, *made.names]
    made.ranking().check(known, "--score")
    for option, text in (("--where", config.where), ("--truth", config.truth)):
        if text is not None:
            Expression.parse(text, option).check(known, option)
    return made
