"""What the report of a simulation or a campaign says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from heliograph.report import page
from heliograph.report.digits import count, fixed, number, shorten
from heliograph.report.drawing import picture
from heliograph.report.svg import Axis, Plot

if TYPE_CHECKING:
    from heliograph.active.campaign import Campaign
    from heliograph.active.simulation import Curve, Simulation

SHOWN = 12  # molecules of a campaign that are drawn
TITLES = {"found": "wanted molecules found", "best": "best value", "rmse": "RMSE on what is never bought", "coverage": "held by 90 % bars"}


def write_simulation(result: Simulation, path: Path) -> Path:
    """Draw a simulation into one HTML file. Returns the path."""
    curves = {curve.acquisition: curve for curve in result.curves}
    last = {name: curve.mean["found"][-1] for name, curve in curves.items()}
    winner = max(last, key=lambda name: last[name])
    n = result.curves[0].labelled[-1]
    content = {
        "title": f"Active learning on {shorten(result.target, 60)}, simulated",
        "finished": "",
        "kind": "simulation",
        "headline": {"lead": _lead(result, curves, winner), "rest": result.notes, "figures": _figures(curves, winner, n)},
        "panels": [(TITLES[m], _panel(result.curves, m, result.repeats)) for m in TITLES if math.isfinite(result.curves[0].mean[m][0])],
        "rows": [_row(curve, curves.get("random")) for curve in sorted(result.curves, key=lambda c: -last[c.acquisition])],
        "about": f"{count(result.pool)} molecules could be bought, {count(result.wanted)} are wanted. {result.repeats} repeats from other "
        f"starts, the same for all; intervals are 95 % t intervals over them. Learner: {result.learner}.",
        "cards": [],
        "keys": [(curve.acquisition, f"s{k % 8}") for k, curve in enumerate(result.curves)],
    }
    return page.write("active.html", content, path)


def _lead(result: Simulation, curves: dict[str, Curve], winner: str) -> str:
    n = result.curves[0].labelled[-1]
    best = curves[winner]
    said = f"With {count(n)} labels, {winner} found {fixed(100 * best.mean['found'][-1], 0)} % of what is wanted"
    if (random := curves.get("random")) is None or winner == "random":
        return said + "."
    low, high = best.low["found"][-1], random.high["found"][-1]
    clear = math.isfinite(low) and low > high
    return said + f", random {fixed(100 * random.mean['found'][-1], 0)} %" + ("." if clear else "; their intervals overlap: no winner.")


def _figures(curves: dict[str, Curve], winner: str, n: int) -> list[tuple[str, str]]:
    figures = [(f"{fixed(100 * curves[winner].mean['found'][-1], 0)} %", f"found by {winner} with {count(n)} labels")]
    if "random" in curves and curves["random"].mean["found"][-1] > 0:
        ratio = curves[winner].mean["found"][-1] / curves["random"].mean["found"][-1]
        figures.append((f"{fixed(ratio, 1)} ×", "of what random found"))
    return figures


def _panel(curves: Sequence[Curve], measure: str, repeats: int) -> Markup:
    bars = len(curves) and math.isfinite(curves[0].low[measure][0]) and repeats >= 3
    values = np.concatenate([[*c.mean[measure], *(c.low[measure] + c.high[measure] if bars else [])] for c in curves])
    x = Axis.fit(curves[0].labelled, "labels bought")
    plot = Plot(x, Axis.fit(values, TITLES[measure]), f"{TITLES[measure]} by labels bought", height=320)
    for k, curve in enumerate(curves):
        n = np.array(curve.labelled, dtype=float)
        for end in (curve.low, curve.high) if bars else ():
            plot.line(n, end[measure], f"s{k % 8} faint")
        plot.line(n, curve.mean[measure], f"s{k % 8} series")
        titles = [f"{curve.acquisition}, {count(int(a))} labels: {number(b, 3)}" for a, b in zip(n, curve.mean[measure], strict=True)]
        plot.points(n, curve.mean[measure], f"s{k % 8} full", titles, 2.8)
    return plot.svg()


def _row(curve: Curve, random: Curve | None) -> dict[str, str]:
    found, base = curve.mean["found"], None if random is None else random.mean["found"][-1]
    half = next((n for n, f in zip(curve.labelled, found, strict=True) if f >= 0.5), None)
    return {
        "name": curve.acquisition,
        "found": f"{fixed(100 * found[-1], 1)} %",
        "interval": f"{fixed(100 * curve.low['found'][-1], 1)} to {fixed(100 * curve.high['found'][-1], 1)} %",
        "ratio": f"{fixed(found[-1] / base, 1)}" if base else "",
        "half": count(half) if half is not None else "not reached",
        "rmse": number(curve.mean["rmse"][-1], 3) if math.isfinite(curve.mean["rmse"][-1]) else "",
        "coverage": f"{fixed(100 * curve.mean['coverage'][-1], 0)} %" if math.isfinite(curve.mean["coverage"][-1]) else "",
    }


def write_campaign(result: Campaign, path: Path) -> Path:
    """Draw a campaign into one HTML file. Returns the path."""
    sign = 1.0 if result.goal == "max" else -1.0
    labelled = [row for row in result.bought if row["y"] is not None]
    ranked = sorted(labelled, key=lambda row: -sign * row["y"])
    best = ranked[0]
    figures = [
        (number(best["y"], 4), f"best value, bought in round {best['round']}"),
        (count(len(result.bought)), f"molecules bought of {count(result.pool)}"),
    ]
    cards = [
        {"image": picture(row["smiles"]), "text": shorten(row["smiles"], 90), "y": number(row["y"], 4), "round": row["round"]}
        | {"predicted": "" if row["predicted"] is None else f"{number(row['predicted'], 4)} ± {number(row['std'], 2)}"}
        for row in ranked[:SHOWN]
    ]
    lead = f"The best of {count(len(labelled))} labels is {number(best['y'], 4)}; {result.stopped}."
    content = {
        "title": "Active learning",
        "finished": "",
        "kind": "campaign",
        "headline": {"lead": lead, "rest": [], "figures": figures},
        "panels": [("what was bought", _bought(labelled, sign))],
        "rows": [],
        "about": f"{count(len(result.bought) - len(labelled))} molecules have no label; labelled.csv has the reasons.",
        "cards": cards,
        "keys": [],
    }
    return page.write("active.html", content, path)


def _bought(labelled: Sequence[dict[str, Any]], sign: float) -> Markup:
    n = np.arange(1, len(labelled) + 1, dtype=float)
    y = np.array([row["y"] for row in labelled], dtype=float)
    plot = Plot(Axis.fit(n, "labels bought"), Axis.fit(y, "value"), "Values in the order in which they were bought", height=320)
    titles = [f"{shorten(row['smiles'], 80)}\nround {row['round']}: {number(row['y'], 4)}" for row in labelled]
    first = np.array([row["round"] == 0 for row in labelled])
    for style, which in (("s7 full", first), ("s0 full", ~first)):
        plot.points(n[which], y[which], style, [titles[k] for k in np.flatnonzero(which)], 3.0)
    plot.line(n, sign * np.maximum.accumulate(sign * y), "mark")
    plot.legend("mark", "best so far")
    plot.legend("s7 full", "at random", "dot")
    plot.legend("s0 full", "chosen", "dot")
    return plot.svg()
