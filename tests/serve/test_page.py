"""The page, driven as a person would: no error in the console, nothing asked of another machine."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import heliograph
from tests.serve.browser import Browser
from tests.serve.conftest import Running

STATIC = Path(heliograph.__file__).parent / "serve" / "static"
ROOT = Path(__file__).parents[2]


def test_vendored_files_are_what_they_say() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "fetch_vendor.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    packages = json.loads((STATIC / "vendor" / "vendor.json").read_text())
    listed = {f"{name}/{file}" for name, package in packages.items() for file in package["files"]}
    assert {str(f.relative_to(STATIC / "vendor")) for f in (STATIC / "vendor").rglob("*") if f.is_file()} == listed | {"vendor.json"}


def test_the_page_asks_nobody_else(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "<script type=\"module\" src=\"/static/app.js\">" in page.text
    for file in [*STATIC.glob("*.html"), *STATIC.glob("*.js"), *STATIC.glob("*.css")]:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "innerHTML" not in text and "eval(" not in text
        assert client.get(f"/static/{file.name}").status_code == 200
    served = client.get("/static/vendor/openchemlib/openchemlib.js").content
    assert hashlib.sha256(served).hexdigest() in (STATIC / "vendor/vendor.json").read_text()


@pytest.fixture
def both(models: Path) -> Iterator[Running]:
    one = Running(models / "one", f"second={models / 'other'}")
    yield one
    one.process.terminate()
    one.process.wait()
    if one.process.stderr is not None:
        one.process.stderr.close()


@pytest.mark.slow
def test_draw_predict_compare_batch_download(both: Running, tmp_path: Path) -> None:
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(both.url)
        browser.wait("document.querySelectorAll('#examples button').length")
        first = browser.js("return performance.getEntriesByType('resource').reduce((sum, e) => sum + e.transferSize, 0)")
        assert first < 1_600_000
        browser.js("document.querySelector('#smiles').focus()")
        browser.keys("c1ccncc1\ue007")  # Enter
        browser.wait("document.querySelectorAll('.value').length == 4")  # two models, two targets
        assert browser.js("return document.querySelectorAll('.difference').length") == 2
        browser.click(".why")
        browser.wait("document.querySelector('.because')")
        assert "fidelity" in browser.js("return document.querySelector('.because').textContent")
        assert "contribute" in browser.js("return document.querySelector('#picture img').alt")
        browser.click("#draw")
        drawn = "[...document.querySelectorAll('#editor, #editor *')].some((e) => e.shadowRoot || e.tagName === 'CANVAS')"
        browser.wait(f"!document.querySelector('#draw').disabled && {drawn}")
        before = browser.js("return document.querySelector('#smiles').value")
        browser.js("document.querySelector('#editor').scrollIntoView()")
        left, top = browser.js("const r = document.querySelector('#editor').getBoundingClientRect(); return [r.left, r.top]")
        browser.press(int(left) + 330, int(top) + 330)  # a bond, in the open
        browser.wait(f"document.querySelector('#smiles').value != {json.dumps(before)}")
        browser.wait("document.querySelectorAll('.value').length == 4")
        batch_of_a_thousand(browser, both)
        browser.click("#tab-playground")
        browser.wait("document.querySelectorAll('#states .node').length == 12")
        browser.js("document.querySelector('#states .node').focus()")
        browser.keys("\ue007")
        browser.wait("document.querySelectorAll('#influence rect').length == 4")
        for width in (1280, 390):
            browser.size(width, 844)
            assert browser.js("return document.documentElement.scrollWidth") <= width
        asked = browser.js("return performance.getEntriesByType('resource').map((e) => e.name)")
        assert asked and all(name.startswith((both.url, "data:", "blob:")) for name in asked)
        assert browser.errors() == []
    finally:
        browser.close()


def batch_of_a_thousand(browser: Browser, service: Running) -> None:
    """Upload a table by hand of the page's own code, wait, and read what would be downloaded."""
    rows = [f'{"C" * (k % 30 + 1)}O,"number {k}, say"' for k in range(999)] + ["nonsense,last"]
    browser.click("#tab-batch")
    browser.js("document.querySelector('#lines').value = arguments[0]", "smiles,note\n" + "\n".join(rows))
    browser.js("URL.createObjectURL = (blob) => { window.saved = blob.text(); return 'blob:none'; }")
    browser.js("HTMLAnchorElement.prototype.click = () => {}")
    browser.click("#run")
    browser.wait("!document.querySelector('#save').disabled", 120)
    browser.click("#save")
    found = list(csv.DictReader(io.StringIO(browser.js("return window.saved"))))
    assert len(found) == 1000 and [row["note"] for row in found[:2]] == ["number 0, say", "number 1, say"]
    assert found[-1]["reason"] and not found[-1]["a_pred"] and all(row["a_pred"] for row in found[:-1])
    assert "1,000 of 1,000" in browser.js("return document.querySelector('#said').textContent")
    assert service.url
