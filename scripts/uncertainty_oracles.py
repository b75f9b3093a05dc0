"""Write tests/uncertainty/oracles.json: what crepes, MAPIE, venn-abers and uncertainty-toolbox make
of small random tables.

They clash with the project's own pins, so they run in an environment of their own, once:

    python -m venv oracles && oracles/bin/pip install crepes==0.9.1 MAPIE==1.6.0 venn-abers==1.5.4 uncertainty-toolbox==0.1.1
    oracles/bin/python scripts/uncertainty_oracles.py
"""

from __future__ import annotations

import json
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).parents[1] / "tests" / "uncertainty" / "oracles.json"
COVERAGES = (0.5, 0.8, 0.9, 0.95)
HAIR = 1e-10  # where (n + 1) coverage is a whole number, crepes goes one rank further for rounding: it is asked for a hair less


def table(seed: int, n: int, ties: bool) -> dict[str, np.ndarray]:
    """Random truths with gaps (NaN), predictions, spreads, groups, and a second half to predict
    for.
    """
    random = np.random.default_rng(seed)
    y, pred = random.normal(size=n), random.normal(size=n)
    sigma = 0.1 + random.random(n)
    if ties:
        y, pred, sigma = np.round(y, 1), np.round(pred, 1), np.round(sigma, 1)
    y[random.random(n) < 0.15] = np.nan
    return {"y": y, "pred": pred, "sigma": sigma, "group": random.integers(0, 3, n).astype(float)}


def regression(t: dict[str, np.ndarray]) -> dict[str, Any]:
    """Half widths by crepes and MAPIE on the rows that have a label."""
    from crepes import ConformalRegressor
    from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor

    there = np.isfinite(t["y"])
    y, pred, sigma, group = (t[k][there] for k in ("y", "pred", "sigma", "group"))
    r = y - pred
    out: dict[str, Any] = {
        "crepes": {},
        "crepes_normalised": {},
        "crepes_mondrian": {},
        "mapie": {},
        "mapie_cqr": {},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for c in COVERAGES:
            zero, one = np.zeros(1), np.ones(1)
            out["crepes"][c] = float(ConformalRegressor().fit(r).predict_int(zero, confidence=c - HAIR)[0, 1])
            out["crepes_normalised"][c] = float(ConformalRegressor().fit(r, sigmas=sigma).predict_int(zero, one, confidence=c - HAIR)[0, 1])
            groups = np.unique(group)
            found = ConformalRegressor().fit(r, bins=group).predict_int(np.zeros(len(groups)), bins=groups, confidence=c - HAIR)
            out["crepes_mondrian"][c] = dict(zip(map(str, groups), found[:, 1].tolist(), strict=True))
            if len(r) >= c / (1 - c):
                model = SplitConformalRegressor(_Given(), confidence_level=c, prefit=True).conformalize(pred[:, None], y)
                out["mapie"][c] = float(model.predict_interval(np.zeros((1, 1)))[1][0, 1, 0])
                quantiles = [_Given(-1.0), _Given(1.0), _Given(0.0)]
                cqr = ConformalizedQuantileRegressor(quantiles, confidence_level=c, prefit=True)
                cqr.conformalize(np.column_stack([pred, sigma]), y)
                ends = cqr.predict_interval(np.array([[0.0, 1.0]]), symmetric_correction=True)[1][0, :, 0]
                out["mapie_cqr"][c] = float(ends[1] - 1.0)
    return out


class _Given:
    """A fitted estimator that returns its first feature, and `shift` times the second."""

    def __init__(self, shift: float = 0.0):
        self.shift, self.fitted_ = shift, True

    def fit(self, X: Any, y: Any) -> _Given:
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0] + (self.shift * X[:, 1] if self.shift else 0.0)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"shift": self.shift}

    def __sklearn_is_fitted__(self) -> bool:
        return True


def scores(t: dict[str, np.ndarray]) -> dict[str, float]:
    """Figures by uncertainty-toolbox."""
    from uncertainty_toolbox import metrics_scoring_rule as rule
    from uncertainty_toolbox.metrics_calibration import sharpness

    there = np.isfinite(t["y"])
    y, pred, sigma = (t[k][there] for k in ("y", "pred", "sigma"))
    return {
        "nll": float(rule.nll_gaussian(pred, sigma, y)),
        "crps": float(rule.crps_gaussian(pred, sigma, y)),
        "sharpness": float(sharpness(sigma)),
        "interval": float(rule.interval_score(pred, sigma, y, start_p=0.9, end_p=0.9, resolution=1)),
    }


def classes(seed: int, n: int, ties: bool) -> dict[str, Any]:
    """p0, p1 by venn-abers, and sets per class by crepes (its p-values, unsmoothed)."""
    from crepes import ConformalClassifier
    from venn_abers import VennAbers

    random = np.random.default_rng(seed)
    p, asked = random.random(n), random.random(40)
    y = (random.random(n) < p).astype(float)
    if ties:
        p, asked = np.round(p, 1), np.round(asked, 1)
    asked = np.concatenate([asked, p[:10]])
    model = VennAbers()
    model.fit(np.column_stack([1 - p, p]), y)
    _, found = model.predict_proba(np.column_stack([1 - asked, asked]))
    both, asked_both = np.column_stack([1 - p, p]), np.column_stack([1 - asked, asked])
    alphas = 1 - both[np.arange(n), y.astype(int)]
    conformal = ConformalClassifier().fit(alphas, bins=y)
    sets = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.column_stack(
            [conformal.predict_p((1 - asked_both)[:, [c]], np.full(len(asked), float(c)), smoothing=False) for c in (0, 1)]
        )
    for c in COVERAGES:
        sets[c] = (values > 1 - c + 1e-12).astype(int).tolist()
    return {
        "p": p.tolist(),
        "y": y.tolist(),
        "asked": asked.tolist(),
        "p0": found[:, 0].tolist(),
        "p1": found[:, 1].tolist(),
        "sets": sets,
    }


def main() -> None:
    """Write the file."""
    cases = []
    for seed, (n, ties) in enumerate([(8, False), (15, True), (40, False), (40, True), (200, False), (200, True)]):
        t = table(seed, n, ties)
        plain = {k: [None if v != v else v for v in values.tolist()] for k, values in t.items()}
        cases.append(
            {
                "table": plain,
                "regression": regression(t),
                "scores": scores(t),
                "classes": classes(seed, n, ties),
            }
        )
    versions = {name: version(name) for name in ("crepes", "MAPIE", "venn-abers", "uncertainty-toolbox")}
    OUT.write_text(json.dumps({"versions": versions, "cases": cases}, allow_nan=True), encoding="utf-8")
    print(OUT, OUT.stat().st_size)


if __name__ == "__main__":
    main()
