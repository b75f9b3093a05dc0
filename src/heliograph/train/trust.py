"""Calibration and domain of a trained predictor: from answers to molecules that were not trained on to what the model file keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from heliograph.data.store import Store
from heliograph.errors import DataError, UsageError
from heliograph.learn.ensemble import plain
from heliograph.learn.task import Task
from heliograph.predictor import Answers, Predictor
from heliograph.predictor.predictor import joined
from heliograph.predictor.trust import FORMAT, Trust, cooled, features, kinds_of
from heliograph.train.config import TrainConfig, TrustConfig
from heliograph.train.folds import Folds, averaging, divide
from heliograph.uncertainty import classes, judge, regression
from heliograph.uncertainty.domain import SHOWN, Domain, Place
from heliograph.uncertainty.environments import clusters, fingerprints, hashes
from heliograph.uncertainty.replicates import replicates

OPTIMISTIC = (
    "Calibrated on the {n:,} validation molecules, which chose the best epoch too: errors may be somewhat larger than these error bars. "
    "--members folds uses every training molecule without that."
)
NUMBERS, CLASSES = regression.METHODS, classes.METHODS


@dataclass(frozen=True, eq=False)
class Learned:
    """`calibration` and `domain` as the model file keeps them; `rows` [n] of the store that calibrated, with their honest `answers`.

    `judged`: target -> what `uncertainty.judge` says of them, each row judged by a calibration that did not see its fold.
    """

    calibration: dict[str, Any]
    domain: dict[str, Any]
    rows: np.ndarray
    answers: Answers
    judged: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def check(task: Task | None, config: TrustConfig) -> None:
    """Raise UsageError for a calibration that is not for the task."""
    if config.calibrate in (None, "none", "auto"):
        return
    known = {"regression": NUMBERS, "binary": CLASSES, "multiclass": ("temperature",)}
    allowed = known[task.kind] if task is not None else tuple({m for group in known.values() for m in group})
    if config.calibrate not in allowed:
        kind = f"{task.kind} targets" if task is not None else "any task"
        raise UsageError(f"--calibrate {config.calibrate} is not for {kind}; use auto, none, {', '.join(sorted(allowed))}")


def wanted(config: TrainConfig) -> bool:
    """Whether a calibration is to be learned: with folds, or where one is asked for."""
    return config.model.members == "folds" or config.trust.calibrate not in (None, "none")


def fold(config: TrainConfig, store: Store, parts: Mapping[str, np.ndarray], seed: int) -> Folds | None:
    """The folds of an ensemble whose members leave one out each; None for one whose members differ by their seeds."""
    if config.model.members != "folds":
        if config.trust.calibrate_for != "random":
            raise UsageError(f"--calibrate-for {config.trust.calibrate_for} cuts folds: it needs --members folds")
        return None
    if config.model.ensemble_size < 2:
        raise UsageError("--members folds needs an --ensemble-size of 2 or more, for instance 5")
    groups = None
    if config.trust.calibrate_for == "scaffold":
        groups = [name or f"molecule {k}" for k, name in enumerate(store.scaffolds)]  # without a ring: each for itself
    elif config.trust.calibrate_for == "cluster":
        groups = [str(k) for k in clusters(fingerprints(hashes(store, SHOWN), store))]
    return divide(parts, config.model.ensemble_size, groups, seed)


def said(folds: Folds | None, config: TrainConfig) -> list[str]:
    """What members by folds mean for the parts, in a sentence."""
    if folds is None:
        return []
    kind = {"random": "", "scaffold": " by scaffold", "cluster": " by cluster"}[config.trust.calibrate_for]
    first = folds.parts[0]
    return [
        f"Members by folds: {len(folds.rows):,} training and validation molecules make {config.model.ensemble_size} folds{kind}; the first "
        f"member learns from {len(first['train']):,}, chooses its epoch on {len(first['val']):,} and answers for the others."
    ]


def learn(predictor: Predictor, store: Store, y: np.ndarray, folds: Folds | None, val: np.ndarray, config: TrustConfig) -> Learned:
    """Calibrate a predictor by its members' answers to the folds they left out, or by its own to validation molecules `val`.

    `y` [G, T]: labels of the store's molecules in their own units.
    """
    if folds is None:
        return relearn(predictor, store.take(val), y[val], config)
    members, rows = predictor.members, folds.rows
    answers = out_of_fold(members, store, folds)
    spread = "head" if answers.head is not None else "none"
    errors = np.abs(answers.y - y[rows]) if predictor.task.kind == "regression" else None
    domain, place = (None, None) if config.domain == "none" else Domain.fit(store, rows, folds.fold, config.domain, errors)
    one = _Fit(predictor.task, store.take(rows), y[rows], answers, folds.fold, place, config)
    factors = [_factor(members, store, y[:, t], folds, answers, t) if one.numbers else 1.0 for t in range(len(predictor.targets))]
    return one.learned(predictor, rows, spread, factors, {} if domain is None else domain.to_dict())


def relearn(predictor: Predictor, store: Store, y: np.ndarray, config: TrustConfig) -> Learned:
    """Calibrate a predictor by its answers to molecules of `store` that none of its members was trained on; its domain stays."""
    bare = predictor.with_trust({}, {})
    answers = bare.predict_store(store)
    if predictor.task.kind != "regression":  # a map is of single networks' probabilities: of one network for each molecule, in turn
        each = [member.predict_store(store) for member in bare.members]
        turn, rows = np.arange(len(store)) % len(each), np.arange(len(store))
        alone: dict[str, Any] = {name: np.stack([getattr(a, name) for a in each])[turn, rows] for name in each[0].arrays()}
        answers = replace(each[0], **alone)
    spread = "members" if len(predictor.models) > 1 else "head" if answers.head is not None else "none"
    place = None if predictor.trust.domain is None else predictor.trust.domain(store)
    one = _Fit(predictor.task, store, y, answers, None, place, config)
    ones = [1.0] * len(predictor.targets)
    return one.learned(predictor, np.arange(len(store)), spread, ones, predictor.document.domain)


def out_of_fold(members: list[Predictor], store: Store, folds: Folds) -> Answers:
    """Each member's answers to the fold that it never saw, in the order of `folds.rows`."""
    parts, order = [], []
    for k, member in enumerate(members):
        mine = np.flatnonzero(folds.fold == k)
        parts.append(member.predict_store(store, 256, folds.rows[mine]))
        order.append(mine)
    whole, back = joined(parts), np.argsort(np.concatenate(order))
    sorted_back: dict[str, Any] = {name: values[back] for name, values in whole.arrays().items()}
    return replace(whole, reasons=("",) * len(back), **sorted_back)


def _factor(members: list[Predictor], store: Store, y: np.ndarray, folds: Folds, answers: Answers, t: int) -> float:
    """`averaging`, by the molecules that choose a member's epoch: the next member has not seen them either."""
    place = np.full(len(store), -1)
    place[folds.rows] = np.arange(len(folds.rows))
    first, second, truth = [], [], []
    for k, member in enumerate(members):
        rows = folds.parts[k]["val"]
        rows = rows[np.isfinite(y[rows])]
        first.append(answers.y[place[rows], t])
        second.append(member.predict_store(store, 256, rows).y[:, t])
        truth.append(y[rows])
    return averaging(np.concatenate(first), np.concatenate(second), np.concatenate(truth), len(members))


@dataclass(frozen=True, eq=False)
class _Fit:
    """Molecules that calibrate, with labels `y` [n, T] and honest answers."""

    task: Task
    store: Store
    y: np.ndarray
    answers: Answers
    fold: np.ndarray | None
    place: Place | None
    config: TrustConfig

    @property
    def numbers(self) -> bool:
        """Whether the targets are numbers."""
        return self.task.kind == "regression"

    def learned(self, predictor: Predictor, rows: np.ndarray, spread: str, factors: list[float], domain: dict[str, Any]) -> Learned:
        """All targets. `rows`: of the store; `factors` as `averaging` has them; `spread`: which one answers have ("members", "head")."""
        entries: list[dict[str, Any] | None] = []
        judged: dict[str, Any] = {}
        notes: list[str] = []
        for t, target in enumerate(self.task.targets):
            try:
                entry, found = (None, None) if self.config.calibrate == "none" else self.target(t, factors[t], spread)
            except DataError as error:
                entry, found = None, None
                notes.append(f"{target}: not calibrated, because {error}.")
            entries.append(entry)
            if found is not None:
                judged[target] = found
        calibration: dict[str, Any] = {
            "format": FORMAT, "for": self.config.calibrate_for, "coverages": list(self.config.coverage), "spread": spread,
            "targets": entries, "factor": factors, "n": len(rows), "residual_std": [_rms(e) for e in (self.answers.y - self.y).T],
        }  # fmt: skip
        notes += _sentences(predictor, calibration)
        return Learned(plain(calibration | {"notes": notes}), domain, rows, self.answers, judged, notes)

    def target(self, t: int, factor: float, spread: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The target's entry of the calibration, and how it does on folds that it was not fitted on."""
        there = np.flatnonzero(np.isfinite(self.y[:, t]) & np.isfinite(self.answers.y[:, t]))
        folds = None if self.fold is None else self.fold[there]
        method = self.config.calibrate or "auto"
        if self.task.kind == "regression":
            return self._number(t, there, folds, method, factor, spread)
        return self._class(t, there, folds, method)

    def _number(
        self, t: int, there: np.ndarray, folds: np.ndarray | None, method: str, factor: float, spread: str
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        pred, truth = self.answers.y[:, t], self.y[there, t]
        spreads = {"members": self.answers.std, "head": self.answers.head}.get(spread)
        known = features(self.store, pred, None if spreads is None else spreads[:, t], self.place, kinds_of(self.store), t)
        residual = factor * (truth - pred[there])
        rows = regression.Rows(residual, {name: f[there] for name, f in known.items()}, folds)
        found = regression.fit(rows, method)
        repeated = replicates([self.store.smiles[k] for k in there], truth)
        if repeated is not None and repeated.sd > found.scale.least:  # no model can be surer than the measurement
            found = replace(found, scale=replace(found.scale, least=repeated.sd))
        sigma, ends = regression.held_out(rows, found, judge.LEVELS)
        centre = truth - residual  # where the mean of all members would be, if its errors were `factor` times one member's
        intervals = {c: (centre + low, centre + high) for c, (low, high) in ends.items()}
        groups = groups_of(self.store.take(there), None if self.place is None else self.place.rank[there])
        judged = judge.numbers(truth, centre, sigma, intervals, found.shape.draw, groups)
        return found.to_dict(), judged

    def _class(self, t: int, there: np.ndarray, folds: np.ndarray | None, method: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
        truth = self.y[there, t]
        if self.task.kind == "binary":
            p = self.answers.y[there, t]
            found = classes.fit(p, truth, method, folds)
            q = found(p)
            sets = classes.Sets.fit(np.stack([1.0 - q, q], -1), truth)
            return {"map": found.to_dict(), "sets": sets.to_dict()}, judge.probabilities(truth, q, p, None, ())
        assert self.answers.probabilities is not None
        many = self.answers.probabilities[there, t, : len(self.task.classes[t])]
        if len(there) < classes.LEAST:
            raise DataError(f"calibration needs {classes.LEAST} labels; there are {len(there)}")
        with np.errstate(divide="ignore"):
            warmth = classes.temperature(np.log(many), truth)
        return {"temperature": warmth, "sets": classes.Sets.fit(cooled(many, warmth), truth).to_dict()}, None


def groups_of(store: Store, rank: np.ndarray | None) -> dict[str, list[str]]:
    """Groups of molecules that a report shows error and coverage of: by size and, with a domain, by how unlike training they are."""
    found = {"size": judge.thirds(store.n_node.astype(np.float64), ("smallest third", "middle third", "largest third"))}
    if rank is not None:
        names = ("nearer than half of training", "farther than half of training", "out of domain")
        found["distance"] = [f"{k + 1}. {names[k]}" for k in np.searchsorted([0.5, 0.95], rank, side="left")]
    return found


def judged(trust: Trust, store: Store, y: np.ndarray, answers: Answers, before: Answers) -> dict[str, Any]:
    """What `uncertainty.judge` says of calibrated answers to the molecules of `store` with labels `y` [n, T]; `before` calibration."""
    found: dict[str, Any] = {}
    for t, target in enumerate(trust.task.targets):
        entry = trust.targets[t]
        if entry is None:
            continue
        if trust.task.kind == "regression":
            assert answers.std is not None
            calibration, pred, sigma = regression.Calibration.from_dict(entry), answers.y[:, t], answers.std[:, t]
            intervals = {c: calibration.interval(pred, sigma, c) for c in judge.LEVELS}
            one = judge.numbers(y[:, t], pred, sigma, intervals, calibration.shape.draw, groups_of(store, answers.domain_distance))
        elif trust.task.kind == "binary":
            sets = None if answers.sets is None else answers.sets[:, t]
            one = judge.probabilities(y[:, t], answers.y[:, t], before.y[:, t], sets, answers.coverages)
        else:
            one = None
        if one is not None:
            found[target] = one
    return found


def _sentences(predictor: Predictor, calibration: Mapping[str, Any]) -> list[str]:
    """What was chosen and why, for people."""
    found = []
    for target, entry, factor in zip(predictor.targets, calibration["targets"], calibration["factor"], strict=True):
        if entry is None:
            continue
        about = entry.get("why") or entry.get("map", {}).get("why") or ""
        if about:
            found.append(f"Calibration of {target}: {about}.")
        if factor < 0.995:
            found.append(
                f"{target}: averaging {len(predictor.models)} members is reckoned to take {100 * (1 - factor):.0f} % off the error of one, "
                "from molecules that two members had not seen."
            )
        if predictor.task.kind == "regression" and (short := regression.warning(int(entry["n"]), calibration["coverages"])):
            found.append(f"{target}: {short}.")
    return found


def _rms(errors: np.ndarray) -> float:
    there = errors[np.isfinite(errors)]
    return float(np.sqrt(np.square(there).mean())) if len(there) else float("nan")
