"""Calibration on what is known: coverage of exchangeable data, planted noise, gaps, files."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from heliograph.errors import DataError, UsageError
from heliograph.uncertainty import class_metrics, classes, conformal, metrics, regression, scales
from heliograph.uncertainty.conformal import Scores
from heliograph.uncertainty.regression import Calibration, Rows
from heliograph.uncertainty.shape import Shape


def test_coverage_of_exchangeable_data_is_never_below_what_is_claimed() -> None:
    """2,000 data sets of 5 to 200 rows: the share of new truths inside, with Mondrian groups and a
    scale known beforehand too.
    """
    random = np.random.default_rng(0)
    sets = 2000
    for coverage in (0.5, 0.8, 0.9, 0.95):
        hits = dict.fromkeys(("split", "normalised", "crude", "group", "cqr"), 0)
        for _ in range(sets):
            n = int(random.integers(5, 201))
            sigma = np.exp(random.normal(size=n + 1))
            r = sigma * random.standard_t(3, n + 1)
            r = np.round(r, 1) if random.random() < 0.3 else r  # ties
            group = random.integers(0, 3, n + 1)
            z, new = r[:-1] / sigma[:-1], r[-1] / sigma[-1]
            low, high = Shape.fit("crude", z).ends(coverage)
            hits["split"] += bool(abs(r[-1]) <= conformal.quantile(np.abs(r[:-1]), coverage))
            hits["normalised"] += bool(abs(new) <= Shape.fit("conformal", z).ends(coverage)[1])
            hits["crude"] += bool(low <= new <= high)
            hits["group"] += bool(abs(r[-1]) <= conformal.by_group(np.abs(r[:-1]), group[:-1], group[-1:], coverage)[0])
            wide = conformal.quantile_regression(r[:-1], -sigma[:-1], sigma[:-1], coverage)
            hits["cqr"] += bool(-sigma[-1] - wide <= r[-1] <= sigma[-1] + wide)
        below = stats.binom.ppf(0.001, sets, coverage)  # Monte-Carlo error
        assert all(found >= below for found in hits.values()), (coverage, hits)


def test_too_few_rows_give_infinite_intervals_and_it_is_said() -> None:
    for coverage, least in ((0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)):
        assert conformal.least_rows(coverage) == least
        assert math.isfinite(conformal.quantile(np.ones(least), coverage))
        assert least == 1 or conformal.quantile(np.ones(least - 1), coverage) == math.inf
    assert "needs 19 residuals and there are 12" in regression.warning(12, (0.5, 0.9, 0.95))
    assert regression.warning(19, (0.5, 0.9, 0.95)) == ""


def test_many_scores_are_thinned_to_the_safe_side() -> None:
    values = np.random.default_rng(0).exponential(size=50_000)
    kept = Scores.of(values)
    assert len(kept.values) <= conformal.MOST_KEPT
    for coverage in (0.5, 0.9, 0.99, 0.9999):
        exact = conformal.quantile(values, coverage)
        assert exact <= kept.quantile(coverage) <= conformal.quantile(values, min(coverage + 2 / conformal.MOST_KEPT, 0.99998))
    again = Scores.from_dict(json.loads(json.dumps(kept.to_dict())))
    assert again.quantile(0.9) == kept.quantile(0.9) and again.below(0.05) == kept.below(0.05)


def planted(seed: int, n: int = 1000, slope: float = 1.0) -> tuple[np.ndarray, Rows]:
    """True sigma, and rows whose spread is noise and whose distance tells sigma."""
    random = np.random.default_rng(seed)
    distance, spread = random.random(n), random.random(n) + 0.01
    sigma = np.sqrt(0.1 + slope * np.square(distance))
    return sigma, Rows(
        sigma * random.standard_normal(n),
        {"spread": spread, "distance": distance},
        random.integers(0, 5, n),
    )


def test_auto_finds_a_planted_scale_and_leaves_constant_noise_alone() -> None:
    for seed in range(5):
        sigma, rows = planted(seed)
        found = regression.fit(rows)
        assert found.method in ("variance", "loglinear") and "against" in found.why
        assert metrics.spearman(found.sigma(rows.features, len(rows)), sigma) > 0.95
        _, rows = planted(seed, slope=0.0)
        found = regression.fit(rows)
        assert found.method == "conformal-regression" and "one width for all" in found.why
        few = rows.take(np.arange(30))
        assert regression.fit(few).method == "conformal-regression" and "too few" in regression.fit(few).why


def test_variance_finds_the_coefficients_and_holds_the_distance_to_what_it_saw() -> None:
    _, rows = planted(0, 40_000)
    scale = scales.variance(rows.residual, rows.features)
    assert scale.intercept == pytest.approx(0.1, abs=0.01)
    assert scale.weights["distance"] == pytest.approx(1.0, abs=0.05) and scale.weights["spread"] < 0.03
    far = scale({"spread": np.zeros(2), "distance": np.array([1.0, 50.0])}, 2)
    assert far[0] == pytest.approx(far[1], rel=1e-3)


def test_loglinear_is_the_penalised_maximum() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=5000)
    r = np.exp(0.3 + 0.5 * x) * random.standard_normal(5000)
    scale = scales.loglinear(r, {"x": x})
    low, high = scale.limits["x"]
    inner = np.linspace(low, high, 20)
    assert scale({"x": inner}, 20) == pytest.approx(np.exp(0.3 + 0.5 * inner), rel=0.1)
    same = scales.loglinear(r, {"x": x, "nothing": np.ones(5000)})
    assert same({"x": inner, "nothing": np.ones(20)}, 20) == pytest.approx(scale({"x": inner}, 20), rel=1e-6)


def test_coverage_of_each_method_on_new_rows() -> None:
    """Fitted on 500 rows, asked for 20,000: within three standard errors, those of the fit
    included.
    """
    for method in regression.METHODS:
        random = np.random.default_rng(7)

        def draw(n: int, random: np.random.Generator = random) -> Rows:
            spread = 0.5 + random.random(n)
            return Rows(spread * random.standard_normal(n), {"spread": spread})

        rows, new = draw(500), draw(20_000)
        found = regression.fit(rows, method)
        again = Calibration.from_dict(json.loads(json.dumps(found.to_dict())))
        sigma = again.sigma(new.features, len(new))
        for coverage in (0.5, 0.8, 0.9, 0.95):
            lower, upper = again.interval(np.zeros(len(new)), sigma, coverage)
            held = float(metrics.covered(new.residual, lower, upper).mean())
            room = 3 * math.sqrt(coverage * (1 - coverage) * (1 / 500 + 1 / 20_000))
            assert abs(held - coverage) < room, (method, coverage, held)
            assert (found.interval(np.zeros(len(new)), sigma, coverage)[0] == lower).all()


def test_a_small_group_borrows_and_a_large_one_speaks_for_itself() -> None:
    random = np.random.default_rng(0)
    groups = ["large"] * 900 + ["small"] * 3
    r = np.concatenate([random.normal(0, 1, 900), np.array([5.0, -6.0, 5.5])])
    rows = Rows(r)
    found = regression.grouped(regression.fit(rows), rows, groups)
    ratio = found.factors["small"] / found.factors["large"]
    assert 1.3 < ratio < 4.0, ratio
    sigma = found.sigma({}, 2, ["large", "unheard of"])
    assert sigma[1] == pytest.approx(found.scale({}, 1)[0])


def test_what_cannot_be_calibrated_is_said() -> None:
    with pytest.raises(DataError, match=r"at least 10 residuals.*there are 1"):
        regression.fit(Rows(np.ones(1)))
    with pytest.raises(DataError, match="finite"):
        Rows(np.array([1.0, np.nan]))
    with pytest.raises(DataError, match="there is none"):
        regression.fit(Rows(np.arange(20.0)), "zscaling")
    with pytest.raises(UsageError, match="platt"):
        regression.fit(Rows(np.arange(20.0)), "platt")
    with pytest.raises(DataError, match="2 of each class; there are 30 of 0 and 0 of 1"):
        classes.fit(np.full(30, 0.5), np.zeros(30))


def test_figures_of_true_sigmas_are_as_simulated() -> None:
    sigma, rows = planted(3, 4000)
    found = metrics.figures(rows.residual, np.zeros(4000), sigma)
    expected = metrics.simulated(sigma, repeats=100)
    for name in ("ence", "miscalibration_area", "spearman", "ause", "nll"):
        _, low, high = expected[name]
        assert low - (high - low) < found[name] < high + (high - low), name
    wrong = metrics.figures(rows.residual, np.zeros(4000), 0.3 * sigma)
    assert wrong["ence"] > expected["ence"][2] and wrong["miscalibration_area"] > expected["miscalibration_area"][2]
    assert metrics.binomial(90, 100) == pytest.approx(stats.binomtest(90, 100).proportion_ci(), abs=1e-9)
    assert metrics.binomial(0, 5)[0] == 0.0 and metrics.binomial(5, 5)[1] == 1.0


def test_venn_abers_is_two_isotonic_regressions() -> None:
    random = np.random.default_rng(0)
    for n in (3, 10, 40):
        for digits in (1, 6):
            p = np.round(random.random(n), digits)
            y = (random.random(n) < p).astype(np.float64)
            asked = np.concatenate([p, random.random(10), [0.0, 1.0]])
            zero, one = classes.venn_abers(p, y)
            bounds = classes.Map("venn-abers", steps=one, zero=zero).bounds(asked)
            for k, s in enumerate(asked):
                for label, found in enumerate(bounds):
                    wanted = IsotonicRegression().fit(np.append(p, s), np.append(y, label)).predict([s])[0]
                    assert found[k] == pytest.approx(wanted, abs=1e-9)


def test_classes_are_calibrated_and_the_choice_is_explained() -> None:
    random = np.random.default_rng(1)
    true = random.beta(0.5, 2.0, 6000)
    y = (random.random(6000) < true).astype(np.float64)
    logit = classes.logit(true)
    for raw, wanted in (
        (logit, ("none",)),
        (2.5 * logit, ("temperature",)),
        (2.0 * logit + 1.5, ("platt", "venn-abers")),
    ):
        p = 1 / (1 + np.exp(-raw))
        found = classes.fit(p[:3000], y[:3000])
        assert found.kind in wanted and "log loss out of fold" in found.why
        again = classes.Map.from_dict(json.loads(json.dumps(found.to_dict())))
        new = again(p[3000:])
        assert (new == found(p[3000:])).all()
        expected = class_metrics.simulated(new, repeats=50)["ece"]
        assert class_metrics.ece(new, y[3000:]) < expected[2] + 0.02
        low, high = found.bounds(p[3000:])
        assert (low <= new + 1e-12).all() and (new <= high + 1e-12).all()


def test_each_class_has_its_coverage_even_a_rare_one() -> None:
    random = np.random.default_rng(2)
    p = random.beta(0.4, 6.0, 60_000)
    y = (random.random(60_000) < p).astype(np.int64)
    both = np.column_stack([1 - p, p])
    sets = classes.Sets.fit(both[:30_000], y[:30_000])
    inside = classes.Sets.from_dict(json.loads(json.dumps(sets.to_dict())))(both[30_000:], 0.9)
    new = y[30_000:]
    for c in (0, 1):
        assert float(inside[new == c, c].mean()) == pytest.approx(0.9, abs=0.02)
    nobody = classes.Sets.fit(both[:5], np.zeros(5, dtype=np.int64))
    assert nobody(both[:2], 0.9)[:, 1].all()


@pytest.mark.parametrize("method", ["auto", "conformal-regression", "zscaling", "variance", "loglinear", "isotonic", "crude"])
def test_sigma_follows_the_unit(method: str) -> None:
    """y and c y: the same sigma up to c, the ends of intervals in units of it the same."""
    _, rows = planted(3, 300)
    random = np.random.default_rng(1)
    answer = random.normal(size=300)

    def fitted(c: float) -> tuple[np.ndarray, tuple[float, float]]:
        spread = c * rows.features["spread"]
        tiny = np.finfo(np.float64).tiny
        features = {
            "spread": spread,
            "log spread": np.log(np.maximum(spread, tiny)),
            "distance": rows.features["distance"],
            "answer": c * answer,
        }
        found = regression.fit(Rows(c * rows.residual, features, rows.folds), method)
        return found.sigma(features, 300) / c, found.shape.ends(0.9)

    plain, ends = fitted(1.0)
    for c in (1e-30, 1e30):
        sigma, other = fitted(c)
        np.testing.assert_allclose(sigma, plain, rtol=1e-6)
        np.testing.assert_allclose(other, ends, rtol=1e-6)
