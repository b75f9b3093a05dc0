"""How large an error is to be expected of a molecule: sigma as a function of what a model says of
it, by maximum likelihood.

    constant     sigma = s
    zscaling     sigma = s u
    variance     sigma^2 = a + b u^2 + c d^2,  a > 0, b and c >= 0
    loglinear    log sigma = w_0 + sum_k w_k x_k,  x standardised, a ridge on w

u is a spread (of an ensemble's members, or one that a head predicts), d a distance from the
training molecules. Each feature is held within the range that the calibration rows covered: what
lies beyond is treated as the farthest that was seen, never as something that can be extrapolated.
Levi et al. 2022 (doi:10.3390/s22155540) for the scaling; Janet et al. 2019 (doi:10.1039/C9SC02298H)
for the distance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Features = Mapping[str, np.ndarray]

RIDGE = 4.0  # penalty on each squared weight of the log-linear scale, beside rows that count 1 each
SMALLEST = 1e-6  # of the residuals' root mean square: no sigma is less
TAILS = (0.01, 0.99)  # quantiles of a feature between which the log-linear scale believes it


@dataclass(frozen=True)
class Scale:
    """sigma(features). `kind` as above; `weights` by feature; `limits`: the range of each feature
    that the calibration rows covered.
    """

    kind: str
    intercept: float
    weights: dict[str, float] = field(default_factory=dict)
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    centres: dict[str, tuple[float, float]] = field(default_factory=dict)  # mean and deviation, of the log-linear scale
    least: float = 0.0

    def __call__(self, features: Features, n: int) -> np.ndarray:
        """Return sigma [n] > 0; NaN where a feature that is used is NaN."""
        held = {name: np.clip(features[name], *self.limits[name]) for name in self.weights}
        if self.kind == "constant":
            sigma = np.full(n, self.intercept)
        elif self.kind == "zscaling":
            sigma = self.weights["spread"] * held["spread"]
        elif self.kind == "variance":
            sigma = np.sqrt(self.intercept + sum((w * np.square(held[name]) for name, w in self.weights.items()), np.zeros(n)))
        else:
            x = {name: (held[name] - self.centres[name][0]) / self.centres[name][1] for name in self.weights}
            sigma = np.exp(self.intercept + sum((w * x[name] for name, w in self.weights.items()), np.zeros(n)))
        return np.maximum(sigma, self.least)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "kind": self.kind,
            "intercept": self.intercept,
            "weights": self.weights,
            "limits": {k: list(v) for k, v in self.limits.items()},
            "centres": {k: list(v) for k, v in self.centres.items()},
            "least": self.least,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scale:
        """Read what `to_dict` wrote."""
        pairs = {key: {k: (float(v[0]), float(v[1])) for k, v in data[key].items()} for key in ("limits", "centres")}
        return cls(
            data["kind"],
            float(data["intercept"]),
            {k: float(v) for k, v in data["weights"].items()},
            **pairs,
            least=data["least"],
        )


def constant(residual: np.ndarray) -> Scale:
    """Fit the root mean square of the residuals [n]."""
    return Scale("constant", max(_rms(residual), 1e-300))


def zscaling(residual: np.ndarray, spread: np.ndarray) -> Scale:
    """Fit s of sigma = s u: the root mean square of r / u, which maximises the normal likelihood. A
    spread of 0 is held at the least one.
    """
    positive = spread[spread > 0]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (1.0, 1.0)
    held = np.clip(spread, low, high)
    return Scale(
        "zscaling",
        0.0,
        {"spread": _rms(residual / held)},
        {"spread": (low, high)},
        least=_least(residual),
    )


def variance(residual: np.ndarray, features: Features) -> Scale:
    """Fit a, b, c ... >= 0 of sigma^2 = a + sum_k b_k f_k^2 to residuals [n] by maximum likelihood
    of a normal distribution.
    """
    from scipy.optimize import minimize

    r2 = np.square(residual)
    total = max(float(r2.mean()), 1e-300)
    limits = {name: (0.0, float(f.max())) for name, f in features.items()}
    design = np.column_stack([np.ones(len(residual)), *(np.square(f) for f in features.values())])  # [n, 1 + K]
    size = np.maximum(design.mean(0), 1e-300)
    design = design / size
    floor = SMALLEST**2

    def cost(p: np.ndarray) -> tuple[float, np.ndarray]:
        v = design @ p + floor
        slope = 0.5 * (1.0 / v - r2 / total / np.square(v))
        return float(0.5 * (np.log(v) + r2 / total / v).mean()), design.T @ slope / len(r2)

    starts = [
        np.full(design.shape[1], 1.0 / design.shape[1]),
        np.array([1.0] + [0.01] * len(features)),
    ]
    bounds = [(1e-4, None)] + [(0.0, None)] * len(features)
    best = min(
        (minimize(cost, s, jac=True, bounds=bounds, method="L-BFGS-B") for s in starts),
        key=lambda found: float(found.fun),
    )
    p = best.x / size * total
    weights = {name: float(w) for name, w in zip(features, p[1:], strict=True)}
    return Scale("variance", float(p[0]), weights, limits, least=_least(residual))


def loglinear(residual: np.ndarray, features: Features, ridge: float = RIDGE) -> Scale:
    """Fit log sigma = w_0 + w . x to residuals [n] by penalised maximum likelihood (Newton's steps;
    the cost is convex in w).
    """
    held, limits, centres = {}, {}, {}
    for name, f in features.items():
        low, high = (float(q) for q in np.quantile(f, TAILS))
        limits[name] = (low, high)
        held[name] = np.clip(f, low, high)
        deviation = float(held[name].std())
        centres[name] = (
            float(held[name].mean()),
            deviation if deviation > 1e-12 * float(np.abs(held[name]).max()) else 1.0,
        )
    x = np.column_stack([np.ones(len(residual)), *((held[k] - m) / s for k, (m, s) in centres.items())])  # [n, 1 + K]
    r2 = np.square(residual / max(_rms(residual), 1e-300)) + SMALLEST**2
    penalty = np.array([0.0] + [ridge] * len(features))
    w = np.zeros(x.shape[1])
    for _ in range(100):
        e = r2 * np.exp(-2.0 * (x @ w))  # [n], squared z
        gradient = x.T @ (1.0 - e) + penalty * w
        step = np.linalg.solve(2.0 * (x.T * e) @ x + np.diag(penalty + 1e-9), gradient)
        size = min(1.0, 1.0 / max(float(np.abs(x @ step).max()), 1e-300))  # log sigma changes by at most 1 a step
        w = w - size * step
        if float(np.abs(step).max()) < 1e-10:
            break
    intercept = float(w[0]) + math.log(max(_rms(residual), 1e-300))
    weights = {name: float(v) for name, v in zip(features, w[1:], strict=True)}
    return Scale("loglinear", intercept, weights, limits, centres, least=_least(residual))


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.square(x).mean())) if len(x) else math.nan


def _least(residual: np.ndarray) -> float:
    return SMALLEST * max(_rms(residual), 1e-300)
