"""The report of every kind of result: it is written, whole, alone, offline, and no text in it becomes markup."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import report_cases as cases
from report_html import Page, check

from heliograph import report
from heliograph.errors import HeliographError
from heliograph.report import drawing
from heliograph.train.result import TrainResult


def written(name: str, folder: Path) -> tuple[str, Page]:
    html = report.write(cases.CASES[name](), folder / "report.html").read_text(encoding="utf-8")
    return html, Page(html)


@pytest.mark.parametrize("name", cases.CASES)
def test_every_kind_of_result_has_a_report(name: str, tmp_path: Path) -> None:
    html, page = written(name, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert len(html) < 1_000_000
    check(html, page)


@pytest.mark.parametrize("name", cases.CASES)
def test_a_result_from_disk_has_the_same_report(name: str, tmp_path: Path) -> None:
    made = cases.CASES[name]()
    made.save(tmp_path)
    first = report.write(made, tmp_path / "a.html").read_bytes()
    assert report.write(TrainResult.load(tmp_path), tmp_path / "b.html").read_bytes() == first


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    html, page = written("hostile", tmp_path)
    assert "<script>alert" not in html and "<svg onload" not in html
    assert "49" not in re.findall(r"\{\{ 7 \* 7 \}\}|\b49\b", page.text)
    assert cases.HOSTILE in page.text
    assert "C" * 500 not in html


def test_the_first_sentences_answer(tmp_path: Path) -> None:
    text = written("ensemble", tmp_path)[1].text
    assert "The typical error (RMSE) on 120 test molecules is 0.566 log mol/L (95 % interval 0.4" in text
    assert re.search(r"That is 79 % lower than the best baseline, the random forest on ECFP4 \(2\.73\)", text)
    assert "The ensemble of 5 gives each molecule an error bar: ± 1 standard deviation holds the truth for 48 %" in text
    assert "too short, multiply them by 2.3" in text


def test_a_better_baseline_is_said_plainly(tmp_path: Path) -> None:
    made = cases.regression(noise=9.0)
    text = Page(report.write(made, tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "higher than the best baseline" in text and "On this data the simpler model is the better one." in text


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert "There was no test part: these are validation figures." in written("no test", tmp_path)[1].text
    assert "RMSE can't be computed" in written("no labels", tmp_path)[1].text
    assert "nothing is known of its error" in written("nothing held back", tmp_path)[1].text


def test_replicates_have_mean_spread_and_wins(tmp_path: Path) -> None:
    text = written("replicates", tmp_path)[1].text
    assert "0.560 log mol/L on average over 5 splits, ± 0.047 (standard deviation over the splits)" in text
    assert "It is ahead of it on 4 of 5 splits." in text


def test_many_targets_do_not_explode(tmp_path: Path) -> None:
    html, page = written("617 targets", tmp_path)
    assert html.count("<svg") < 80
    assert "target 616" in page.text and "Plots of the first 12 of 617 targets" in page.text


def test_a_large_test_set_is_drawn_as_density(tmp_path: Path) -> None:
    html = written("large", tmp_path)[0]
    assert 'class="shade5"' in html and html.count("<circle") < 1500


def test_how_to_use_it_can_be_copied(tmp_path: Path) -> None:
    made = cases.regression(config=cases.CONFIG | {"output_dir": "my run"})
    text = Page(report.write(made, tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "heliograph predict 'my run' molecules.csv -o predictions.csv" in text
    assert "Predictor.load('my run/model.safetensors')" in text


def test_a_drawing_is_an_image_and_a_failure_is_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: list[str] = []

    def draw(structure: str, width: int, height: int) -> str:
        if structure == "CCO":
            raise RuntimeError("no drawing today")
        drawn.append(structure)
        return "<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'><script>alert(2)</script></svg>"

    monkeypatch.setattr("heliograph.chem.draw.draw_svg", draw)
    drawing.picture.cache_clear()
    html, page = written("ensemble", tmp_path)
    drawing.picture.cache_clear()
    assert drawn and "alert(2)" not in html
    images = [a for tag, a in page.tags if tag == "img"]
    assert images and all(a["src"].startswith("data:image/svg+xml;base64,") and a["alt"] for a in images)
    assert drawing.picture("") == "" and drawing.picture("C" * 1000) == ""


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.mkdir()
    with pytest.raises(HeliographError, match=re.escape(str(target))):
        report.write(cases.regression(10), target)
    assert not [p for p in tmp_path.iterdir() if p != target]


def test_reports_come_without_torch_and_plot_libraries() -> None:
    heavy = ("torch", "rdkit", "matplotlib", "plotly", "pandas", "sklearn")
    code = f"import heliograph.report.training, sys; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = [report.write(cases.regression(60, members=2), tmp_path / f"{k}.html").read_bytes() for k in range(2)]
    assert pages[0] == pages[1]


def test_the_result_is_not_changed(tmp_path: Path) -> None:
    made = cases.many(members=2)
    before = {part: p.y_true.copy() for part, p in made.predictions.items()}
    report.write(made, tmp_path / "r.html")
    for part, values in before.items():
        assert np.array_equal(values, made.predictions[part].y_true, equal_nan=True)
