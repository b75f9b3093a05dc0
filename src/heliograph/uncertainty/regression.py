"""Calibration of predicted numbers: a scale (`scales`) times a shape, chosen on residuals of
molecules that were not trained on.

    interval = pred + sigma * [low(coverage), high(coverage)],  sigma = scale(features)

The shape says how z = residual / sigma is distributed: "normal"; "conformal", ranks of |z|;
"crude", ranks of z, each tail for itself (Zelikman et al. 2020, arXiv:2005.12496); "isotonic", an
isotonic map of the normal distribution's levels (Kuleshov et al. 2018, arXiv:1807.00263). A
calibration is plain data, and a model file holds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heliograph.errors import DataError, UsageError
from heliograph.uncertainty import metrics, scales
from heliograph.uncertainty.conformal import Scores, least_rows
from heliograph.uncertainty.scales import Scale
from heliograph.uncertainty.shape import Shape

METHODS = (
    "conformal-regression",
    "zscaling",
    "variance",
    "loglinear",
    "environments",
    "isotonic",
    "crude",
)
LEAST = 10  # residuals below which nothing is fitted
LEAST_FOR_SCALE = 50  # residuals below which `auto` gives one width to all
FOLDS = 5
KIND = "atoms like "  # begins the name of a feature that counts a kind of atom; "environments" takes those too
KIND_RIDGE = 40.0  # of the log-linear scale with them: they are many
COVERAGE = 0.9  # of the intervals whose score decides


@dataclass(frozen=True, eq=False)
class Rows:
    """n residuals (truth - prediction) out of fold, what is known of their molecules before the
    truth is, and which fold each is of.

    `features`: "spread" and "distance" >= 0, or any others; the log-linear scale takes all of them.
    """

    residual: np.ndarray
    features: dict[str, np.ndarray] = field(default_factory=dict)
    folds: np.ndarray | None = None

    def __post_init__(self) -> None:
        bad = [name for name, f in self.features.items() if len(f) != len(self.residual) or not np.isfinite(f).all()]
        if bad or not np.isfinite(self.residual).all():
            raise DataError(f"calibration needs finite residuals and features; not finite or not as many: {', '.join(bad) or 'residuals'}")

    def __len__(self) -> int:
        return len(self.residual)

    def take(self, keep: np.ndarray) -> Rows:
        """Return some of the rows."""
        folds = None if self.folds is None else self.folds[keep]
        return Rows(self.residual[keep], {name: f[keep] for name, f in self.features.items()}, folds)

    def parts(self) -> np.ndarray:
        """Return a fold for each row [n]: those given where there are two or more, else FOLDS of
        them by lot.
        """
        if self.folds is not None and len(np.unique(self.folds)) > 1:
            return self.folds
        return np.random.default_rng(0).permutation(len(self)) % min(FOLDS, max(len(self), 1))


@dataclass(frozen=True)
class Calibration:
    """What a model file says of one target's errors. `method` as asked or chosen, `why` a sentence,
    `n` residuals it rests on.

    `factors`: by group, what sigma is multiplied by (see `grouped`).
    """

    method: str
    scale: Scale
    shape: Shape
    n: int
    why: str = ""
    factors: dict[str, float] = field(default_factory=dict)

    @property
    def uses(self) -> tuple[str, ...]:
        """Names of the features that sigma depends on."""
        return tuple(self.scale.weights)

    def sigma(self, features: Mapping[str, np.ndarray], n: int, groups: Sequence[str] | None = None) -> np.ndarray:
        """Return the calibrated standard deviation of n rows, [n]."""
        sigma = self.scale(features, n)
        return sigma if groups is None else sigma * np.array([self.factors.get(g, 1.0) for g in groups])

    def interval(self, pred: np.ndarray, sigma: np.ndarray, coverage: float) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper ends [n] that should hold `coverage` of the truths."""
        low, high = self.shape.ends(coverage)
        return pred + sigma * low, pred + sigma * high

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"method": self.method, "scale": self.scale.to_dict(), "shape": self.shape.to_dict(), "n": self.n, "why": self.why,
                "factors": self.factors}  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what `to_dict` wrote."""
        scale, shape = Scale.from_dict(data["scale"]), Shape.from_dict(data["shape"])
        return cls(
            data["method"],
            scale,
            shape,
            int(data["n"]),
            data["why"],
            {k: float(v) for k, v in data["factors"].items()},
        )


def fit(rows: Rows, method: str = "auto") -> Calibration:
    """Fit a method of METHODS, or the one that `auto` chooses (`choose`), to out-of-fold residuals.

    Raises DataError with fewer than LEAST residuals or a method that needs a spread where there is
    none, UsageError for another name.
    """
    if method not in (*METHODS, "auto"):
        raise UsageError(f"calibration {method!r} is not for numbers; use auto, none, {', '.join(METHODS)}")
    if len(rows) < LEAST:
        raise DataError(f"calibration needs at least {LEAST} residuals of molecules that were not trained on; there are {len(rows)}")
    why = ""
    if method == "auto":
        method, why = choose(rows)
    if method in ("zscaling", "isotonic", "crude") and "spread" not in rows.features:
        raise DataError(f"calibration {method} scales a spread, and there is none: train an ensemble or a head with a spread, or use auto")
    z = rows.residual / _crossfitted(rows, method)
    shape = {"zscaling": "normal", "isotonic": "isotonic", "crude": "crude"}.get(method, "conformal")
    return Calibration(method, _scale(rows, method), Shape.fit(shape, z), len(rows), why)


def choose(rows: Rows) -> tuple[str, str]:
    """Choose among a constant, a scaled spread, a + b u^2 + c d^2 and the log-linear scale, and say
    why, in a sentence.

    Each is fitted without a fold and judged on it: by its mean negative log-likelihood, unless its
    interval score at 90 % is worse than the constant's. A richer one must beat a simpler one by
    more than the standard error of their difference, row by row.
    """
    if len(rows) < LEAST_FOR_SCALE:
        return (
            "conformal-regression",
            f"one width for all: {len(rows)} residuals are too few to tell wide from narrow",
        )
    names = [
        "conformal-regression",
        *(m for m in ("zscaling", "variance", "loglinear", "environments") if _possible(rows, m)),
    ]
    loss, score = {}, {}
    for name in names:
        sigma = _crossfitted(rows, name)
        loss[name] = np.log(sigma) + 0.5 * np.square(rows.residual / sigma)  # [n]
        score[name] = float(_nested_scores(rows, sigma).mean())
    allowed = [n for n in names if score[n] <= score[names[0]]] or names[:1]
    best = min(allowed, key=lambda n: float(loss[n].mean()))
    for simple in allowed:  # from the simplest
        difference = loss[simple] - loss[best]
        if float(difference.mean()) <= float(difference.std()) / math.sqrt(len(rows)):
            best = simple
            break
    const = names[0]

    def shown(name: str) -> str:
        return f"NLL {float(loss[name].mean()) + 0.5 * math.log(2 * math.pi):.3f}, interval score at 90 % {score[name]:.4g}"

    if best == const:
        others = "; ".join(f"{n}: {shown(n)}" for n in names[1:])
        return (
            best,
            f"one width for all: nothing told large errors from small ones (constant: {shown(const)}{'; ' + others if others else ''})",
        )
    return (
        best,
        f"{best}: out of fold {shown(best)}, against {shown(const)} of one width for all ({len(rows)} residuals)",
    )


def held_out(
    rows: Rows, calibration: Calibration, coverages: Sequence[float]
) -> tuple[np.ndarray, dict[float, tuple[np.ndarray, np.ndarray]]]:
    """Return sigma [n] and, by coverage, lower and upper residuals [n] each, fitted without each
    row's own fold: to judge by.
    """
    sigma, folds = _crossfitted(rows, calibration.method), rows.parts()
    z = rows.residual / sigma
    ends = {c: (np.empty(len(rows)), np.empty(len(rows))) for c in coverages}
    for fold in np.unique(folds):
        here = folds == fold
        shape = Shape.fit(calibration.shape.kind, z[~here])
        for c in coverages:
            low, high = shape.ends(c)
            ends[c][0][here], ends[c][1][here] = low * sigma[here], high * sigma[here]
    return sigma, ends


def grouped(calibration: Calibration, rows: Rows, groups: Sequence[str], borrow: float = 20.0) -> Calibration:
    """Give each group a factor on sigma: its own root mean square z, with `borrow` rows' worth of
    all rows' mixed in.

    A group of few rows keeps nearly the factor of all, a large one its own (an empirical Bayes
    estimate of a variance).
    """
    z2 = np.square(rows.residual / calibration.sigma(rows.features, len(rows)))
    names, mean = np.array(groups), float(z2.mean())
    factors = {}
    for group in np.unique(names):
        own = z2[names == group]
        factors[str(group)] = math.sqrt((float(own.sum()) + borrow * mean) / (len(own) + borrow))
    z = rows.residual / (calibration.sigma(rows.features, len(rows)) * np.array([factors[g] for g in groups]))
    return Calibration(
        calibration.method,
        calibration.scale,
        Shape.fit(calibration.shape.kind, z),
        len(rows),
        calibration.why,
        factors,
    )


def warning(n: int, coverages: Sequence[float]) -> str:
    """Say which coverages n residuals are too few for; "" where they suffice."""
    short = [c for c in coverages if n < least_rows(c)]
    if not short:
        return ""
    return "; ".join(f"an interval of {c:.0%} needs {least_rows(c)} residuals and there are {n}: it is infinite" for c in short)


def _possible(rows: Rows, method: str) -> bool:
    if method == "zscaling":
        return "spread" in rows.features and bool((rows.features["spread"] > 0).any())
    if method == "variance":
        return bool(_squares(rows))
    if method == "environments":
        return any(name.startswith(KIND) for name in rows.features)
    return bool(_others(rows, False))


def _others(rows: Rows, kinds: bool) -> dict[str, np.ndarray]:
    """What a log-linear scale takes: a spread by its logarithm, where it is given, kinds of atoms
    if asked, and all else.
    """
    left_out = "spread" if "log spread" in rows.features else ""
    return {name: f for name, f in rows.features.items() if name != left_out and (kinds or not name.startswith(KIND))}


def _squares(rows: Rows) -> dict[str, np.ndarray]:
    return {name: rows.features[name] for name in ("spread", "distance") if name in rows.features}


def _scale(rows: Rows, method: str) -> Scale:
    fits: dict[str, Callable[[], Scale]] = {
        "conformal-regression": lambda: scales.constant(rows.residual),
        "variance": lambda: scales.variance(rows.residual, _squares(rows)),
        "loglinear": lambda: scales.loglinear(rows.residual, _others(rows, False)),
        "environments": lambda: scales.loglinear(rows.residual, _others(rows, True), KIND_RIDGE),
    }
    return fits[method]() if method in fits else scales.zscaling(rows.residual, rows.features["spread"])


def _crossfitted(rows: Rows, method: str) -> np.ndarray:
    """sigma [n] of each row by a scale that was fitted without its fold."""
    folds, sigma = rows.parts(), np.empty(len(rows))
    for fold in np.unique(folds):
        here = folds == fold
        held = rows.take(here)
        sigma[here] = _scale(rows.take(~here), method)(held.features, len(held))
    return sigma


def _nested_scores(rows: Rows, sigma: np.ndarray) -> np.ndarray:
    """Interval scores [n] at COVERAGE, with conformal quantiles from the other folds."""
    folds, scores = rows.parts(), np.empty(len(rows))
    z = rows.residual / sigma
    for fold in np.unique(folds):
        here = folds == fold
        q = min(Scores.of(np.abs(z[~here])).quantile(COVERAGE), float(np.abs(z).max()))  # few rows: the farthest, so that scores are finite
        zero = np.zeros(int(here.sum()))
        scores[here] = metrics.interval_scores(rows.residual[here], zero - q * sigma[here], zero + q * sigma[here], COVERAGE)
    return scores
