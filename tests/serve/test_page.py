"""The page, driven as a person would: no error in the console, nothing asked of another machine."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

import heliograph
from heliograph import wl
from heliograph.graph import Graph
from heliograph.learn.loop import node_similarity
from heliograph.serve import playground
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
    assert page.status_code == 200 and '<script type="module" src="/static/app.js">' in page.text
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
    one.close()


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


ASK = """
return import('/static/api.js').then(({ ask }) => Promise.all(arguments[0].map((game) => ask('/v1/playground', game))))
"""


@pytest.mark.slow
def test_the_playground_computes_what_it_says_through_the_browser(both: Running, tmp_path: Path) -> None:
    """1-WL colours of 500 random graphs, states of the zoo's layers, the curve; what is drawn is what was computed."""
    rng = np.random.default_rng(0)
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(both.url)
        browser.wait("document.querySelectorAll('#examples button').length")
        for first in range(0, 500, 20):
            games = []
            for seed in range(first, first + 20):
                edges = [list(pair) for pair in nx.gnm_random_graph(int(rng.integers(4, 16)), int(rng.integers(2, 20)), seed=seed).edges]
                layer = str(rng.choice(playground.LEARNED))
                games.append({"edges": edges, "layer": layer, "steps": 4, "node": 0, "triangles": bool(rng.random() < 0.3)})
            for game, found in zip(games, browser.js(ASK, games), strict=True):
                graph = playground.graph_of(playground.own([(i, j) for i, j in game["edges"]]), game["triangles"])
                check(game, found, graph)
        browser.click("#tab-playground")
        shown(browser, "a graph of your own", "gcn")
        browser.js("document.querySelector('#game-edges').value = '1-2, 2-3 3-1 3-4'")
        browser.js("document.querySelector('#game-edges').dispatchEvent(new Event('input'))")
        browser.wait("document.querySelectorAll('#colours .node').length == 4")
        browser.js("document.querySelectorAll('#states .node')[2].dispatchEvent(new Event('click'))")
        browser.wait("document.querySelector('#vector').textContent.startsWith('State of node 3')")
        graph = playground.graph_of(playground.own([(0, 1), (1, 2), (2, 0), (2, 3)]))
        for step in range(1, 9):
            browser.click("#forth")
            text = browser.js("return document.querySelector('#vector').textContent").replace("\u2212", "-")
            state = playground.states(graph, "gcn", 8)[step][2]
            np.testing.assert_allclose([float(x) for x in text.partition(":")[2].split()], state.numpy(), rtol=1e-5, atol=1e-6)
        colours = "[...document.querySelectorAll('#colours .node')].map((e) => e.getAttribute('aria-label').split(' ').at(-1)).join()"
        assert browser.js(f"return {colours}") == "1,1,2,3"
        shown(browser, "hexagon and two triangles", "gin")
        browser.wait(f"{colours} == '{','.join('1' * 12)}'")
        browser.js("document.querySelector('#triangles').focus()")
        browser.keys(" ")
        browser.wait(f"{colours} == '{','.join('1' * 6 + '2' * 6)}'")
        for width in (1280, 390):
            browser.size(width, 1500)
            assert browser.js("return document.documentElement.scrollWidth") <= width
            browser.shot(tmp_path / f"playground-{width}.png")
        assert browser.errors() == []
    finally:
        browser.close()


def shown(browser: Browser, graph: str, layer: str) -> None:
    """Choose a graph and a layer by the page's own lists."""
    browser.wait("document.querySelectorAll('#layer option').length")
    for which, value in (("graph", graph), ("layer", layer)):
        chosen = "const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('change'))"
        browser.js(chosen, which, value)


def check(game: dict[str, Any], found: dict[str, Any], graph: Graph) -> None:
    """Against `wl`, the zoo's own forward pass, and `node_similarity` of its states."""
    rounds = list(wl.refinements(graph))
    wanted = [playground.numbered(rounds[min(k, len(rounds) - 1)].tolist()) for k in range(5)]
    assert found["colours"] == wanted, game
    net = playground.network(game["layer"], graph.nodes["x"].shape[1], 4)
    with torch.no_grad():
        final = net.states(graph).nodes["h"].flatten(1)
    np.testing.assert_allclose(found["state"][-1], final[0].numpy(), rtol=1e-5, atol=1e-5)
    similar = node_similarity(final.double(), graph.topology.nodes_by_graph)
    assert math.isnan(similar) if found["similarity"][-1] is None else found["similarity"][-1] == pytest.approx(similar, abs=1e-5)
