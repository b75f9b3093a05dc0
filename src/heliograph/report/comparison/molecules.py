"""Where the learners disagree: molecules whose answers lie far apart, drawn, with every learner's answer on a line."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from heliograph.compare.disagreement import Disagreement
from heliograph.compare.result import CompareResult
from heliograph.report.comparison.bounds import label_of
from heliograph.report.comparison.scale import short
from heliograph.report.digits import count, decimals, fixed, shorten
from heliograph.report.drawing import picture
from heliograph.report.svg import Axis

WIDTH, HEIGHT, MARGIN, MIDDLE = 220.0, 44.0, 10.0, 20.0  # of a line of answers


def cards(result: CompareResult) -> list[dict[str, Any]]:
    return [_card(result, one) for one in result.disagreements]


def _card(result: CompareResult, one: Disagreement) -> dict[str, Any]:
    t = result.targets.index(one.target)
    places = decimals(one.spread, 2)
    among = sorted((one.answers[name], name) for name in one.among)
    (low, lowest), (high, highest) = among[0], among[-1]
    return {
        "image": picture(one.structure),
        "text": shorten(one.structure, 90),
        "row": count(one.row),
        "target": shorten(one.target, 40) if len(result.targets) > 1 else "",
        "line": _line(result, one, places),
        "facts": [
            ("true", fixed(one.label, places) if result.kind == "regression" else label_of(result, t, one.label)),
            (f"lowest, {short(lowest)}", fixed(low, places)),
            (f"highest, {short(highest)}", fixed(high, places)),
        ],
    }


def _line(result: CompareResult, one: Disagreement, places: int) -> Markup:
    """All answers on one axis: dots for networks, rings for baselines, a stroke for the label."""
    values = list(one.answers.values())
    axis = Axis.fit([*values, one.label], "", pad=0.0) if result.kind == "regression" else Axis(0.0, 1.0)
    label = one.label if result.kind != "multiclass" else 1.0  # the answers are probabilities of the molecule's own class

    def x(value: float) -> float:
        return MARGIN + float(axis.at([value])[0]) * (WIDTH - 2 * MARGIN)

    parts = [f'<path class="axis" d="M{MARGIN:g} {MIDDLE:g}H{WIDTH - MARGIN:g}"/>']
    parts.append(f'<path class="line mark" d="M{x(label):.1f} {MIDDLE - 9:g}v18"/>')
    for name in sorted(one.answers, key=lambda name: name in one.among):
        style = "dot full" if result.learner(name).network else "dot simple"
        title = f"<title>{escape(shorten(name, 90))}: {fixed(one.answers[name], places)}</title>"
        parts.append(f'<circle class="{style}" cx="{x(one.answers[name]):.1f}" cy="{MIDDLE:g}" r="4.5">{title}</circle>')
    for value, anchor in ((axis.low, "start"), (axis.high, "end")):
        at = MARGIN if anchor == "start" else WIDTH - MARGIN
        parts.append(f'<text class="tick" x="{at:g}" y="{HEIGHT - 3:g}" text-anchor="{anchor}">{fixed(value, places)}</text>')
    head = f'<svg class="plot" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="Answers of all learners">'
    return Markup("".join([head, *parts, "</svg>"]))
