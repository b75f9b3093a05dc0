"""Explained molecules as one page: drawn, in one colour scale, each with its sum and its fidelity;
and as a table.
"""

from __future__ import annotations

import base64
import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.explain import Explained
from heliograph.explain.colours import colours, scale_of
from heliograph.files import atomic
from heliograph.report import page
from heliograph.report.digits import number, shorten

BARELY = 0.1  # of fidelity above that of contributions dealt at random, below which a method counts as no better
WIDTH, HEIGHT = 280, 210


def write(found: Sequence[Explained], about: dict[str, str], path: Path) -> Path:
    """Write explanations to NAME.html or NAME.csv. `about`: "model", "method", "target", "unit"."""
    if path.suffix == ".csv":
        return _table(found, path)
    scale = scale_of(found)
    cards = [_card(one, scale, about["unit"]) for one in found]
    content: dict[str, Any] = {
        "title": f"Why {shorten(about['target'], 60)}",
        "kind": "explanation",
        "finished": "",
        "headline": {"lead": verdict(found, about["method"]), "rest": [], "figures": []},
        "about": about,
        "scale": number(scale),
        "cards": cards,
    }
    return page.write("explained.html", content, path)


def verdict(found: Sequence[Explained], method: str) -> str:
    """How far the contributions agree with the network, in a sentence."""
    own = np.array([one.fidelity for one in found])
    chance = np.array([one.by_chance for one in found])
    there = np.isfinite(own) & np.isfinite(chance)
    if there.sum() < 3:
        return "There are too few molecules of four atoms or more to say how far these contributions may be believed."
    gain = own[there] - chance[there]
    low = float(gain.mean() - 2 * gain.std(ddof=1) / math.sqrt(len(gain)))
    figures = f"{number(float(own[there].mean()), 2)} on average, against {number(float(chance[there].mean()), 2)}"
    told = f"Fidelity, the correlation of what hiding atoms changes with their contributions: {figures} for contributions dealt at random."
    if low < BARELY:
        return f"{method} is hardly better than chance on this model: these contributions explain nothing. {told}"
    return told


def _card(one: Explained, scale: float, unit: str) -> dict[str, Any]:
    image = "" if one.reason else _picture(one, colours(one, scale))
    tail = f" {unit}" if unit else ""
    return {
        "image": image,
        "text": shorten(one.text, 80),
        "row": str(one.row + 1),
        "reason": one.reason,
        "prediction": number(one.prediction) + tail,
        "baseline": number(one.baseline) + tail,
        "sum": number(one.sum) + tail,
        "spread": number(float(one.spread.mean()) if len(one.spread) else math.nan),
        "fidelity": number(one.fidelity, 2),
        "by_chance": number(one.by_chance, 2),
        "fragment": f"{len(one.fragment)} of {len(one.atoms)} atoms" if one.fragment else "",
        "new": str(len(one.new)) if one.new else "",
        "partners": [
            {
                "change": p.change,
                "smiles": shorten(p.smiles, 60),
                "label": number(p.label) + tail,
                "step": f"{'+' if p.step >= 0 else ''}{number(p.step)}",
            }
            for p in one.partners
        ],
    }


def _picture(one: Explained, marks: dict[int, tuple[float, float, float]]) -> str:
    from heliograph.chem.draw import draw_svg

    svg = draw_svg(one.text, WIDTH, HEIGHT, colours=marks, ringed=one.new, fragment=one.fragment)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")


def _table(found: Sequence[Explained], path: Path) -> Path:
    """One line a molecule; `atom_scores` are those of its atoms in their order in the SMILES, with
    blanks between; `fragment` and `new_atoms` are numbers of atoms, from 1; `pairs`: change, molecule, label and step of
    the prediction of each partner.
    """
    columns = [
        "row",
        "smiles",
        "prediction",
        "baseline",
        "sum",
        "fidelity",
        "fidelity_by_chance",
        "atom_scores",
        "atom_std",
        "fragment",
        "new_atoms",
        "pairs",
        "reason",
    ]
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for one in found:
            figures = [one.prediction, one.baseline, one.sum, one.fidelity, one.by_chance]
            texts = ["" if one.reason or math.isnan(v) else f"{v:.9g}" for v in figures]
            lists = [" ".join(f"{v:.6g}" for v in values) for values in (one.atoms, one.spread)]
            marks = [" ".join(str(k + 1) for k in atoms) for atoms in (one.fragment, one.new)]
            pairs = "; ".join(partner.text for partner in one.partners)
            writer.writerow([one.row + 1, one.text, *texts, *lists, *marks, pairs, one.reason])
    return path
