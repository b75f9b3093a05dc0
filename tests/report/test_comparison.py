"""The report of a comparison: every section, numbers that agree with the result, alone, offline, and no text in it becomes markup."""

from __future__ import annotations

import re
from pathlib import Path

import comparison_cases as cases
import numpy as np
import pytest
import report_cases
from report_html import Page, check

from heliograph import report
from heliograph.compare.result import CompareResult
from heliograph.compare.statistics import diagram
from heliograph.compare.verdict import chosen, verdict
from heliograph.report.comparison.cost import front
from heliograph.report.comparison.scale import Scale
from heliograph.report.digits import percent

SECTIONS = ["answer", "ranking", "pairs", "cost", "bounds", "more", "molecules", "asked", "use"]


def page_of(result: CompareResult, folder: Path) -> tuple[str, Page]:
    html = report.write_comparison(result, folder / "report.html").read_text(encoding="utf-8")
    return html, Page(html)


@pytest.mark.parametrize("name", cases.CASES)
def test_every_kind_of_comparison_has_a_report(name: str, tmp_path: Path) -> None:
    result = cases.CASES[name]()
    html, page = page_of(result, tmp_path)
    assert len(html) < 1_000_000
    check(html, page)
    found = [a["id"] for tag, a in page.tags if tag == "section"]
    left_out = {s for s, there in {"molecules": result.disagreements, "more": result.curves}.items() if not there}
    assert found == [s for s in SECTIONS if s not in left_out]
    if name != "hostile":
        assert "http" not in page.text
    for sentence in verdict(result):
        assert re.sub(r"\s+", " ", sentence) in page.text
    assert page.text.index(re.sub(r"\s+", " ", verdict(result)[0])) < page.text.index("difference to the best")


@pytest.mark.parametrize("name", cases.CASES)
def test_a_comparison_from_disk_has_the_same_report(name: str, tmp_path: Path) -> None:
    made = cases.CASES[name]()
    made.save(tmp_path)
    first = report.write_comparison(made, tmp_path / "a.html").read_bytes()
    assert report.rewrite(tmp_path, tmp_path / "b.html").read_bytes() == first


def test_a_folder_of_a_training_has_the_report_of_a_training(tmp_path: Path) -> None:
    report_cases.regression(20).save(tmp_path)
    assert "dmpnn on up.csv" in report.rewrite(tmp_path, tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["regression", "binary", "multi-task"])
def test_the_numbers_are_those_of_the_result(name: str, tmp_path: Path) -> None:
    result = cases.CASES[name]()
    scale = Scale.of(result)
    text = page_of(result, tmp_path)[1].text
    best = result.ranking[0]
    for learner in result.ranking[1:]:
        pair = result.pair(learner, best)
        difference = f"{scale.signed(pair.difference)} {scale.signed(pair.low)} to {scale.signed(pair.high)} {result.letters[learner]}"
        assert f"{learner} {scale.value(result.mean(learner))} {difference}" in text
    for pair in result.pairs:
        odds = result.practical(pair.a, pair.b)
        said = " / ".join(percent(v).replace("\u00a0%", "") for v in (odds.better, odds.equivalent, odds.worse)).replace("\u00a0", " ")
        row = f"{pair.a} {pair.b} {scale.signed(pair.difference)} {scale.signed(pair.low)} to {scale.signed(pair.high)}"
        assert re.search(re.escape(row) + r".{0,60}?" + re.escape(said), text)
    found = diagram(result.table)
    assert f"critical distance {found.distance:.2f}" in text
    assert all(f"{name}: mean rank {rank:.2f}" in text for name, rank in found.ranks)


def test_better_is_on_the_same_side_for_errors_and_scores(tmp_path: Path) -> None:
    for kind, sign in (("regression", "+"), ("binary", "−")):
        text = page_of(cases.comparison(kind), tmp_path)[1].text
        assert re.search(rf"random forest [\d.]+ \{sign}0\.1\d+ ", text)
    assert "RMSE floor, test folds" in page_of(cases.comparison(), tmp_path)[1].text
    assert "ROC-AUC ceiling, test folds" in page_of(cases.comparison("binary"), tmp_path)[1].text


def test_every_fold_has_its_point(tmp_path: Path) -> None:
    result = cases.comparison()
    html, page = page_of(result, tmp_path)
    for j in (0, 7, 24):
        assert f"dmpnn, fold {result.folds[j]}: {Scale.of(result).value(float(result.table.of('dmpnn')[j]))}" in page.text
    assert html.count('class="line fold"') == 25


def test_front() -> None:
    assert front([3.0, 2.0, 1.0, 2.5], [1.0, 2.0, 9.0, 3.0]) == [0, 1, 2]
    assert front([1.0, 1.0, 0.5], [1.0, 2.0, 2.0]) == [0, 2]
    assert front([2.0, 1.0], [1.0, 1.0]) == [1]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert "the bound of 1-WL says nothing of them" in page_of(cases.CASES["no bounds"](), tmp_path)[1].text
    assert "No network on table10_1 features here is known to be bound by it" in page_of(cases.CASES["floor undefined"](), tmp_path)[1].text
    text = page_of(cases.CASES["undefined on folds"](), tmp_path)[1].text
    assert "(19 folds)" in text and "gatv2 0.7" in text  # accuracy of gin lacks six folds, that of gatv2 all
    assert "No two molecules with unequal labels look the same" in page_of(cases.CASES["one round"](), tmp_path)[1].text


def test_twins_and_disagreements_are_drawn(tmp_path: Path) -> None:
    result = cases.comparison()
    _, page = page_of(result, tmp_path)
    images = [a for tag, a in page.tags if tag == "img"]
    assert len(images) == 2 * len(result.bounds[0].twins) + len(result.disagreements)
    assert all(a["src"].startswith("data:image/svg+xml;base64,") and a["alt"] for a in images)
    one = result.disagreements[0]
    low = min(one.among, key=lambda name: one.answers[name])
    assert f"lowest, {low}" in page.text and "1 more pair" in page.text
    named = cases.comparison("binary")
    assert re.search(r"\byes\b", page_of(named, tmp_path)[1].text)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    html, page = page_of(cases.hostile(), tmp_path)
    assert "<script>alert" not in html and "<svg onload" not in html
    assert report_cases.HOSTILE in page.text and "C" * 500 not in html


def test_how_to_go_on_can_be_copied(tmp_path: Path) -> None:
    made = cases.comparison()
    text = page_of(made, tmp_path)[1].text
    assert "heliograph compare --resume -o 'my run' --archs NAME" in text
    assert f"heliograph train --from 'my run' -o {chosen(made)}-run" in text


def test_learning_curves_and_depth(tmp_path: Path) -> None:
    made = cases.asked_for_more()
    text = page_of(made, tmp_path)[1].text
    curve = next(c for c in made.curves if c.learner == chosen(made))
    factor = 100 * (curve.twice[0] - 1)
    assert f"{abs(factor):.0f}\u00a0%" in text or f"{abs(factor):.0f} %" in text
    assert all(re.sub(r"\s+", " ", sentence) in text for one in made.propagation for sentence in one.sentences())


def test_what_trials_chose(tmp_path: Path) -> None:
    text = page_of(cases.tuned(), tmp_path)[1].text
    assert "What trials chose" in text and "max_lr 0.0021, depth 3" in text and "as it comes" in text
    assert "What trials chose" not in page_of(cases.comparison(), tmp_path)[1].text


def test_the_same_comparison_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = [report.write_comparison(cases.comparison(), tmp_path / f"{k}.html").read_bytes() for k in range(2)]
    assert pages[0] == pages[1]


def test_the_result_is_not_changed(tmp_path: Path) -> None:
    made = cases.comparison(targets=2)
    before = {name: values.copy() for name, values in made.scores.items()}
    page_of(made, tmp_path)
    assert all(np.array_equal(values, made.scores[name]) for name, values in before.items())
