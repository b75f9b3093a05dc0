"""How residuals are distributed once they are divided by sigma: normal, by ranks, or by isotonic levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from heliograph.uncertainty.conformal import Scores


@dataclass(frozen=True)
class Shape:
    """How z is distributed. `scores`: of |z| for "conformal", of z for "crude"; `levels`: claimed
    and held shares for "isotonic".
    """

    kind: str
    scores: Scores | None = None
    levels: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @classmethod
    def fit(cls, kind: str, z: np.ndarray) -> Shape:
        """Fit the shape to z [n]."""
        if kind == "normal":
            return cls(kind)
        if kind == "isotonic":
            return cls(kind, levels=isotonic_levels(z))
        return cls(kind, Scores.of(np.abs(z) if kind == "conformal" else z))

    def ends(self, coverage: float) -> tuple[float, float]:
        """Return the ends of the interval that holds `coverage`, in units of sigma; infinite where
        there are too few rows to say.
        """
        tail = (1.0 - coverage) / 2.0
        if self.kind == "conformal":
            assert self.scores is not None
            q = self.scores.quantile(coverage)
            return -q, q
        if self.kind == "crude":
            assert self.scores is not None
            return self.scores.below(tail), self.scores.quantile(1.0 - tail)
        if self.kind == "isotonic":
            assert self.levels is not None
            claimed, held = self.levels
            low, high = (float(np.interp(p, held, claimed)) for p in (tail, 1.0 - tail))
            return float(special.ndtri(low)), float(special.ndtri(high))
        q = float(special.ndtri(1.0 - tail))
        return -q, q

    def draw(self, random: np.random.Generator, n: int) -> np.ndarray:
        """Return n values of z as the shape says they are, [n]."""
        if self.scores is None:
            return random.standard_normal(n)
        z = random.choice(self.scores.values, n)
        return z * random.choice([-1.0, 1.0], n) if self.kind == "conformal" else z

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        scores = None if self.scores is None else self.scores.to_dict()
        return {
            "kind": self.kind,
            "scores": scores,
            "levels": None if self.levels is None else [list(v) for v in self.levels],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Shape:
        """Read what `to_dict` wrote."""
        levels = data["levels"]
        pair = None if levels is None else (tuple(map(float, levels[0])), tuple(map(float, levels[1])))
        return cls(data["kind"], None if data["scores"] is None else Scores.from_dict(data["scores"]), pair)


def isotonic_levels(z: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return levels of the normal distribution and the shares of z [n] below them, an isotonic fit
    of the one on the other.
    """
    from sklearn.isotonic import IsotonicRegression

    level = np.sort(special.ndtr(z))
    share = np.arange(1, len(z) + 1) / (len(z) + 1)
    fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(level, share)
    inner = 1e-12
    claimed = np.concatenate([[inner], np.clip(fit.X_thresholds_, inner, 1.0 - inner), [1.0 - inner]])
    held = np.concatenate([[0.0], fit.y_thresholds_, [1.0]])
    distinct = np.append(True, np.diff(held) > 0)
    return tuple(claimed[distinct].tolist()), tuple(held[distinct].tolist())
