"""How good error bars of numbers are: figures that an honest report shows, each with the value that
perfect error bars would have.

`y`, `pred`, `sigma` [n] are finite and sigma > 0. `rows` where intervals are given: `lower`,
`upper` [n], which may be infinite. Gneiting & Raftery 2007 (doi:10.1198/016214506000001437) for
CRPS and the interval score; Levi et al. 2022 (doi:10.3390/s22155540) for ENCE; Kuleshov et al. 2018
(arXiv:1807.00263) for the calibration curve; Rasmussen et al. 2023 (doi:10.1186/s13321-023-00790-0)
for values simulated from the model's own sigmas, without which a rank correlation or an ENCE cannot
be judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

LEAST_IN_BIN = 20
MOST_BINS = 10
LEVELS = (0.5, 0.8, 0.9, 0.95)


def nll(y: np.ndarray, pred: np.ndarray, sigma: np.ndarray) -> float:
    """Return the mean negative log-likelihood of normal distributions."""
    z = (y - pred) / sigma
    return float((0.5 * math.log(2.0 * math.pi) + np.log(sigma) + 0.5 * np.square(z)).mean())


def crps(y: np.ndarray, pred: np.ndarray, sigma: np.ndarray) -> float:
    """Return the mean continuous ranked probability score of normal distributions: sigma (z (2
    Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)).
    """
    z = (y - pred) / sigma
    density = np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)
    return float((sigma * (z * (2.0 * special.ndtr(z) - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi))).mean())


def interval_scores(y: np.ndarray, lower: np.ndarray, upper: np.ndarray, coverage: float) -> np.ndarray:
    """Return width + 2 / alpha times what lies outside, [n]: lower is better, and honest quantiles
    have the lowest expectation.
    """
    alpha = 1.0 - coverage
    with np.errstate(invalid="ignore"):
        outside = np.maximum(lower - y, 0.0) + np.maximum(y - upper, 0.0)
        return np.asarray(upper - lower + 2.0 / alpha * outside)


def covered(y: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return whether each y lies within its interval, ends included, [n]."""
    return np.asarray((lower <= y) & (y <= upper))


def binomial(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share: `hits` of `n`."""
    if n == 0:
        return 0.0, 1.0
    a = (1.0 - level) / 2.0
    low = float(special.betaincinv(hits, n - hits + 1, a)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, 1.0 - a)) if hits < n else 1.0
    return low, high


def bins(values: np.ndarray, most: int = MOST_BINS, least: int = LEAST_IN_BIN) -> list[np.ndarray]:
    """Divide rows [n] by `values` into runs of equal size, at most `most` and of at least `least`
    rows each; row numbers, ascending.
    """
    count = max(1, min(most, len(values) // least))
    return [part for part in np.array_split(np.argsort(values, kind="stable"), count) if len(part)]


def ence(y: np.ndarray, pred: np.ndarray, sigma: np.ndarray, parts: list[np.ndarray] | None = None) -> float:
    """Return the expected normalised calibration error: the mean over bins of |root mean variance -
    RMSE| / root mean variance.
    """
    found = []
    for rows in bins(sigma) if parts is None else parts:
        expected = math.sqrt(float(np.square(sigma[rows]).mean()))
        found.append(abs(expected - math.sqrt(float(np.square(y[rows] - pred[rows]).mean()))) / expected)
    return float(np.mean(found)) if found else math.nan


def curve(y: np.ndarray, pred: np.ndarray, sigma: np.ndarray, steps: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Return claimed shares p = 0, 1 / steps ... 1 and the shares of rows within the central
    interval of p, both [steps + 1].
    """
    claimed = np.arange(steps + 1) / steps
    z = np.sort(np.abs(y - pred) / sigma)
    bound = np.append(special.erfinv(claimed[:-1]) * math.sqrt(2.0), math.inf)
    held = np.searchsorted(z, bound, side="right") / max(len(z), 1)
    held[0] = 0.0
    return claimed, held


def miscalibration_area(y: np.ndarray, pred: np.ndarray, sigma: np.ndarray) -> float:
    """Return the area between the calibration curve and the diagonal: 0 is best, 0.5 the worst."""
    claimed, held = curve(y, pred, sigma)
    return float(np.abs(held - claimed).sum() / (len(claimed) - 1))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return the rank correlation, ties averaged; NaN where one side is constant."""
    from scipy import stats

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(stats.spearmanr(a, b)[0])


def ause(y: np.ndarray, pred: np.ndarray, sigma: np.ndarray) -> float:
    """Return the area under the sparsification error: how much slower RMSE falls when rows of the
    largest sigma are left out first than when those of the largest error are; as a share of the
    RMSE of all rows (Ilg et al. 2018, arXiv:1802.07095).
    """
    squares = np.square(y - pred)
    n = len(squares)
    if n < 2 or not squares.any() or np.ptp(sigma) == 0:
        return math.nan

    def kept(order: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(np.cumsum(squares[order]) / np.arange(1, n + 1)))  # RMSE of the k surest, k = 1 .. n

    by_sigma, by_error = (
        kept(np.argsort(sigma, kind="stable")),
        kept(np.argsort(squares, kind="stable")),
    )
    return float((by_sigma - by_error).mean() / by_sigma[-1])


def figures(y: np.ndarray, pred: np.ndarray, sigma: np.ndarray) -> dict[str, float]:
    """Return the figures that need sigma alone, by name."""
    return {
        "ence": ence(y, pred, sigma),
        "miscalibration_area": miscalibration_area(y, pred, sigma),
        "nll": nll(y, pred, sigma),
        "crps": crps(y, pred, sigma),
        "sharpness": float(np.sqrt(np.square(sigma).mean())),
        "spearman": spearman(sigma, np.abs(y - pred)),
        "ause": ause(y, pred, sigma),
    }


def simulated(
    sigma: np.ndarray,
    draw: Callable[[np.random.Generator, int], np.ndarray] | None = None,
    repeats: int = 200,
    seed: int = 0,
) -> dict[str, tuple[float, float, float]]:
    """Return what `figures` would be if sigma were true: mean, 5 % and 95 % quantile over errors
    drawn anew.

    `draw`(random, n): z of n rows, [n]; standard normal by default.
    """
    random = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    zero = np.zeros_like(sigma)
    for _ in range(repeats):
        z = random.standard_normal(len(sigma)) if draw is None else draw(random, len(sigma))
        for name, value in figures(sigma * z, zero, sigma).items():
            found.setdefault(name, []).append(value)
    return {name: _summary(values) for name, values in found.items()}


def _summary(values: list[float]) -> tuple[float, float, float]:
    array = np.array(values)
    array = array[np.isfinite(array)]
    if not len(array):
        return math.nan, math.nan, math.nan
    low, high = np.quantile(array, [0.05, 0.95])
    return float(array.mean()), float(low), float(high)
