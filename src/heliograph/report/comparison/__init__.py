"""What the report of a comparison says: the content of every section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph.compare.result import CompareResult
from heliograph.compare.verdict import chosen, verdict
from heliograph.report import page
from heliograph.report.comparison import asked, bounds, cost, curves, molecules, pairs, ranking
from heliograph.report.comparison.scale import Scale, short
from heliograph.report.digits import count, listed, plural, shorten, with_unit
from heliograph.report.words import Headline


def write(result: CompareResult, path: str | Path) -> Path:
    """Draw `result` into one HTML file. Returns the path; HeliographError where it can't be written."""
    return page.write("comparison.html", _content(result), path)


def _content(result: CompareResult) -> dict[str, Any]:
    scale = Scale.of(result)
    data = shorten(Path(str(result.config["data"]["data_path"])).name or "molecules", 60)
    return {
        "title": f"{plural(len(result.ranking), 'learner')} on {data}",
        "finished": shorten(result.finished.replace("T", " ")[:16], 16),
        "kind": f"comparison · {page.KINDS[result.kind]}",
        "headline": _headline(result, scale),
        "scale": scale,
        "unit": shorten(result.units[0], 30) if len(result.targets) == 1 and result.units else "",
        "folds": result.config["compare"]["cv"].replace("x", " × "),
        "rope": scale.with_unit(result.rope),
        "targets": listed([shorten(t, 40) for t in result.targets], 6),
        "ranking": ranking.table(result, scale),
        "ranking_figures": ranking.figures(result, scale),
        "metrics": ranking.metrics(result),
        "per_target": ranking.per_target(result),
        "settings": ranking.settings(result),
        "pairs": pairs.table(result, scale),
        "tests": pairs.tests(result),
        "diagram": pairs.ranks(result),
        "cost_figures": cost.figures(result, scale),
        "bounds": [bounds.section(result, bound) for bound in result.bounds],
        "propagation": [shorten(text, 400) for one in result.propagation for text in one.sentences()],
        "curves": curves.section(result, scale),
        "cards": molecules.cards(result),
        "asked": asked.asked(result),
        "go_on": asked.go_on(result),
        "versions": [(shorten(str(k), 40), shorten(str(v), 80)) for k, v in result.versions.items()],
    }


def _headline(result: CompareResult, scale: Scale) -> Headline:
    """The verdict, and a few large figures."""
    lead, *rest = verdict(result)
    best = result.ranking[0]
    tiles = [
        (with_unit(scale.value(result.mean(best)), scale.unit), f"{scale.label}, {short(best)}"),
        (short(chosen(result)), "network to train"),
    ]
    tiles += [(count(result.molecules), "molecules"), (count(len(result.folds)), "folds, the same for all")]
    return Headline(lead, tuple(rest), tuple(tiles))
