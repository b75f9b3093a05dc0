"""What a model file knows of its own errors and of its training molecules, applied to answers.

`Document.calibration` is plain data of this form ("format": 1):

    for         what is new about the molecules that it was made for: "random" (molecules like those of training), "scaffold", "cluster"
    coverages   of the intervals that a prediction writes by default
    targets     one entry per target, or null with its reason in `notes`: for numbers `uncertainty.regression.Calibration`, for two
                classes {"map": `uncertainty.classes.Map`, "sets": `uncertainty.classes.Sets`}, for several {"temperature", "sets"}
    factor      per target: what out-of-fold residuals of one member were multiplied by to stand for those of all members' mean
    notes       sentences for people
    residual_std  the root mean square error per target on the molecules that calibrated

`Document.domain` is `uncertainty.domain.Domain.to_dict()`; its arrays are tensors of the file,
named `domain.NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy import special

from heliograph.data.store import Store
from heliograph.errors import DataError, UsageError
from heliograph.learn.task import Task
from heliograph.uncertainty.classes import Map, Sets
from heliograph.uncertainty.domain import SHOWN, Domain, Place
from heliograph.uncertainty.environments import hashes
from heliograph.uncertainty.regression import KIND, Calibration

if TYPE_CHECKING:
    from heliograph.predictor.predictor import Answers

FORMAT = 1
MIN_SHARE, MOST_KINDS = 0.03, 60
GROUPS = {
    "halogens": (9, 17, 35, 53),
    "nitrogen": (7,),
    "oxygen": (8,),
    "sulfur or phosphorus": (15, 16),
}


def features(
    store: Store,
    y: np.ndarray,
    spread: np.ndarray | None,
    place: Place | None,
    kinds: Sequence[str] = (),
    target: int = 0,
) -> dict[str, np.ndarray]:
    """Return what sigma may depend on: numbers [n] that are known of n molecules of `store` before
    their truth is.

    `y` [n]: the answers; `spread` [n]: of a head or of members that are comparable; `place`: in the
    training's domain; `kinds`: names of features that count a kind of atom (`kinds_of`); `target`:
    whose errors count among those near.
    """
    found = {
        "size": np.log(np.maximum(store.n_node, 1)),
        "rings": np.maximum(np.diff(store.edge_offsets) / 2 - store.n_node + 1, 0.0),  # independent ones, of connected molecules
        "answer": y,
    }
    found |= {name: np.log1p(store.composition[:, list(z)].sum(1)) for name, z in GROUPS.items()}
    if kinds:
        h, owner = hashes(store, 0)[0], np.repeat(np.arange(len(store)), store.n_node)
        for name in kinds:
            mine = owner[h == np.uint64(int(name.removeprefix(KIND), 16))]
            found[name] = np.log1p(np.bincount(mine, minlength=len(store)))
    if place is not None:
        found |= {f"new atoms, radius {r}": share for r, share in enumerate(place.shares)}
        if not np.isnan(place.distance).any():
            found["distance"] = place.distance
        if place.near is not None and not np.isnan(place.near[:, target]).any():
            found["errors near"] = place.near[:, target]
    if spread is not None:
        found["spread"] = spread
        found["log spread"] = np.log(np.maximum(spread, np.finfo(np.float64).tiny))  # in any unit
    return found


def kinds_of(store: Store) -> list[str]:
    """Return names of features that count the commonest kinds of atoms: those that MIN_SHARE of the
    molecules have, and as many lack, MOST_KINDS at most. An atom's kind is all that the network
    reads of it.
    """
    h, owner = hashes(store, 0)[0], np.repeat(np.arange(len(store)), store.n_node)
    pairs = np.unique(np.stack([h, owner.astype(np.uint64)]), axis=1)[0]  # each kind once a molecule
    known, count = np.unique(pairs, return_counts=True)
    often = np.minimum(count, len(store) - count)
    best = np.argsort(-often, kind="stable")[:MOST_KINDS]
    return [f"{KIND}{int(known[k]):016x}" for k in best if often[k] >= MIN_SHARE * len(store)]


@final
@dataclass(frozen=True, eq=False)
class Trust:
    """Calibrations of a predictor's targets and its domain; each may be absent.

    `asked`: coverages of intervals other than the calibration's own.
    """

    task: Task
    calibration: Mapping[str, Any]
    domain: Domain | None = None
    asked: tuple[float, ...] = ()

    @classmethod
    def of(cls, task: Task, calibration: Mapping[str, Any], domain: Mapping[str, Any]) -> Trust:
        """Read what a model file's document says. Raises DataError for a calibration of a later
        form.
        """
        if calibration.get("format", FORMAT) != FORMAT:
            raise DataError(f"its calibration has form {calibration['format']}; this version reads {FORMAT}")
        return cls(task, calibration, Domain.from_dict(domain) if domain else None)

    def new_atoms(self, store: Store) -> list[int]:
        """Return the numbers of the atoms with neighbours that no training molecule has; none where
        the model knows no domain.
        """
        radii = [] if self.domain is None else self.domain(store).new.tolist()
        return [k for k, radius in enumerate(radii) if radius <= SHOWN]

    def asking(self, coverages: Sequence[float]) -> Trust:
        """Return the same with intervals of other coverages. Raises UsageError where there is no
        calibration, or one is no share.
        """
        if not self.calibrated:
            raise UsageError(
                "--coverage: the model file has no calibration. Add one with heliograph calibrate, or train with --members folds."
            )
        if not all(0.0 < c < 1.0 for c in coverages):
            raise UsageError(f"--coverage wants numbers between 0 and 1, like 0.9; got {coverages}")
        return replace(self, asked=tuple(coverages))

    @property
    def coverages(self) -> tuple[float, ...]:
        """Return the coverages of the intervals that are answered."""
        return self.asked or tuple(float(c) for c in self.calibration.get("coverages", (0.9,)))

    @property
    def targets(self) -> Sequence[Mapping[str, Any] | None]:
        """Return each target's calibration as it is in the file, None where it has none."""
        found = self.calibration.get("targets") or []
        return [found[t] if t < len(found) else None for t in range(len(self.task.targets))]

    @property
    def calibrated(self) -> bool:
        """Return whether any target has a calibration."""
        return any(entry is not None for entry in self.targets)

    @property
    def present(self) -> bool:
        """Return whether there is anything to add to an answer."""
        return self.calibrated or self.domain is not None

    def __call__(self, store: Store, answers: Answers) -> Answers:
        """Return the answers to all molecules of `store` with calibrated errors and their place in
        the domain.
        """
        place = None if self.domain is None else self.domain(store)
        if place is not None:
            answers = replace(
                answers,
                in_domain=place.inside.astype(np.float64),
                domain_distance=place.rank,
                new_atoms=place.new_atoms,
            )
        if not self.calibrated:
            return answers
        if self.task.kind == "regression":
            return self._numbers(store, answers, place)
        return self._classes(answers)

    def member(self, answers: Answers) -> Answers:
        """Return one network's answers about classes with the map of its probabilities applied: it was
        fitted to those of single networks, so it comes before their mean.
        """
        if not self.calibrated or self.task.kind == "regression":
            return answers
        y = answers.y.copy()
        p = None if answers.probabilities is None else answers.probabilities.copy()
        lower, upper = np.full((*y.shape, 1), np.nan), np.full((*y.shape, 1), np.nan)
        for t, entry in enumerate(self.targets):
            if entry is None:
                continue
            if p is None:
                found = Map.from_dict(entry["map"])
                lower[:, t, 0], upper[:, t, 0] = found.bounds(y[:, t])
                y[:, t] = found(y[:, t])
            else:
                p[:, t] = cooled(p[:, t], float(entry["temperature"]))
                y[:, t] = p[:, t].argmax(-1)
        bounds: dict[str, Any] = {"lower": lower, "upper": upper} if p is None else {}
        return replace(answers, y=y, probabilities=p, **bounds)

    @property
    def group_by(self) -> str | None:
        """Return the column of a table whose groups have error bars of their own; None without."""
        column = self.calibration.get("group_by")
        return column if isinstance(column, str) and column else None

    def by_group(self, answers: Answers, groups: Sequence[str]) -> Answers:
        """Return answers [n] whose error bars are those of each row's group, where it has its own
        (Mondrian); a group that calibration did not have keeps those of all.
        """
        if self.task.kind != "regression" or answers.std is None:
            return answers
        factor = np.ones(answers.std.shape)
        for t, entry in enumerate(self.targets):
            known = (entry or {}).get("factors", {})
            factor[:, t] = [float(known.get(group, 1.0)) for group in groups]
        changed: dict[str, Any] = {"std": answers.std * factor}
        for name in ("lower", "upper"):
            ends = getattr(answers, name)
            if ends is not None:
                changed[name] = answers.y[..., None] + factor[..., None] * (ends - answers.y[..., None])
        return replace(answers, **changed)

    def _numbers(self, store: Store, answers: Answers, place: Place | None) -> Answers:
        n, T, K = *answers.y.shape, len(self.coverages)
        std = np.full((n, T), np.nan)
        lower, upper = np.full((n, T, K), np.nan), np.full((n, T, K), np.nan)
        spreads = {"members": answers.std, "head": answers.head}.get(self.calibration.get("spread", ""))
        for t, entry in enumerate(self.targets):
            if entry is None:
                continue
            calibration = Calibration.from_dict(entry)
            y, spread = answers.y[:, t], None if spreads is None else spreads[:, t]
            kinds = [name for name in calibration.uses if name.startswith(KIND)]
            std[:, t] = calibration.sigma(features(store, y, spread, place, kinds, t), n)
            for c, coverage in enumerate(self.coverages):
                lower[:, t, c], upper[:, t, c] = calibration.interval(y, std[:, t], coverage)
        return replace(answers, std=std, lower=lower, upper=upper, coverages=self.coverages)

    def _classes(self, answers: Answers) -> Answers:
        """Add sets of classes to the mean of the networks' answers (`member`)."""
        p = _both(answers.y) if answers.probabilities is None else answers.probabilities  # [n, T, C]
        sets = np.zeros((*p.shape, len(self.coverages)), dtype=bool)
        for t, entry in enumerate(self.targets):
            if entry is None:
                continue
            inside = Sets.from_dict(entry["sets"])
            for c, coverage in enumerate(self.coverages):
                k = len(inside.scores)
                sets[:, t, :k, c] = inside(p[:, t, :k], coverage)
        return replace(answers, sets=sets, coverages=self.coverages)

    def columns(self, t: int) -> list[str]:
        """Return the names of the columns that a calibration adds for target `t`."""
        if not self.calibrated:
            return []
        target, kind = self.task.targets[t], self.task.kind
        tails = [""] if len(self.coverages) == 1 else [f"_{100 * c:g}" for c in self.coverages]
        if kind == "regression":
            return [f"{target}_{end}{tail}" for tail in tails for end in ("lower", "upper")]
        bounds = [f"{target}_prob_lower", f"{target}_prob_upper"] if self._bounded(t) else []
        return [*bounds, *(f"{target}_set{tail}" for tail in tails)]

    def cells(self, answers: Answers, k: int, t: int) -> list[float | str | None]:
        """Return row `k`'s values of `columns(t)`; a set is its classes, in their order, with |
        between.
        """
        if not self.calibrated:
            return []
        values: list[float | str | None] = []
        shown = self.task.kind == "regression" or self._bounded(t)
        if shown and answers.lower is not None and answers.upper is not None:
            for c in range(answers.lower.shape[2]):
                values += [float(answers.lower[k, t, c]), float(answers.upper[k, t, c])]
        if answers.sets is not None:
            names = self.task.classes[t]
            for c in range(answers.sets.shape[3]):
                inside = "|".join(n for n, has in zip(names, answers.sets[k, t, :, c], strict=False) if has)
                values.append(inside if self.targets[t] is not None else None)
        return values

    def _bounded(self, t: int) -> bool:
        """Whether target `t`'s probabilities come with two bounds: those of Venn-Abers."""
        return (self.targets[t] or {}).get("map", {}).get("kind") == "venn-abers"

    @property
    def domain_columns(self) -> list[str]:
        """Return the names of the columns that a domain adds."""
        return [] if self.domain is None else ["in_domain", "domain_distance", "new_atoms"]

    def domain_cells(self, answers: Answers, k: int) -> list[float | str | None]:
        """Return row `k`'s values of `domain_columns`."""
        if answers.in_domain is None or answers.domain_distance is None or answers.new_atoms is None:
            return []
        inside = "true" if answers.in_domain[k] else "false"
        return [inside, float(answers.domain_distance[k]), float(answers.new_atoms[k])]


def _both(p: np.ndarray) -> np.ndarray:
    """Probabilities of 0 and 1 out of those of 1."""
    return np.stack([1.0 - p, p], -1)


def cooled(p: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(log p / t) of probabilities [n, C]."""
    with np.errstate(divide="ignore"):
        return np.asarray(special.softmax(np.log(p) / temperature, axis=-1))
