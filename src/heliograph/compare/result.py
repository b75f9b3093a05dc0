"""What a comparison leaves behind: scores of every learner on every fold, costs, and what the statistics say of them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.compare.bounds import Bound, Twin, bounds
from heliograph.compare.calibrated import NAME, calibrated
from heliograph.compare.curve import Curve, fit
from heliograph.compare.disagreement import Disagreement, disagreements
from heliograph.compare.evaluations import Material, arguments
from heliograph.compare.folds import Fold
from heliograph.compare.journal import Journal
from heliograph.compare.statistics import (
    Anova,
    Needed,
    Paired,
    Practical,
    Scores,
    anova,
    letters,
    mean_over_tasks,
    needed,
    pairs,
    practical,
)
from heliograph.compare.tuning import OF_FIT, typical
from heliograph.diagnose.propagation import Propagation
from heliograph.errors import DataError
from heliograph.files import atomic
from heliograph.learn.figures import METRICS
from heliograph.train.assemble import command, versions

RESULTS, TABLE = "results.json", "scores.csv"
RENAMED = {"limits": "bounds", "signals": "propagation"}  # in files that an earlier version wrote
ROPE, ROPE_OF_ONE = 0.05, 0.01  # where --rope is not given: a share of the best error; of scores whose best is 1 (Benavoli et al. 2017)


@dataclass(frozen=True)
class Learner:
    """One column: an architecture or a baseline. Rates and memory are medians over folds, None where there is no such thing; seconds
    are the median over folds times their number, so that one that was disturbed, or compiled kernels, does not count. Of trials, all
    of these are those of the one that was chosen.

    `peak_memory_mb`: of a training, above what the process held before it. `settings`: what trials chose, one for all folds
    (`tuning.typical`). `arguments`: of the architecture, where not its defaults.
    """

    name: str
    network: bool
    parameters: int | None
    epochs: int | None
    seconds: float
    train_molecules_per_second: float | None
    predict_molecules_per_second: float | None
    peak_memory_mb: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CompareResult:
    """`scores` {metric: [J, L, T]}: fold, learner, target; NaN where a metric is not defined on a fold. The first metric decides."""

    config: dict[str, Any]
    kind: str
    targets: tuple[str, ...]
    units: tuple[str, ...]
    molecules: int
    folds: tuple[str, ...]
    learners: tuple[Learner, ...]
    scores: dict[str, np.ndarray]
    bounds: tuple[Bound, ...] = ()
    curves: tuple[Curve, ...] = ()
    propagation: tuple[Propagation, ...] = ()
    notes: tuple[str, ...] = ()
    classes: tuple[tuple[str, ...], ...] = ()  # names per target, in the order of their indices
    disagreements: tuple[Disagreement, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""
    finished: str = ""  # date and time, ISO 8601

    @property
    def metric(self) -> str:
        return next(iter(self.scores))

    @property
    def higher_is_better(self) -> bool:
        return METRICS[self.metric].higher_is_better

    @property
    def scaled(self) -> bool:
        """Whether scores in `table` are errors of several units, made shares of the error of always predicting the mean."""
        return len(self.targets) > 1 and METRICS[self.metric].unit_power > 0 and any(k.name == "mean" for k in self.learners)

    @cached_property
    def table(self) -> Scores:
        """The main metric, all learners but the mean, which would only widen the family of tests."""
        kept = [k for k, learner in enumerate(self.learners) if learner.name != "mean"]
        return self._table(kept, self.metric)

    @cached_property
    def sureness(self) -> Scores | None:
        """Calibrated negative log likelihoods of the learners in `table` on every fold; None where some are not known."""
        kept = [k for k, learner in enumerate(self.learners) if learner.name != "mean"]
        known = NAME in self.scores and bool(np.isfinite(self.scores[NAME][:, kept]).any(-1).all())
        return self._table(kept, NAME) if known else None

    def _table(self, kept: list[int], metric: str) -> Scores:
        values = self.scores[metric]
        names = [learner.name for learner in self.learners]
        scale = np.nanmean(values[:, names.index("mean")], axis=0) if self.scaled and metric == self.metric else None
        k = int(self.config["compare"]["cv"].split("x")[1])
        main = mean_over_tasks(values[:, kept], scale)
        return Scores(main, tuple(names[j] for j in kept), k, 1 / (k - 1), not METRICS[metric].higher_is_better)

    @cached_property
    def pairs(self) -> tuple[Paired, ...]:
        """All pairs, the best learner's first; intervals and p hold together (Tukey, corrected for shared molecules)."""
        return pairs(self.table)

    @cached_property
    def anova(self) -> Anova:
        return anova(self.table)

    @cached_property
    def ranking(self) -> tuple[str, ...]:
        return tuple(self.table.best_first())

    @cached_property
    def letters(self) -> dict[str, str]:
        """Learners that share a letter can't be told apart."""
        return letters(self.ranking, [(p.a, p.b) for p in self.pairs if p.p < 0.05])

    @property
    def rope(self) -> float:
        """The difference that does not matter in practice, in units of the score."""
        asked = self.config["compare"]["rope"]
        if asked is not None:
            return float(asked)
        return ROPE_OF_ONE if self.higher_is_better else ROPE * abs(self.mean(self.ranking[0]))

    def mean(self, name: str) -> float:
        """Return the mean score of a learner over the folds."""
        return float(self.table.of(name).mean())

    def pair(self, a: str, b: str) -> Paired:
        """Return the difference a less b with its interval, whichever way it stands in `pairs`. Raises DataError."""
        for p in self.pairs:
            if (p.a, p.b) == (a, b):
                return p
            if (p.a, p.b) == (b, a):
                return Paired(a, b, -p.difference, -p.high, -p.low, p.p, p.spread, -p.effect, -p.effect_high, -p.effect_low)
        raise DataError(f"{a} and {b} were not compared")

    def practical(self, a: str, b: str) -> Practical:
        """Return the probabilities that a is better, worse, or within `rope` of b (Benavoli et al. 2017)."""
        return practical(self.table, a, b, self.rope)

    def needed(self, a: str, b: str) -> Needed:
        """Reckon how many folds or molecules would tell a from b at even odds."""
        return needed(self.table, a, b, family=len(self.ranking))

    def learner(self, name: str) -> Learner:
        return next(learner for learner in self.learners if learner.name == name)

    def save(self, folder: Path) -> None:
        """Write `results.json` and `scores.csv` (a row for each fold and learner) into `folder`."""
        document = {k: v for k, v in self.__dict__.items() if k in self.__dataclass_fields__}
        document["bounds"] = [_finite(asdict(bound)) for bound in self.bounds]
        document["curves"] = [asdict(curve) for curve in self.curves]
        document["propagation"] = [asdict(s) | {"energy": [v if math.isfinite(v) else None for v in s.energy]} for s in self.propagation]
        document["learners"] = [asdict(learner) for learner in self.learners]
        document["disagreements"] = [asdict(one) for one in self.disagreements]
        document["scores"] = {name: _with_nulls(v) for name, v in self.scores.items()}
        with atomic(folder / RESULTS) as temporary:
            temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        with atomic(folder / TABLE) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["fold", "learner", "target", *self.scores])
            for j, fold in enumerate(self.folds):
                for k, learner in enumerate(self.learners):
                    for t, target in enumerate(self.targets):
                        cells = [float(v[j, k, t]) for v in self.scores.values()]
                        writer.writerow([fold, learner.name, target, *("" if math.isnan(c) else repr(c) for c in cells)])

    @classmethod
    def load(cls, folder: Path) -> CompareResult:
        """Read a result back from its folder. Raises DataError where there is none."""
        path = folder / RESULTS
        try:
            document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            document = {RENAMED.get(k, k): tuple(v) if isinstance(v, list) else v for k, v in document.items()}
            document["scores"] = {name: np.array(v, dtype=np.float64) for name, v in document["scores"].items()}
            document["learners"] = tuple(Learner(**learner) for learner in document["learners"])
            document["bounds"] = tuple(_bound(bound) for bound in document["bounds"])
            document["curves"] = tuple(
                Curve(**curve | {"sizes": tuple(curve["sizes"]), "errors": tuple(map(tuple, curve["errors"]))})
                for curve in document["curves"]
            )
            document["propagation"] = tuple(_propagation(s) for s in document["propagation"])
            document["classes"] = tuple(tuple(names) for names in document["classes"])
            document["disagreements"] = tuple(Disagreement(**one | {"among": tuple(one["among"])}) for one in document["disagreements"])
            return cls(**document)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"no finished comparison in {folder} ({error})") from None


def collect(m: Material, journal: Journal) -> CompareResult:
    """The result of a journal that is complete."""
    whole = {fold.name for fold in m.folds}
    broken = {name: f"{name} failed on fold {fold} ({why})" for (name, fold), why in journal.failed.items() if fold in whole}
    names = tuple(name for name in (*m.data, *m.baselines) if name not in broken)
    if not any(name in m.data for name in names) or len(names) < 2:
        raise DataError(f"too little is left to compare: {'; '.join(broken.values())}")
    found = [[journal.evaluations[name, fold.name] for name in names] for fold in m.folds]
    targets = m.task.targets
    scores = {
        metric: np.array([[[_number(one["scores"][t][metric]) for t in targets] for one in row] for row in found]) for metric in m.metrics
    }
    likelihoods = calibrated(m, names)
    if likelihoods is not None and NAME not in scores:
        scores[NAME] = likelihoods
    learners = tuple(_learner(m, name, [row[k] for row in found]) for k, name in enumerate(names))
    return CompareResult(
        config=m.config.model_dump(mode="json"),
        kind=m.task.kind,
        targets=targets,
        units=m.task.units,
        molecules=len(m.rows),
        folds=tuple(fold.name for fold in m.folds),
        learners=learners,
        scores=scores,
        bounds=bounds(m),
        curves=tuple(_curves(m, journal, names)),
        propagation=tuple(_propagation(row["propagation"]) for row in found[0] if "propagation" in row),
        notes=(*m.notes, *(f"{text}, so it is left out; --resume tries again." for text in broken.values())),
        classes=m.task.classes,
        disagreements=disagreements(m),
        versions=versions(),
        command=command(),
        finished=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _propagation(document: Mapping[str, Any]) -> Propagation:
    energy = tuple(_number(v) for v in document["energy"])
    return Propagation(document["learner"], energy, tuple(document["influence"]), tuple(document["atoms"]))


def _curves(m: Material, journal: Journal, names: Sequence[str]) -> Iterator[Curve]:
    """By the mean over targets of the main metric, where that is an error; of several targets in shares of that of the mean."""
    smaller, whole = m.all[len(m.folds) :], [f for f in m.folds if f.repeat == 0]
    if not smaller or METRICS[m.metrics[0]].higher_is_better:
        return
    steps = [[f for f in smaller if f.share == share] for share in sorted({f.share for f in smaller})] + [whole]
    sizes = [round(float(np.mean([len(f.train) for f in step]))) for step in steps]
    targets, metric = m.task.targets, m.metrics[0]

    def errors(name: str, fold: Fold) -> list[float]:
        return [_number(journal.evaluations[name, fold.name]["scores"][t][metric]) for t in targets]

    scale = np.ones(len(targets))
    if len(targets) > 1 and METRICS[metric].unit_power > 0:
        scale = np.nanmean([errors("mean", f) for f in m.folds], axis=0)
    for name in names:
        if name == "mean" or any((name, f.name) not in journal.evaluations for step in steps for f in step):
            continue  # what failed on a share has no curve
        values = np.array([[np.nanmean(np.array(errors(name, f)) / scale) for f in step] for step in steps])
        found = fit(name, sizes, values, 1 / (len(whole) - 1))
        if found is not None:
            yield found


def _learner(m: Material, name: str, lines: list[Mapping[str, Any]]) -> Learner:
    costs = [line["cost"] for line in lines]

    def median(key: str) -> float | None:
        values = [c[key] for c in costs if c.get(key) is not None]
        return float(np.median(values)) if values else None

    network = name in m.data
    settings = typical([line.get("settings", {}) for line in lines], m.space(name))
    return Learner(
        name=name,
        network=network,
        parameters=None if costs[0]["parameters"] is None else int(np.median([c["parameters"] for c in costs])),
        epochs=costs[0]["epochs"],
        seconds=len(costs) * float(np.median([c["seconds"] for c in costs])),
        train_molecules_per_second=median("train_molecules_per_second"),
        predict_molecules_per_second=median("predict_molecules_per_second"),
        peak_memory_mb=median("peak_memory_mb"),
        settings=settings,
        arguments=arguments(m, name, {k: v for k, v in settings.items() if k not in OF_FIT}) if network else {},
    )


def _bound(document: dict[str, Any]) -> Bound:
    """From JSON's lists."""
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
    for name in ("table", "folds"):
        plain[name] = tuple(_number(v) for v in plain[name])
    plain["depth"] = tuple((name, text) for name, text in plain["depth"])
    twins: list[dict[str, Any]] = [{k: tuple(v) if isinstance(v, list) else v for k, v in twin.items()} for twin in plain["twins"]]
    return Bound(**plain | {"twins": tuple(Twin(**twin) for twin in twins)})


def _finite(document: dict[str, Any]) -> dict[str, Any]:
    """Floors that are no number as null."""
    return document | {name: [v if math.isfinite(v) else None for v in document[name]] for name in ("table", "folds")}


def _with_nulls(values: np.ndarray) -> list[Any]:
    """Nested lists; what is no number is null."""
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return list(plain.tolist())


def _number(value: float | None) -> float:
    return math.nan if value is None else value
