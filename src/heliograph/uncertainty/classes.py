"""Calibration of probabilities: maps from a network's probability of 1 to one that may be believed,
and sets of classes that hold.

platt         sigmoid(a logit(p) + b)                                   Platt 1999 temperature
sigmoid(logit(p) / t), softmax(log p / t)                 Guo et al. 2017, arXiv:1706.04599 isotonic
the isotonic regression of labels on p                    Zadrozny & Elkan 2002 venn-abers    p0 and
p1, the isotonic regressions with the molecule itself as a 0 or a 1; p = p1 / (1 - p0 + p1)
                                                                        Vovk, Petej, Fedorova 2015, arXiv:1511.00213
sets          per class c, the molecules whose 1 - p_c is not beyond the conformal quantile of c's
own (Mondrian: each class holds)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from heliograph.errors import DataError, UsageError
from heliograph.uncertainty.conformal import Scores

METHODS = ("platt", "temperature", "isotonic", "venn-abers")
LEAST = 10  # labels, and LEAST_CLASS of each class, below which nothing is fitted
LEAST_CLASS = 2
LEAST_FOR_STEPS = 100  # of the rarer class, below which `auto` fits no steps (isotonic, Venn-Abers)
FOLDS = 5
EDGE = 1e-7  # probabilities are held off 0 and 1 by this much before a logit

Steps = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Map:
    """p -> calibrated p. `numbers`: a and b, or t. `steps`: thresholds and values of isotonic; of
    Venn-Abers for p0 (`zero`) and p1.
    """

    kind: str
    numbers: tuple[float, ...] = ()
    steps: Steps | None = None
    zero: Steps | None = None
    n: int = 0
    why: str = ""

    def __call__(self, p: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities [n]."""
        if self.kind == "none":
            return p
        if self.kind == "venn-abers":
            p0, p1 = self.bounds(p)
            return np.asarray(p1 / (1.0 - p0 + p1))
        if self.kind == "isotonic":
            assert self.steps is not None
            return np.interp(p, *self.steps)
        a, b = self.numbers if self.kind == "platt" else (1.0 / self.numbers[0], 0.0)
        return np.asarray(special.expit(a * logit(p) + b))

    def bounds(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return p0 and p1 of Venn-Abers [n]; other maps have one value only, twice."""
        if self.kind != "venn-abers":
            found = self(p)
            return found, found
        assert self.steps is not None and self.zero is not None
        s0, v0 = (np.array(x) for x in self.zero)
        s1, v1 = (np.array(x) for x in self.steps)
        p0 = np.append(0.0, v0)[np.searchsorted(s0, p, side="right")]  # v0[i] holds from s0[i] on, to the right
        p1 = np.append(v1, 1.0)[np.searchsorted(s1, p, side="left")]  # v1[i] holds up to s1[i]
        return p0, p1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        lists = {name: None if s is None else [list(s[0]), list(s[1])] for name, s in (("steps", self.steps), ("zero", self.zero))}
        return {
            "kind": self.kind,
            "numbers": list(self.numbers),
            "n": self.n,
            "why": self.why,
        } | lists

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Map:
        """Read what `to_dict` wrote."""
        pairs = {k: None if data[k] is None else (tuple(map(float, data[k][0])), tuple(map(float, data[k][1]))) for k in ("steps", "zero")}
        return cls(
            data["kind"],
            tuple(map(float, data["numbers"])),
            n=int(data["n"]),
            why=data["why"],
            **pairs,
        )


def logit(p: np.ndarray) -> np.ndarray:
    """Return log(p / (1 - p)) with p held within EDGE of 0 and 1."""
    return np.asarray(special.logit(np.clip(p, EDGE, 1.0 - EDGE)))


def fit(p: np.ndarray, y: np.ndarray, method: str = "auto", folds: np.ndarray | None = None) -> Map:
    """Fit a map to out-of-fold probabilities of 1 `p` [n] and labels `y` [n] of 0 and 1.

    Raises DataError with too few labels or one class only, UsageError for another method.
    """
    if method not in (*METHODS, "auto"):
        raise UsageError(f"calibration {method!r} is not for classes; use auto, none, {', '.join(METHODS)}")
    counts = [int((y == c).sum()) for c in (0, 1)]
    if len(y) < LEAST or min(counts) < LEAST_CLASS:
        raise DataError(
            f"calibration needs {LEAST} labels and {LEAST_CLASS} of each class; there are {counts[0]} of 0 and {counts[1]} of 1"
        )
    why = ""
    if method == "auto":
        method, why = choose(p, y, folds)
    return _fit(p, y, method, why)


def choose(p: np.ndarray, y: np.ndarray, folds: np.ndarray | None = None) -> tuple[str, str]:
    """Choose no map, a temperature, Platt's or Venn-Abers by log loss on folds that were not
    fitted, and say why.

    A richer map must beat a simpler one by more than the standard error of their difference.
    """
    names = ["none", "temperature", "platt"] + (["venn-abers"] if min((y == 0).sum(), (y == 1).sum()) >= LEAST_FOR_STEPS else [])
    parts = folds if folds is not None and len(np.unique(folds)) > 1 else np.random.default_rng(0).permutation(len(y)) % FOLDS
    loss = {}
    for name in names:
        found = np.empty(len(y))
        for fold in np.unique(parts):
            here = parts == fold
            enough = len(np.unique(y[~here])) == 2
            found[here] = (_fit(p[~here], y[~here], name) if enough else Map("none"))(p[here])
        right = np.clip(np.where(y == 1, found, 1.0 - found), EDGE, 1.0)
        loss[name] = -np.log(right)
    best = min(names, key=lambda n: float(loss[n].mean()))
    for simple in names:
        difference = loss[simple] - loss[best]
        if float(difference.mean()) <= float(difference.std()) / math.sqrt(len(y)):
            best = simple
            break
    shown = ", ".join(f"{n} {float(loss[n].mean()):.4f}" for n in names)
    return (
        best,
        f"{'the probabilities as they are' if best == 'none' else best}: log loss out of fold {shown} ({len(y)} labels)",
    )


def _fit(p: np.ndarray, y: np.ndarray, method: str, why: str = "") -> Map:
    n = len(y)
    if method == "none":
        return Map("none", n=n, why=why)
    if method == "venn-abers":
        zero, one = venn_abers(p, y)
        return Map(method, steps=one, zero=zero, n=n, why=why)
    if method == "isotonic":
        return Map(method, steps=isotonic(p, y), n=n, why=why)
    if method == "platt":
        return Map(method, platt(p, y), n=n, why=why)
    return Map(method, (temperature(np.column_stack([-logit(p) / 2, logit(p) / 2]), y),), n=n, why=why)


def platt(p: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return a and b of sigmoid(a logit(p) + b) by maximum likelihood, [n] each (Newton's steps;
    convex).
    """
    x = np.column_stack([logit(p), np.ones(len(p))])
    w = np.array([1.0, 0.0])
    ridge = 1e-9 * len(y)

    def cost(w: np.ndarray) -> float:
        m = x @ w
        return float((np.logaddexp(0.0, m) - y * m).sum() + 0.5 * ridge * float(w @ w))

    for _ in range(200):
        q = special.expit(x @ w)
        gradient = x.T @ (q - y) + ridge * w
        step = np.linalg.solve((x.T * (q * (1.0 - q))) @ x + (ridge + 1e-12) * np.eye(2), gradient)
        size, before = 1.0, cost(w)
        while size > 1e-8 and cost(w - size * step) > before:
            size /= 2.0
        w = w - size * step
        if float(np.abs(size * step).max()) < 1e-12 * max(1.0, float(np.abs(w).max())):
            break
    return float(w[0]), float(w[1])


def temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """Return t of softmax(logits / t), for logits [n, C] (-infinite where there is no such class)
    and classes y [n].
    """
    rows = np.arange(len(y))
    held = np.where(np.isfinite(logits), logits, -1e30)

    def cost(log_t: float) -> float:
        scaled = held / math.exp(log_t)
        return float((special.logsumexp(scaled, axis=1) - scaled[rows, y.astype(np.int64)]).sum())

    return math.exp(float(optimize.minimize_scalar(cost, bounds=(-4.0, 4.0), method="bounded", options={"xatol": 1e-10}).x))


def isotonic(p: np.ndarray, y: np.ndarray) -> Steps:
    """Return thresholds and values of the isotonic regression of y on p [n]; linear in between,
    flat beyond.
    """
    from sklearn.isotonic import IsotonicRegression

    found = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(p, y)
    return tuple(map(float, found.X_thresholds_)), tuple(map(float, found.y_thresholds_))


def venn_abers(p: np.ndarray, y: np.ndarray) -> tuple[Steps, Steps]:
    """Return Venn-Abers' p0 and p1 as steps of the score (algorithms 1 and 2 of Vovk et al. 2015;
    O(n log n)).

    p1 is what isotonic regression gives to a new molecule of that score that counts as a 1, p0 as a
    0. By symmetry p0 of (p, y) is 1 - p1 of (-p, 1 - y).
    """
    scores, one = _with_a_one(p, y)
    mirrored, zero = _with_a_one(-p, 1.0 - y)
    return _steps(-mirrored[::-1], 1.0 - zero[::-1], keep="first"), _steps(scores, one, keep="last")


def _with_a_one(score: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct scores [k] ascending, and for a new 1 with a score in (s_{i-1}, s_i] what isotonic
    regression makes of it, [k].
    """
    distinct, which = np.unique(score, return_inverse=True)
    weight, ones = np.bincount(which).astype(np.float64), np.bincount(which, y)
    x, h = (
        np.append(0.0, np.cumsum(weight)),
        np.append(0.0, np.cumsum(ones)),
    )  # the cumulative sum diagram, k + 1 points
    points = [
        (-1.0, -1.0),
        *zip(x.tolist(), h.tolist(), strict=True),
    ]  # points[i + 1] is P_i; P_{-1} is the new molecule, before all

    def cross(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    stack = points[:2]
    for point in points[2:]:
        while len(stack) > 1 and cross(stack[-2], stack[-1], point) <= 0:
            stack.pop()
        stack.append(point)
    stack.reverse()  # the leftmost corner of the greatest convex minorant on top
    k, found, moved = len(distinct), np.empty(len(distinct)), list(points)
    for i in range(1, k + 1):
        top, following = stack[-1], stack[-2]
        found[i - 1] = (following[1] - top[1]) / (following[0] - top[0])
        here = (
            moved[i - 1][0] + points[i + 1][0] - points[i][0],
            moved[i - 1][1] + points[i + 1][1] - points[i][1],
        )
        moved[i] = here  # the new molecule has gone past the i-th score
        if cross(top, following, here) >= 0:
            continue
        stack.pop()
        while len(stack) > 1 and cross(here, stack[-1], stack[-2]) <= 0:
            stack.pop()
        stack.append(here)
    return distinct, found


def _steps(scores: np.ndarray, values: np.ndarray, keep: str) -> Steps:
    """Runs of equal values as one step each: its first score, or its last."""
    change = np.diff(values) != 0
    at = np.append(True, change) if keep == "first" else np.append(change, True)
    return tuple(scores[at].tolist()), tuple(values[at].tolist())


@dataclass(frozen=True)
class Sets:
    """Conformal sets of classes, each class with the coverage that is asked for among its own
    molecules. `scores`: by class.
    """

    scores: tuple[Scores, ...]

    @classmethod
    def fit(cls, probabilities: np.ndarray, y: np.ndarray) -> Sets:
        """Fit to out-of-fold probabilities [n, C] and classes y [n]."""
        return cls(tuple(Scores.of(1.0 - probabilities[y == c, c]) for c in range(probabilities.shape[1])))

    def __call__(self, probabilities: np.ndarray, coverage: float) -> np.ndarray:
        """Return which classes are in each molecule's set, [n, C]; a class with too few molecules
        is in all of them.
        """
        bounds = np.array([s.quantile(coverage) if s.n else math.inf for s in self.scores])
        return np.asarray(1.0 - probabilities <= bounds)

    def to_dict(self) -> list[dict[str, object]]:
        """Plain JSON data."""
        return [s.to_dict() for s in self.scores]

    @classmethod
    def from_dict(cls, data: list[dict[str, object]]) -> Sets:
        """Read what `to_dict` wrote."""
        return cls(tuple(Scores.from_dict(s) for s in data))
