"""All pairs of learners, the questions asked of all together, and the critical-difference diagram."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from heliograph.compare.result import CompareResult
from heliograph.compare.statistics import Diagram, diagram, friedman
from heliograph.report.comparison.scale import Scale, short
from heliograph.report.digits import fixed, number, percent, shorten

WIDTH, LEFT, RIGHT, AXIS, ROW, BAR = 460.0, 162.0, 298.0, 58.0, 18.0, 7.0


def table(result: CompareResult, scale: Scale) -> list[dict[str, Any]]:
    """The better of two first; its difference to the other, and the odds that it is better by more than the rope."""
    rows = []
    for pair in result.pairs:
        odds = result.practical(pair.a, pair.b)
        rows.append({
            "a": short(pair.a), "b": short(pair.b), "differ": pair.differ,
            "difference": scale.signed(pair.difference),
            "interval": f"{scale.signed(pair.low)} to {scale.signed(pair.high)}",
            "p": probability(pair.p),
            "effect": f"{number(pair.effect, 2)} ({number(pair.effect_low, 2)} to {number(pair.effect_high, 2)})",
            "odds": " / ".join(percent(share).removesuffix("\u00a0%") for share in (odds.better, odds.equivalent, odds.worse)),
            "shares": [round(odds.better, 3), round(odds.equivalent, 3)],
        })  # fmt: skip
    return rows


def probability(p: float) -> str:
    """`0.032`, `< 0.001`."""
    return "<\u00a00.001" if p < 0.001 else fixed(p, 3)


def tests(result: CompareResult) -> str:
    """Whether there is any difference at all, asked of scores and of ranks."""
    a, by_ranks = result.anova, friedman(result.table)
    return (
        f"Any difference at all? Repeated-measures analysis of variance: F = {number(a.statistic)} on {number(a.df, 2)} and "
        f"{number(a.df_error)} degrees of freedom, p {_equals(a.p)}. Friedman's test, on ranks: p {_equals(by_ranks.p)}. "
        "Both are corrected for the molecules that folds share."
    )


def _equals(p: float) -> str:
    return probability(p) if p < 0.001 else f"= {probability(p)}"


def ranks(result: CompareResult) -> Markup:
    """The critical-difference diagram of mean ranks over the folds."""
    return _drawn(diagram(result.table))


def _drawn(d: Diagram) -> Markup:
    L = len(d.ranks)
    left = (L + 1) // 2
    first = AXIS + 22 + BAR * len(d.bars)  # of the names
    height = first + ROW * (left - 1) + 12

    def x(rank: float) -> float:
        return LEFT + (rank - 1) / (L - 1) * (RIGHT - LEFT)

    parts = [_distance(d, x), f'<path class="axis" d="M{LEFT:.1f} {AXIS:.1f}H{RIGHT:.1f}"/>']
    for tick in range(1, L + 1, -(-L // 6)):
        parts.append(f'<path class="axis" d="M{x(tick):.1f} {AXIS:.1f}v-5"/>')
        parts.append(f'<text class="tick" x="{x(tick):.1f}" y="{AXIS - 9:.1f}" text-anchor="middle">{tick}</text>')
    for k, (name, rank) in enumerate(d.ranks):
        y = first + ROW * (k if k < left else L - 1 - k)
        end, anchor = (LEFT - 12, "end") if k < left else (RIGHT + 12, "start")
        text = f"{shorten(short(name), 17)} {rank:.2f}" if k < left else f"{rank:.2f} {shorten(short(name), 17)}"
        parts.append(f'<path class="axis" d="M{x(rank):.1f} {AXIS:.1f}V{y:.1f}H{end:.1f}"/>')
        beside = end - 4 if k < left else end + 4
        title = f"<title>{escape(shorten(name, 90))}: mean rank {rank:.2f}</title>"
        parts.append(f'<text class="key" x="{beside:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">{escape(text)}{title}</text>')
    for level, (begin, last) in enumerate(d.bars):
        at = AXIS + 9 + BAR * level
        parts.append(f'<path class="line clique" d="M{x(d.ranks[begin][1]) - 3:.1f} {at:.1f}H{x(d.ranks[last][1]) + 3:.1f}"/>')
    head = f'<svg class="plot" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="Critical-difference diagram of {L} learners">'
    return Markup("".join([head, *parts, "</svg>"]))


def _distance(d: Diagram, x: Callable[[float], float]) -> str:
    """The critical distance as a length, where it fits on the axis; else in words alone."""
    text = f"critical distance {d.distance:.2f}"
    if d.distance > len(d.ranks) - 1:
        return f'<text class="key" x="{LEFT:.1f}" y="20">{text}: more than there is room for</text>'
    end = x(1 + d.distance)
    stroke = f'<path class="line mark" d="M{LEFT:.1f} 12v8m0 -4H{end:.1f}m0 -4v8"/>'
    return f'{stroke}<text class="key" x="{end + 8:.1f}" y="20">{text}</text>'
