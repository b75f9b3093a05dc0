"""`heliograph compare` writes its report, `heliograph report` writes it again from what is on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph import cli
from tests.train.conftest import MOLECULES


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(a) for a in args])
    return int(stopped.value.code or 0)


def test_a_comparison_leaves_a_report_that_can_be_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("heliograph.train.baselines.ROUNDS", 10)
    table, folder = tmp_path / "table.csv", tmp_path / "comparison"
    table.write_text("smiles,y\n" + "".join(f"{s},{len(s) + 0.1 * (k % 7):.1f}\n" for k, s in enumerate(MOLECULES)))
    asked = ["compare", table, "--archs", "sgc", "--cv", "1x2", "--epochs", 1, "--num-workers", 0, "--accelerator", "cpu", "-o", folder]
    assert run(*asked) == 0
    assert f"report  {folder / 'report.html'}" in capsys.readouterr().out
    first = (folder / "report.html").read_text(encoding="utf-8")
    assert "Where they disagree most" in first and "sgc" in first
    assert run("report", folder, "-o", tmp_path / "again.html") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == first
