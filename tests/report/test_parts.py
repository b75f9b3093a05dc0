"""Digits, axes and statistics, against sklearn and scipy or by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from heliograph.report import digits, stats
from heliograph.report.svg import Axis, Plot

NB, THIN = "\u00a0", "\u2009"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0912, "0.0912"), (1.1, "1.10"), (152.7, "153"), (9.996, "10.0"), (12345.6, f"12{THIN}300"),
        (0.0, "0"), (-3.14159, "−3.14"), (math.nan, "–"), (math.inf, "∞"), (1.234e-7, "1.23 × 10⁻⁷"), (-2.5e12, "−2.50 × 10¹²"),
        (999.6, "1000"), (5e-324, "4.94 × 10⁻³²⁴"),
    ],
)  # fmt: skip
def test_three_digits(value: float, text: str) -> None:
    assert digits.number(value) == text


def test_other_texts() -> None:
    assert (
        digits.fixed(-0.0004, 2) == "0.00" and digits.fixed(1e300, 2) == "1.00 × 10³⁰⁰" and digits.fixed(-12345.678, 1) == f"−12{THIN}345.7"
    )
    assert [digits.percent(v) for v in (0.5, 0.0, 0.001, 0.999, 1.0)] == [
        f"50{NB}%",
        f"0{NB}%",
        f"<{NB}1{NB}%",
        f">{NB}99{NB}%",
        f"100{NB}%",
    ]
    assert [digits.duration(s) for s in (0.41, 12.2, 200, 7500, math.nan)] == ["0.4 s", "12 s", "3 min 20 s", "2 h 05 min", "–"]
    assert digits.listed(["a"]) == "a" and digits.listed(["a", "b", "c"]) == "a, b and c" and digits.listed([]) == ""
    assert digits.listed(list("abcdefgh"), 3) == "a, b, c and 5 more"
    assert digits.shorten("x" * 500, 60).count("x") == 58 and digits.shorten("\udcff\0") == "?\ufffd"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [math.nan],
        [math.inf, -math.inf],
        [3.0],
        [0.0],
        [-5.0, -5.0],
        [1e300, -1e300],
        [1.0, 1.0 + 1e-15],
        [5e-324],
        [1e-9, 2e-9],
        [11000.12, 11000.13],
        range(100),
    ],
)
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("log", [False, True])
def test_an_axis_of_anything_has_a_width_and_ticks_inside(values: list[float], zero: bool, log: bool) -> None:
    axis = Axis.fit(values, "x", zero=zero, log=log)
    assert axis.low < axis.high and math.isfinite(axis.high - axis.low)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(axis.low - 1e-9 * abs(axis.low) <= v <= axis.high + 1e-9 * abs(axis.high) for v, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)
    assert np.all(np.diff([v for v, _ in ticks]) > 0)
    shares = axis.at(np.array([axis.low, axis.high]))
    assert shares == pytest.approx([0, 1])


def test_hover_text_and_labels_are_escaped_and_lines_break_at_gaps() -> None:
    plot = Plot(Axis(0, 1, "<b>"), Axis(0, 1, "&"), '"quoted"')
    plot.points([0.5, math.nan], [0.5, 0.5], "dot", ["<script>", "never"])
    plot.line([0, 0.5, 1, 1], [0, math.nan, 1, 0.5], "model")
    svg = str(plot.svg())
    assert "&lt;script&gt;" in svg and "<b>" not in svg and svg.count("<circle") == 1 and "never" not in svg
    path = next(p for p in svg.split("<path") if "line model" in p)
    assert path.count("M") == 2 and path.count("L") == 1


def test_against_sklearn_and_scipy() -> None:
    from scipy.stats import spearmanr
    from sklearn.metrics import r2_score, roc_auc_score

    rng = np.random.default_rng(0)
    for _ in range(5):
        y, p = (rng.random(60) < 0.3).astype(float), np.round(rng.random(60), 1)  # with ties
        assert stats.roc_auc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
        a, b = rng.normal(size=60), np.round(rng.normal(size=60), 1)
        assert stats.spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
        assert stats.r2(a, b) == pytest.approx(r2_score(a, b), abs=1e-12)
    assert math.isnan(stats.roc_auc(np.ones(5), np.ones(5))) and math.isnan(stats.spearman(np.ones(5), np.ones(5)))


def test_the_interval_holds_the_score_and_shrinks_with_the_data() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=4000)
    p = y + rng.normal(size=4000) * 0.5
    small, large = (stats.interval(y[:n], p[:n], stats.SCORES["rmse"]) for n in (50, 4000))
    assert large[0] < 0.5 < large[1] and small[1] - small[0] > 4 * (large[1] - large[0])
    assert math.isnan(stats.interval(y[:5], p[:5], stats.SCORES["rmse"])[0])


def test_calibration_of_honest_and_of_too_sure_bars() -> None:
    rng = np.random.default_rng(0)
    std = rng.uniform(0.2, 2.0, 20_000)
    error = rng.normal(size=20_000) * std
    honest, sure = stats.calibration(error, std), stats.calibration(error, std / 3)
    assert honest is not None and sure is not None
    assert honest.within == pytest.approx(stats.NORMAL_WITHIN, abs=0.01) and honest.scale == pytest.approx(1, abs=0.02)
    assert np.abs(honest.observed - honest.expected).max() < 0.02 and honest.rank > 0.4
    assert sure.scale == pytest.approx(3, abs=0.06) and sure.within[0] < 0.3
    assert stats.calibration(error[:3], std[:3]) is None and stats.calibration(error, std * 0) is None


def test_bins_by_quantile_hold_everything_once() -> None:
    for values in (np.array([1, 1, 1, 1]), np.arange(100), np.array([5]), np.array([1, 1, 1, 1, 1, 1, 9]), np.array([], dtype=int)):
        masks = stats.quantile_bins(values, 6)
        assert len(masks) <= 6 and (not len(values) or np.sum(masks, axis=0).tolist() == [1] * len(values))
        assert all(values[a].max() < values[b].min() for a, b in pairwise(masks))


def test_reliability_counts_everything() -> None:
    p = np.array([0.0, 0.05, 0.5, 0.99, 1.0])
    rows = stats.reliability(np.array([0, 0, 1, 1, 1.0]), p)
    assert [r[4] for r in rows] == [2, 1, 2] and rows[0][3] == 0 and rows[-1][3] == 1
