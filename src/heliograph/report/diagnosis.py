"""The page of a diagnosis: what is wrong and what to try, then every measure, with four pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from heliograph.diagnose.network import Network
from heliograph.diagnose.page import Diagnosis
from heliograph.diagnose.structure import Structure
from heliograph.report import page
from heliograph.report.digits import count, listed, number, percent
from heliograph.report.svg import Axis, Plot
from heliograph.report.words import Headline

LONGEST_NAME = 72  # characters of a fact's name in the table
LOOKED_FOR = "bottleneck, over-smoothing, 1-WL twins, copies across the parts of a split, too few steps, heterophily"


def write(found: Diagnosis, path: str | Path) -> Path:
    """Draw `found` into one HTML file. Returns the path; HeliographError where it can't be written."""
    with np.errstate(all="ignore"):
        return page.write("diagnosis.html", _content(found), path)


def _content(found: Diagnosis) -> dict[str, Any]:
    return {
        "title": found.title,
        "finished": "",
        "kind": "diagnosis",
        "headline": _headline(found),
        "findings": [(f.name, f.sentence, _coded(f"{f.try_[:1].upper()}{f.try_[1:]}.")) for f in found.findings],
        "facts": [_named(fact) for fact in found.facts],
        "figures": _figures(found),
    }


def _named(fact: str) -> tuple[str, str]:
    """A short name and what is said of it; "" and the whole sentence where none begins it."""
    name, _, rest = fact.partition(": ")
    return (name, rest) if rest and len(name) <= LONGEST_NAME else ("", fact)


def _coded(text: str) -> Markup:
    """Escape the text; what stands between backticks is code."""
    pieces = [escape(piece) for piece in text.split("`")]
    return Markup("").join(Markup(f"<code>{p}</code>") if k % 2 else p for k, p in enumerate(pieces))


def _headline(found: Diagnosis) -> Headline:
    structure = found.measures.get("structure")
    tiles: list[tuple[str, str]] = []
    if isinstance(structure, Structure):
        tiles = [
            (count(structure.nodes), "nodes"),
            (count(structure.edges), "edges"),
            (count(structure.parts), "part" if structure.parts == 1 else "parts"),
        ]
        if structure.edges:
            tiles.append((count(int(structure.diameter)), "steps between the farthest two"))
    names = list(dict.fromkeys(found.names))
    if not names:
        return Headline("No trouble found.", (f"Looked for: {LOOKED_FOR}.",), tuple(tiles))
    return Headline(f"Found: {listed(names, 6)}.", (), tuple(tiles))


def _figures(found: Diagnosis) -> list[tuple[Markup, str]]:
    structure, network = found.measures.get("structure"), found.measures.get("network")
    steps = network.steps if isinstance(network, Network) else 0
    drawn: list[tuple[Markup, str]] = []
    if isinstance(structure, Structure) and structure.edges:
        caption = "What K steps of message passing reach"
        if steps:
            caption += f"; the network has {steps}"
        drawn.append((_curve(structure.reach, "steps", "share of pairs reached", steps), caption))
        drawn.append((_curve(structure.colours, "rounds", "1-WL colours", log=True), "What 1-WL tells apart without features"))  # fmt: skip
    if isinstance(network, Network):
        if network.energy:
            caption = "Over-smoothing: how unlike neighbours' states are, step by step"
            drawn.append((_curve(network.energy, "step", "Dirichlet energy", log=True), caption))
        if len(network.jacobian) > 1:
            drawn.append((_jacobian(network), "Over-squashing: how far a node hears, beside what the graph allows"))  # fmt: skip
    return drawn


def _curve(values: Sequence[float] | np.ndarray, x: str, y: str, mark: int = 0, log: bool = False) -> Markup:
    at, v = np.arange(len(values)), np.asarray(values, dtype=np.float64)
    high = Axis.fit(v, y, log=log, zero=not log)
    plot = Plot(Axis(-0.3, max(len(v) - 0.7, mark + 0.3), x, integer=True), high, f"{y} by {x}", width=460, height=280)
    plot.line(at, v, "model")
    told = [f"{x} {k}: {percent(b) if 'share' in y else number(b, 4)}" for k, b in enumerate(v)]
    plot.points(at, v, "model solo", told, 3.5)
    if mark:
        plot.line([mark, mark], [high.low, high.high], "mark")
        plot.legend("mark", f"{mark} steps")
    return plot.svg()


def _jacobian(network: Network) -> Markup:
    at = np.arange(len(network.jacobian))
    both = np.concatenate([network.jacobian, network.bound])
    plot = Plot(Axis(-0.3, len(at) - 0.7, "distance", integer=True), Axis.fit(both[both > 0], "over that at distance 0", log=True),
                "Jacobian by distance", width=460, height=280)  # fmt: skip
    for values, style, name in ((network.jacobian, "model", "the network's Jacobian"), (network.bound, "train", "bound by the graph")):
        v = np.array([x if x > 0 else np.nan for x in values])
        plot.line(at, v, style)
        plot.points(at, v, f"{style} solo", [f"distance {k}: {number(b, 3)}" for k, b in enumerate(v)], 3.5)
        plot.legend(style, name)
    return plot.svg()
