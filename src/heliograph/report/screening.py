"""What the report of a screening says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from heliograph.report import page
from heliograph.report.digits import count, fixed, number, shorten
from heliograph.report.drawing import picture
from heliograph.report.svg import Axis, Plot

if TYPE_CHECKING:
    from heliograph.screen.best import Hit
    from heliograph.screen.result import Result

SHOWN = 24  # molecules that are drawn
BINS = 60


def write(result: Result, path: Path) -> Path:
    """Draw a screening into one HTML file. Returns the path."""
    library = ", ".join(name for name, _ in result.about.get("library", [])) or "a library"
    chosen = result.diverse if result.diverse is not None else result.hits
    seconds = result.seconds.get("screening", 0.0)
    figures = [(count(result.ranked), "rows ranked"), (count(len(result.hits)), "hits")]
    if result.diverse is not None:
        figures.append((count(len(result.diverse)), "of them, all different"))
    if seconds:
        figures.append((count(round(result.rows / seconds)), "rows a second"))
    best = f"the best scores {number(result.hits[0].score, 4)}" if result.hits else "nothing passed"
    content = {
        "title": f"Screening of {shorten(library, 80)}",
        "finished": "",
        "kind": "screening",
        "headline": {"lead": f"Ranked by {shorten(result.ranking, 120)}: {best}.", "rest": [], "figures": figures},
        "histogram": _histogram(result),
        "drawn": "The diverse choice, best first" if result.diverse is not None else "The best",
        "similar": None if result.most_similar is None else fixed(result.most_similar, 2),
        "cards": [_card(rank, hit, result.validated.get(hit.smiles, (None, ""))[0]) for rank, hit in enumerate(chosen[:SHOWN], 1)],
        "left": [("rows read", count(result.rows)), ("left out by --where", count(result.left_out))]
        + [(shorten(reason, 80), count(n)) for reason, n in result.reasons.items()],
        "filters": _filters(result),
        "filtered": count(result.filtered),
        "enrichment": _enrichment(result),
        "known": count(result.known) if result.known else "",
        "validation": _validation(result),
        "times": [(name, fixed(value, 1)) for name, value in result.seconds.items() if not name.startswith("filter ")],
    }
    return page.write("screening.html", content, path)


def _histogram(result: Result) -> Markup | None:
    """Scores of the library from samples of all its parts, and from where on they are hits."""
    if len(result.sample) < 2:
        return None
    values = np.array(result.sample)
    counts, edges = np.histogram(values, BINS)
    share = 100 * counts / counts.sum()
    plot = Plot(Axis.fit(edges, "score"), Axis.fit(share, "% of the library", zero=True), "Distribution of the scores", height=300)
    titles = [f"{number(a, 3)} to {number(b, 3)}: {fixed(s, 1)} %" for a, b, s in zip(edges, edges[1:], share, strict=False)]
    plot.boxes(edges[:-1], edges[1:], np.zeros(BINS), share, "bar", titles)
    if result.hits:
        last = result.hits[-1].score
        plot.line([last, last], [0, plot.y.high], "mark")
        plot.legend("mark", f"hits from {number(last, 3)} on")
    return plot.svg()


def _card(rank: int, hit: Hit, value: float | None = None) -> dict[str, Any]:
    shown = [(shorten(name, 24), _value(value)) for name, value in hit.cells.items() if name.endswith(("_pred", "_std", "in_domain"))][:4]
    shown += [("computed", _value(value))] if value is not None else []
    return {"image": picture(hit.smiles), "text": shorten(hit.smiles, 90), "rank": rank, "score": number(hit.score, 4), "shown": shown}


def _value(value: Any) -> str:
    return number(value, 3) if isinstance(value, float) else shorten(str(value), 20)


def _validation(result: Result) -> dict[str, Any] | None:
    """What physics said of the best: how many, and how the prediction agrees."""
    if result.validation is None:
        return None
    v = result.validation
    words = (("mae", "mean absolute error of the prediction"), ("mean_error", "mean error"), ("spearman", "rank correlation"))
    rows = [(text, number(v[k], 3)) for k, text in words if k in v]
    return {"computed": count(int(v["values"])), "asked": count(int(v["asked"])), "rows": rows}


def _filters(result: Result) -> list[tuple[str, str, str]]:
    found: Mapping[str, int] = result.rejected
    names = [name.removeprefix("filter ") for name in result.seconds if name.startswith("filter ")]
    return [(shorten(n, 60), count(found.get(n, 0)), fixed(result.seconds[f"filter {n}"], 1)) for n in names]


def _enrichment(result: Result) -> dict[str, Any] | None:
    if result.enrichment is None:
        return None
    e = result.enrichment
    rows = [(name, fixed(f.value, 3), f"{fixed(f.lower, 3)} to {fixed(f.upper, 3)}", fixed(f.best, 3)) for name, f in e.figures.items()]
    return {"n": count(e.n), "actives": count(e.actives), "rows": rows}
