"""The page of a diagnosis says what the text says, escapes what is a user's, and draws lines that can be seen."""

from __future__ import annotations

import re
from pathlib import Path

import networkx
import pytest
import torch

from heliograph import Graph, zoo
from heliograph.diagnose.findings import Finding
from heliograph.diagnose.page import Diagnosis, of_graph
from heliograph.model import Inputs
from heliograph.report.diagnosis import write

STYLE = Path(__file__).parents[2] / "src/heliograph/report/templates/style.css"


def test_a_bottleneck_is_on_the_page_with_its_advice_and_its_pictures(tmp_path: Path) -> None:
    graph = Graph.from_networkx(networkx.barbell_graph(8, 0))
    graph = graph.with_nodes(x=torch.ones(graph.N, 4))
    net = zoo.build("gin", Inputs(nodes=4, edges=0), out=1, args={"d": 8, "depth": 3}, level="node")
    found = of_graph(graph, net=net)
    assert "bottleneck" in found.names
    page = write(found, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Found: bottleneck" in page and "<code>heliograph rewire --method fosr</code>" in page
    assert page.count('<svg class="plot"') == 4
    assert "3 steps" in page
    for fact in found.facts:
        assert fact.partition(": ")[0].split(" ")[0] in page


def test_names_are_escaped_and_no_finding_says_what_was_looked_for(tmp_path: Path) -> None:
    odd = Diagnosis("<b>x</b>", ("a <i>fact</i>",), (Finding("leak", "<u>s</u>", "`<a>`"),), {})
    page = write(odd, tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search("<b>x|<i>fact|<u>s|<a>", page)
    assert "<code>&lt;a&gt;</code>" in page
    none = write(Diagnosis("one", (), (), {}), tmp_path / "none.html").read_text(encoding="utf-8")
    assert "No trouble found" in none and "heterophily" in none


@pytest.mark.parametrize("name", ["diagnosis", "potential", "onegraph", "training", "plots", "trust", "active"])
def test_every_line_that_a_report_draws_has_a_colour(name: str) -> None:
    text = (STYLE.parents[1] / f"{name}.py").read_text(encoding="utf-8")
    drawn = set(re.findall(r'(?:\.line\([^\n]*, |curves\.append\(\s*\(\s*)"([a-z0-9 ]+)"', text))
    coloured = set(re.findall(r"\.plot \.([a-z0-9]+)[^{]*\{[^}]*stroke:", STYLE.read_text(encoding="utf-8")))
    assert {word for style in drawn for word in style.split()[:1]} <= coloured
