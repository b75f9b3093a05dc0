"""What the report of generated molecules says: figures beside the reference's, random samples in 2D and 3D, distributions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from heliograph.generate.data import Molecules
from heliograph.generate.distributions import Distribution, distributions
from heliograph.generate.metrics import Figures, Share
from heliograph.generate.oracle import Asked
from heliograph.report import page
from heliograph.report.digits import count, fixed, number, shorten
from heliograph.report.drawing import picture
from heliograph.report.svg import Axis, Plot

SHOWN, SEED = 12, 0  # samples that are drawn, and which
COLOURS = {1: "#e8e8e8", 6: "#555b61", 7: "#3b62d9", 8: "#d9342b", 9: "#7fc44a", 15: "#e08a1e", 16: "#d6b21f", 17: "#36a93f", 35: "#8f3a2f"}
RADII = {1: 0.28, 6: 0.42}  # of balls, angstrom; others 0.45
PROTOCOLS = (
    "“lookup” reads bonds off distances by the table of Hoogeboom et al. 2022, “bonds” takes the bonds and charges that were written, "
    "“valid” asks RDKit to accept the molecule as it is, in one piece and with no hydrogen added."
)
CURVE = ("atoms stable, bonds", "molecules stable, bonds", "valid")


@dataclass(frozen=True)
class Content:
    """All that a report shows. `steps`: number of steps -> shares, where a generator was sampled with several."""

    name: str
    samples: Molecules
    figures: Figures
    reference: Molecules | None = None
    of_reference: Figures | None = None
    asked: Sequence[Asked] = ()
    steps: Mapping[int, Mapping[str, Share]] | None = None


def write(content: Content, path: Path) -> Path:
    """Draw generated molecules into one HTML file. Returns the path."""
    shares, reasons = content.figures.shares, Counter(r.split(" #")[0] for r in content.figures.reasons if r)
    return page.write(
        "generation.html",
        {
            "title": f"Generated molecules: {shorten(content.name, 60)}",
            "finished": "",
            "kind": "generation",
            "headline": {"lead": _lead(content), "rest": [], "figures": _tiles(shares)},
            "protocols": PROTOCOLS,
            "rows": _rows(content),
            "reference": content.of_reference is not None,
            "reasons": [(shorten(reason, 70), count(n)) for reason, n in reasons.most_common(5)],
            "seed": SEED,
            "cards": _cards(content),
            "oracle": _oracle(content.asked),
            "steps": _steps(content.steps) if content.steps else None,
            "about_steps": _about_steps(content.steps) if content.steps else "",
            "panels": [(d.name, _panel(d)) for d in distributions(content.samples, content.reference)],
            "viewer": Markup(files("heliograph.report").joinpath("templates/view3d.js").read_text(encoding="utf-8")),
        },
        path,
    )


def _lead(content: Content) -> str:
    n, valid = len(content.samples), content.figures.shares["valid"]
    said = f"Of {count(n)} molecules, {fixed(100 * valid.value, 1)} % are valid as drawn"
    if content.of_reference is None:
        return said + "."
    return said + f"; of the reference, {fixed(100 * content.of_reference.shares['valid'].value, 1)} %."


def _tiles(shares: Mapping[str, Share]) -> list[tuple[str, str]]:
    wanted = ("molecules stable, bonds", "valid", "unique of the valid", "novel of the unique")
    return [(f"{fixed(100 * shares[name].value, 1)} %", name) for name in wanted if name in shares and shares[name].n]


def _rows(content: Content) -> list[dict[str, str]]:
    other = content.of_reference.shares if content.of_reference else {}
    rows = []
    for name, share in content.figures.shares.items():
        low, high = share.interval
        beside = f"{fixed(100 * other[name].value, 1)} %" if name in other else ""
        interval = f"{fixed(100 * low, 1)} to {fixed(100 * high, 1)} %"
        rows.append({"name": name, "value": f"{fixed(100 * share.value, 1)} %", "interval": interval, "reference": beside})
    return rows


def _cards(content: Content) -> list[dict[str, Any]]:
    m, f = content.samples, content.figures
    cards = []
    for k in np.sort(np.random.default_rng(SEED).permutation(len(m))[:SHOWN]).tolist():
        at, part = m.atoms(k), m.bonds_of(k)
        pos = m.pos[at] - m.pos[at].mean(0)
        atoms = [
            [*(round(float(v), 3) for v in x), RADII.get(int(z), 0.45), COLOURS.get(int(z), "#b36ad6")]
            for x, z in zip(pos, m.z[at], strict=True)
        ]
        bonds = [[int(i), int(j), int(o)] for (i, j), o in zip(m.bonds[part], m.order[part], strict=True)]
        text = f.smiles[k] or f.reasons[k]
        cards.append(
            {
                "number": k + 1,
                "atoms": json.dumps(atoms),
                "bonds": json.dumps(bonds),
                "image": picture(f.smiles[k]) if f.smiles[k] else "",
                "text": shorten(text, 90),
                "stable": "yes" if f.stable_bonds[k] else "no",
                "valid": "yes" if f.smiles[k] else "no",
            }
        )
    return cards


def _panel(d: Distribution) -> Markup:
    if d.categories:
        return _bars(d)
    every = np.concatenate([d.samples, *([] if d.reference is None else [d.reference])])
    if d.whole:
        edges = np.arange(every.min() - 0.5, every.max() + 1)
    else:
        edges = np.linspace(float(np.quantile(every, 0.002)), float(np.quantile(every, 0.998)) + 1e-9, 41)
    shares = [100 * np.histogram(values, edges)[0] / max(len(values), 1) for values in (d.samples, d.reference) if values is not None]
    plot = Plot(Axis.fit(edges, d.unit), Axis.fit(np.concatenate(shares), "%", zero=True), d.name, height=280)
    titles = [f"{number(a, 3)} to {number(b, 3)}: {fixed(s, 2)} %" for a, b, s in zip(edges, edges[1:], shares[0], strict=False)]
    plot.boxes(edges[:-1], edges[1:], np.zeros(len(edges) - 1), shares[0], "bar", titles)
    plot.legend("bar", "samples", "bar")
    if d.reference is not None:
        plot.line((edges[:-1] + edges[1:]) / 2, shares[1], "mark")
        plot.legend("mark", "reference")
    return plot.svg()


def _bars(d: Distribution) -> Markup:
    n = len(d.categories)
    shares = [100 * np.bincount(v.astype(int), minlength=n) / max(len(v), 1) for v in (d.samples, d.reference) if v is not None]
    top = Axis.fit(np.concatenate(shares), "%", zero=True)
    plot = Plot(Axis(-0.6, n - 0.4, d.unit, categories=d.categories), top, d.name, height=280)
    at = np.arange(n)
    titles = [f"{c}: {fixed(s, 2)} %" for c, s in zip(d.categories, shares[0], strict=True)]
    plot.boxes(at - 0.35, at + 0.35, np.zeros(n), shares[0], "bar", titles)
    plot.legend("bar", "samples", "bar")
    if d.reference is not None:
        plot.points(at, shares[1], "s1 full", [f"reference, {c}: {fixed(s, 2)} %" for c, s in zip(d.categories, shares[1], strict=True)], 4)
        plot.legend("s1 full", "reference", "dot")
    return plot.svg()


def _oracle(asked: Sequence[Asked]) -> dict[str, Any] | None:
    if not asked:
        return None
    rows, plots = [], []
    for a in asked:
        there = np.isfinite(a.got)
        rows.append(
            {
                "name": a.name,
                "n": count(len(a.asked)),
                "computed": count(int(there.sum())),
                "mae": number(a.mae, 3),
                "shuffled": number(a.shuffled, 3),
                "ratio": fixed(a.mae / a.shuffled, 2) if a.shuffled > 0 else "",
            }
        )
        axis = Axis.fit(np.concatenate([a.asked[there], a.got[there]]), f"{a.name} asked, {a.unit}")
        plot = Plot(axis, Axis(axis.low, axis.high, f"{a.name} computed, {a.unit}"), f"{a.name}: asked and got", height=340)
        plot.line([axis.low, axis.high], [axis.low, axis.high], "ideal")
        told = [f"asked {number(x)}, got {number(y)}" for x, y in zip(a.asked[there], a.got[there], strict=True)]
        plot.points(a.asked[there], a.got[there], "dot", told)
        plots.append((f"{a.name}, GFN2-xTB of the geometry as it was drawn", plot.svg()))
    about = (
        "GFN2-xTB computed each sample where it lies, nothing relaxed. What could not be computed is counted, and is no part of the mean "
        "error."
    )
    return {"rows": rows, "plots": plots, "about": about}


def _steps(curve: Mapping[int, Mapping[str, Share]]) -> Markup:
    x = np.array(sorted(curve), dtype=float)
    plot = Plot(Axis.fit(x, "steps", log=True), Axis(0.0, 100.0, "%"), "Quality against steps", height=320)
    for k, name in enumerate(CURVE):
        shares = [curve[int(n)][name] for n in x]
        plot.line(x, np.array([100 * s.value for s in shares]), f"s{k} series")
        titles = [f"{name}, {int(n)} steps: {fixed(100 * s.value, 1)} %" for n, s in zip(x, shares, strict=True)]
        plot.points(x, [100 * s.value for s in shares], f"s{k} full", titles, 3)
        plot.legend(f"s{k} series", name)
    return plot.svg()


def _about_steps(curve: Mapping[int, Mapping[str, Share]]) -> str:
    n = next(iter(curve.values()))["valid"].n
    return f"{count(n)} molecules at each number of steps, the same seed."
