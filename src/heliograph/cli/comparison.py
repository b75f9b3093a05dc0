"""The verdict and the table at the end of a comparison."""

from __future__ import annotations

import textwrap
from pathlib import Path

from heliograph.compare.result import TABLE, CompareResult, Learner
from heliograph.compare.verdict import chosen, verdict
from heliograph.learn.figures import METRICS

COSTS = ("parameters", "epochs", "train s", "predict/s", "MB")  # the last ones are left out where the terminal is narrow


def show_comparison(result: CompareResult, folder: Path, report: Path) -> None:
    """Print the verdict, a row for each learner with the best first, and where everything is."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print()
    for sentence in verdict(result):
        console.print(textwrap.fill(sentence, min(console.width, 120)), markup=False)
    metric, pick = METRICS[result.metric], chosen(result)
    rows = [(name, *_scores(result, name), *_costs(result.learner(name))) for name in result.ranking]
    heads = ("", f"{metric.label} {'↑' if metric.higher_is_better else '↓'}", "± folds", "", *COSTS)
    shown = _fitting([heads, *rows], console.width)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for k, head in enumerate(heads[:shown]):
        table.add_column(head, justify="left" if k in (0, 3) else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row[:shown]), style="bold" if row[0] == pick else None)
    console.print()
    text = f"{len(result.folds)} folds, {result.molecules:,} molecules; learners that share a letter can't be told apart; bold: to train."
    console.print(textwrap.fill(text, console.width), style="italic")
    console.print(table)
    console.print(f"scores  {folder / TABLE}", markup=False, soft_wrap=True)
    console.print(f"report  {report}", markup=False, soft_wrap=True)


def _fitting(rows: list[tuple[str, ...]], width: int) -> int:
    """How many of the columns fit; never fewer than the first four."""
    widths = [max(len(row[k]) for row in rows) + 3 for k in range(len(rows[0]))]  # two spaces and what divides columns
    return next((k for k in range(len(widths), 4, -1) if sum(widths[:k]) <= width), 4)


def _scores(result: CompareResult, name: str) -> tuple[str, str, str]:
    values = result.table.of(name)
    return f"{values.mean():.3g}", f"{values.std(ddof=1):.2g}", result.letters[name]


def _costs(learner: Learner) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.0f}"

    costs = learner.parameters, learner.epochs, learner.seconds, learner.predict_molecules_per_second, learner.peak_memory_mb
    return tuple(number(cost) for cost in costs)
