"""The tests of a comparison: against scipy, published figures and sums by hand; and that they hold on folds that share molecules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from heliograph.compare.statistics import (
    Scores,
    anova,
    diagram,
    friedman,
    holm,
    letters,
    mean_over_tasks,
    needed,
    paired,
    pairs,
    practical,
)
from heliograph.compare.statistics.paired import critical
from heliograph.errors import DataError, UsageError

NAMES = tuple("abcdefghijklmnopqrst")


def table(J: int, L: int, overlap: float = 0.25, seed: int = 0, folds: int = 5) -> Scores:
    return Scores(np.random.default_rng(seed).normal(1.0, 0.2, (J, L)), NAMES[:L], folds, overlap)


class TestScores:
    @pytest.mark.parametrize(
        ("values", "learners", "error", "text"),
        [
            ([[1.0, 2.0]], "ab", UsageError, "at least two folds, got 1"),
            ([[1.0], [2.0]], "a", UsageError, "at least two learners"),
            ([[1.0, 2.0], [2.0, 3.0]], "aa", UsageError, "different names"),
            ([[1.0, 2.0], [2.0, 3.0], [1.0, 1.0]], "ab", UsageError, "3 rows of scores are not whole repeats of 2"),
            ([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]], "ab", UsageError, "each of 2 learners"),
            ([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [math.nan, math.inf]], "ab", DataError, "a has no .* fold 2 of repeat 2 .nan.,"),
        ],
        ids=["one fold", "one learner", "equal names", "half a repeat", "a column too many", "failed units"],
    )  # fmt: skip
    def test_what_cannot_be_compared_says_why(self, values: list[list[float]], learners: str, error: type, text: str) -> None:
        with pytest.raises(error, match=text):
            Scores(np.array(values), tuple(learners), 2, 0.25)

    def test_overlap_and_unknown_learners(self) -> None:
        with pytest.raises(UsageError, match="n_test / n_train"):
            table(10, 2, overlap=math.nan)
        with pytest.raises(UsageError, match="'z'"):
            table(10, 2).of("z")

    def test_order_and_direction(self) -> None:
        scores = Scores(np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]]), ("a", "b", "c"), 2, 0.25)
        assert scores.best_first() == ("b", "c", "a")
        assert replace(scores, smaller_is_better=False).best_first() == ("a", "c", "b")
        assert scores.only(("c", "a")).values.tolist() == [[2, 3], [2, 3]]
        assert table(25, 2).inflation == pytest.approx(0.29)  # 1/25 + 1/4

    def test_tasks_are_averaged_within_the_fold(self) -> None:
        values = np.array([[[1.0, 20.0], [2.0, 40.0]], [[3.0, math.nan], [5.0, math.nan]]])  # [2 folds, 2 learners, 2 tasks]
        assert mean_over_tasks(values, np.array([1.0, 10.0])).tolist() == [[1.5, 3.0], [3.0, 5.0]]
        with pytest.raises(DataError, match="task 2 has a score on row 1 for some learners only"):
            mean_over_tasks(np.array([[[1.0, math.nan], [2.0, 4.0]]]))
        with pytest.raises(DataError, match="no task has a score on row 1"):
            mean_over_tasks(np.full((1, 2, 2), math.nan))


class TestTwo:
    def test_without_overlap_it_is_the_paired_t_test(self) -> None:
        scores = table(25, 2, overlap=0)
        ours, peer = paired(scores, "a", "b"), stats.ttest_rel(scores.of("a"), scores.of("b"))
        interval = peer.confidence_interval(0.95)
        assert (ours.p, ours.low, ours.high) == pytest.approx((peer.pvalue, interval.low, interval.high))

    def test_by_hand(self) -> None:
        a = np.array([2.0, 3.0, 4.0, 5.0, 6.0])  # differences 1 ... 5: mean 3, variance 2.5, error sqrt(2.5 (1/5 + 1/4)) = 1.06066
        ours = paired(Scores(np.stack([a, np.ones(5)], axis=1), ("a", "b"), 5, 0.25), "a", "b")
        assert (ours.difference, ours.spread, ours.effect) == pytest.approx((3, math.sqrt(2.5), 3 / math.sqrt(2.5)))
        half = 2.776445 * 1.06066  # t(0.975, 4) of the tables
        assert (ours.low, ours.high) == pytest.approx((3 - half, 3 + half), abs=1e-5)
        assert ours.p == pytest.approx(0.04742, abs=1e-5)  # t = 2.8284; for 4 degrees in closed form

    @pytest.mark.parametrize(("L", "df", "q"), [(3, 10, 3.88), (4, 24, 3.90), (8, 24, 4.68), (12, 60, 4.81)])
    def test_critical_values_of_a_family_are_the_tables_of_the_studentized_range(self, L: int, df: int, q: float) -> None:
        assert critical(0.95, df, L) * math.sqrt(2) == pytest.approx(q, abs=0.006)
        assert stats.studentized_range.ppf(0.95, 2, df) / math.sqrt(2) == pytest.approx(critical(0.95, df), rel=1e-6)

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3), overlap=st.sampled_from([0.0, 0.25, 1.0]))
    def test_swapped_and_in_other_units(self, seed: int, scale: float, overlap: float) -> None:
        scores = table(10, 2, overlap, seed)
        x, y = paired(scores, "a", "b"), paired(scores, "b", "a")
        assert (x.low, x.high, x.effect_low) == pytest.approx((-y.high, -y.low, -y.effect_high), rel=1e-6)
        z = paired(replace(scores, values=scores.values * scale), "a", "b")
        assert (z.low, z.p, z.effect, z.effect_high) == pytest.approx((x.low * scale, x.p, x.effect, x.effect_high), rel=1e-6)
        assert x.differ == (x.p < 0.05) == (not x.effect_low <= 0 <= x.effect_high)

    def test_the_interval_of_the_effect_covers_it(self) -> None:
        rng, true = np.random.default_rng(0), 0.8
        found = [paired(Scores(np.stack([d, 0 * d], axis=1), ("a", "b"), 5, 0), "a", "b") for d in rng.normal(true, 1, (400, 10))]
        assert 0.92 < np.mean([f.effect_low < true < f.effect_high for f in found]) < 0.98
        assert np.mean([f.effect_high - f.effect_low for f in found]) < 2

    @pytest.mark.parametrize("t", [0.01, 3.0, 60.0])
    def test_the_interval_of_the_effect_inverts_the_noncentral_t(self, t: float) -> None:
        d = np.array([-1.0, 1.0] * 5)
        d = d / d.std(ddof=1) * math.sqrt(10) / t + 1  # ten differences with this t
        ours = paired(Scores(np.stack([d, 0 * d], axis=1), ("a", "b"), 5, 0), "a", "b")
        for bound, p in ((ours.effect_low, 0.975), (ours.effect_high, 0.025)):
            assert stats.nct.cdf(t, 9, bound * math.sqrt(10)) == pytest.approx(p, abs=1e-6)

    def test_equal_learners_and_constant_differences(self) -> None:
        a = table(10, 2).of("a")
        equal = Scores(np.stack([a, a, a + 0.1], axis=1), ("a", "b", "c"), 5, 0.25)
        same, apart = paired(equal, "a", "b"), paired(equal, "c", "a")
        assert (same.difference, same.p, same.effect, same.differ) == (0, 1, 0, False)
        assert (apart.p, apart.effect, apart.differ) == (0, math.inf, True) and apart.low == pytest.approx(0.1)
        assert practical(equal, "a", "b", 0.05).equivalent == 1 and practical(equal, "c", "a", 0.05).worse == 1
        assert needed(equal, "a", "b") == needed(equal, "b", "a") and math.isinf(needed(equal, "a", "b").molecules)
        assert needed(equal, "a", "c").folds == 5


class TestPractical:
    def test_it_integrates_the_posterior(self) -> None:
        scores = table(25, 2, seed=3)
        d = scores.of("a") - scores.of("b")
        density = stats.t(24, d.mean(), d.std(ddof=1) * math.sqrt(1 / 25 + 0.2 / 0.8)).pdf  # rho / (1 - rho), rho = 1/5
        found = practical(scores, "a", "b", 0.05)
        wanted = [integrate.quad(density, *ends)[0] for ends in ((-math.inf, -0.05), (-0.05, 0.05), (0.05, math.inf))]
        assert (found.better, found.equivalent, found.worse) == pytest.approx(wanted, abs=1e-7)
        other = practical(replace(scores, smaller_is_better=False), "a", "b", 0.05)
        assert (other.better, other.worse) == pytest.approx((found.worse, found.better))

    def test_without_a_rope_it_is_the_one_sided_p(self) -> None:
        scores = table(25, 2, seed=3)
        found = practical(scores, "a", "b", 0)
        assert 2 * min(found.better, found.worse) == pytest.approx(paired(scores, "a", "b").p) and found.equivalent == pytest.approx(0)
        with pytest.raises(UsageError, match="practical equivalence"):
            practical(scores, "a", "b", -0.1)


class TestNeeded:
    @staticmethod
    def planted(difference: float, spread: float = 1.0) -> Scores:
        d = np.random.default_rng(0).standard_normal(25)
        d = (d - d.mean()) / d.std(ddof=1) * spread + difference
        return Scores(np.stack([d, 0 * d], axis=1), ("a", "b"), 5, 0.25)

    @pytest.mark.parametrize("family", [2, 4])
    def test_the_fewest_repeats_that_do(self, family: int) -> None:
        def half(folds: int) -> float:
            return critical(0.95, folds - 1, family) * math.sqrt(1 / folds + 0.25)

        found = needed(self.planted(-1.45), "a", "b", family=family).folds
        assert found is not None and found % 5 == 0
        assert half(found) < 1.45 <= half(found - 5)

    def test_what_folds_have_in_common_does_not_average_out(self) -> None:
        found = needed(self.planted(0.9), "a", "b")  # below 1.96 sqrt(1/4)
        assert found.folds is None
        assert found.molecules == pytest.approx((2.063899 * math.sqrt(0.29) / 0.9) ** 2, rel=1e-5)  # t(0.975, 24)
        factor = found.molecules * 1.001  # that many molecules: each fold's mean spreads less by the root
        assert paired(self.planted(0.9, 1 / math.sqrt(factor)), "a", "b").differ
        assert needed(self.planted(3.0), "a", "b").molecules < 1


class TestMany:
    def test_the_analysis_of_variance_compares_two_linear_models(self) -> None:
        scores = table(10, 4, overlap=0)
        y = scores.values.ravel()
        fold, learner = np.repeat(np.eye(10), 4, axis=0), np.tile(np.eye(4), (10, 1))
        rest = [((y - X @ np.linalg.lstsq(X, y)[0]) ** 2).sum() for X in (fold, np.hstack([fold, learner]))]
        F = (rest[0] - rest[1]) / 3 / (rest[1] / 27)
        found = anova(scores)
        assert found.statistic == pytest.approx(F)
        assert found.p == pytest.approx(stats.f.sf(F, 3 * found.epsilon, 27 * found.epsilon))
        assert anova(replace(scores, overlap=0.25)).statistic == pytest.approx(F * 0.1 / 0.35)

    def test_for_two_learners_all_are_the_paired_test(self) -> None:
        scores = table(25, 2)
        one = paired(scores, *scores.best_first())
        assert pairs(scores) == (one,)
        assert anova(scores).p == pytest.approx(one.p) and anova(scores).epsilon == pytest.approx(1)

    def test_epsilon_is_that_of_the_covariance(self) -> None:
        S = np.diag([1.0, 1.0, 16.0, 16.0])
        centre = np.eye(4) - 0.25
        box = np.trace(centre @ S) ** 2 / (3 * np.trace(centre @ S @ centre @ S))
        values = np.random.default_rng(0).standard_normal((20_000, 4)) * np.sqrt(np.diag(S))
        assert anova(Scores(values, NAMES[:4], 5, 0)).epsilon == pytest.approx(box, rel=0.02)
        few = [anova(table(2, 4, folds=2, seed=k)).epsilon for k in range(5)]
        assert few == pytest.approx([1 / 3] * 5)  # two folds can't say more

    def test_equal_columns(self) -> None:
        a = table(10, 2).of("a")
        equal = Scores(np.stack([a, a, a], axis=1), ("a", "b", "c"), 5, 0.25)
        assert anova(equal).p == 1 and friedman(equal).p == 1 and not any(pair.differ for pair in pairs(equal))
        assert anova(replace(equal, values=equal.values + np.eye(3)[2])).p == 0
        assert diagram(equal).bars == ((0, 2),)

    def test_pairs_of_a_family_are_wider_and_begin_with_the_best(self) -> None:
        scores = table(25, 4)
        found = pairs(scores)
        assert len(found) == 6 and found[0].a == scores.best_first()[0] and all(pair.difference <= 0 for pair in found)
        for pair in found:
            alone = paired(scores, pair.a, pair.b)
            assert pair.low < alone.low and pair.high > alone.high and pair.p > alone.p
            assert pair.differ == (pair.p < 0.05)

    def test_holm(self) -> None:
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
        assert holm([]) == () and holm([0.7, 0.6]) == (1, 1)


DEMSAR = np.array([  # J. Demšar, JMLR 7, 1 (2006), table 6: AUC of C4.5 and three ways to tune it; .975 twice is ranked 2 and 3
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967], [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931], [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875], [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.97501, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip


class TestRanks:
    scores = Scores(DEMSAR, ("C4.5", "m", "cf", "m+cf"), 14, 0.0, smaller_is_better=False)

    def test_the_published_example(self) -> None:
        found = diagram(self.scores)
        assert dict(found.ranks) == pytest.approx({"C4.5": 3.143, "m": 2.000, "cf": 2.893, "m+cf": 1.964}, abs=5e-4)
        assert [name for name, _ in found.ranks] == ["m+cf", "m", "cf", "C4.5"]
        assert found.distance == pytest.approx(1.25, abs=1 / 14) and found.bars == ((0, 3),)  # mean ranks come in steps of 1/14
        assert diagram(self.scores, level=0.9).distance == pytest.approx(1.12, abs=1 / 14)
        assert friedman(self.scores).statistic == pytest.approx(9.28, abs=0.005)

    def test_published_critical_values(self) -> None:
        for L, q in zip(range(2, 11, 4), (1.960, 2.850, 3.164), strict=True):  # Demšar's table 5: 2, 6 and 10 learners
            found = diagram(table(100, L, overlap=0)).distance / math.sqrt(L * (L + 1) / (6 * 100))
            assert found == pytest.approx(q, rel=0.03)

    def test_without_overlap_friedman_is_scipys(self) -> None:
        for seed in range(3):
            scores = table(60, 3, overlap=0, seed=seed)
            peer = stats.friedmanchisquare(*scores.values.T)
            assert friedman(scores).statistic == pytest.approx(peer.statistic)
            assert friedman(scores).p == pytest.approx(peer.pvalue, abs=0.04)  # in steps: ranks are whole numbers

    def test_ranks_bars_and_direction(self) -> None:
        values = np.tile([3.0, 1.0, 2.0, 4.0], (25, 1)) + np.random.default_rng(0).normal(0, 0.01, (25, 4))
        scores = Scores(values, ("a", "b", "c", "d"), 5, 0.25)
        found = diagram(scores)
        assert found.ranks == (("b", 1), ("c", 2), ("a", 3), ("d", 4))
        assert 1 < found.distance < 2 and found.bars == ((0, 1), (1, 2), (2, 3))
        assert diagram(replace(scores, smaller_is_better=False)).ranks == (("d", 1), ("a", 2), ("c", 3), ("b", 4))
        assert diagram(replace(scores, overlap=0)).bars == () and friedman(scores).p < 0.001


class TestLetters:
    def test_by_hand(self) -> None:
        assert letters("abcd", [("a", "c"), ("a", "d"), ("b", "d")]) == {"a": "a", "b": "ab", "c": "bc", "d": "c"}
        assert letters("abc", []) == {"a": "a", "b": "a", "c": "a"}
        assert letters("ab", [("b", "a")]) == {"a": "a", "b": "b"}
        names = [f"n{k}" for k in range(28)]
        every = letters(names, [(a, b) for a in names for b in names if a < b])
        assert every["n0"] == "a" and every["n25"] == "z" and every["n26"] == "a1" and len(set(every.values())) == 28

    @settings(max_examples=150, deadline=None)
    @given(st.integers(2, 9).flatmap(lambda L: st.tuples(st.just(L), st.sets(st.tuples(st.integers(0, L - 1), st.integers(0, L - 1))))))
    def test_two_share_a_letter_if_and_only_if_they_do_not_differ(self, drawn: tuple[int, set[tuple[int, int]]]) -> None:
        L, edges = drawn
        different = {frozenset((NAMES[i], NAMES[j])) for i, j in edges if i != j}
        found = letters(NAMES[:L], [tuple(sorted(pair)) for pair in sorted(different, key=sorted)])  # type: ignore[misc]
        assert all(found.values()) and "a" in found["a"]
        for i, a in enumerate(NAMES[:L]):
            for b in NAMES[:i]:
                assert bool(set(found[a]) & set(found[b])) == (frozenset((a, b)) not in different)


def folds_that_share_molecules(trials: int, L: int, seed: int) -> list[Scores]:
    """Equal learners: each has an error of its own on each of 100 molecules; the means over the folds of 5 x 5 cross-validation."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(trials):
        error = rng.standard_normal((100, L))
        folds = [error[part].mean(0) for _ in range(5) for part in rng.permutation(100).reshape(5, 20)]
        made.append(Scores(np.array(folds), NAMES[:L], 5, 0.25))
    return made


@pytest.mark.parametrize(
    ("finds", "L", "trials"),
    [
        (lambda s: paired(s, "a", "b").differ, 2, 400),
        (lambda s: practical(s, "a", "b", 0).better > 0.975 or practical(s, "a", "b", 0).worse > 0.975, 2, 400),
        (lambda s: anova(s).p < 0.05, 4, 400),
        (lambda s: friedman(s).p < 0.05, 4, 400),
        (lambda s: len(diagram(s).bars) != 1 or diagram(s).bars[0] != (0, 3), 4, 200),
        (lambda s: any(pair.differ for pair in pairs(s)), 3, 60),
        (lambda s: min(holm([paired(s, "a", name).p for name in "bcd"])) < 0.05, 4, 100),
    ],
    ids=["paired", "practical", "anova", "friedman", "diagram", "pairs", "holm"],
)
def test_equal_learners_are_rarely_told_apart_and_often_if_the_overlap_is_forgotten(
    finds: Callable[[Scores], bool], L: int, trials: int
) -> None:
    made = folds_that_share_molecules(trials, L, seed=1)
    assert np.mean([finds(s) for s in made]) <= 0.08
    assert np.mean([finds(replace(s, overlap=0)) for s in made[:60]]) > 0.25


def test_an_effect_interval_that_cannot_be_computed_is_missing() -> None:
    """With one degree of freedom scipy's noncentral t is not a number far out; the test itself stands."""
    found = paired(Scores(np.array([[0.64, 0.8], [0.6, 0.7600001]]), ("a", "b"), 2, 1.0), "a", "b")
    assert math.isnan(found.effect_low) or math.isnan(found.effect_high)
    assert found.differ and found.p < 0.001 and found.low < found.difference < found.high
