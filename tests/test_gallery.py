"""The gallery: each page's claims hold at a small size; a page is short; and each is listed in docs/gallery.md."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
PAGES = sorted(p.stem for p in FOLDER.glob("*.py") if p.stem != "page")


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)


@pytest.mark.parametrize("name", PAGES)
def test_claims_hold(name: str) -> None:
    claims = importlib.import_module(name).claims(True)
    assert claims
    assert [str(c) for c in claims if not c.holds] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_short_and_listed(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    assert "\nIdea" in text.split('"""')[1]
    listed = (FOLDER.parent / "gallery.md").read_text(encoding="utf-8")
    assert f"](gallery/{name}.py)" in listed
    assert f"\n| {name} | " in listed  # whose saying it tries


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_and_draws(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / f"{name}.py"), "-o", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_a_false_claim_is_seen() -> None:
    page = importlib.import_module("page")
    assert not page.Claim("", 2.0, 1.0).holds
    assert not page.Claim("", float("nan"), 1.0).holds
    assert page.Claim("", 2.0, 1.0, at_least=True).holds
