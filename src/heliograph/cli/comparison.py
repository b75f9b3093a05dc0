"""The verdict and the table at the end of a comparison."""

from __future__ import annotations

import textwrap
from pathlib import Path

from heliograph.compare.result import TABLE, CompareResult, Learner
from heliograph.compare.verdict import verdict
from heliograph.train.result import METRICS


def show_comparison(result: CompareResult, folder: Path, report: Path) -> None:
    """Print the verdict, a row for each learner with the best first, and where everything is."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print()
    for sentence in verdict(result):
        console.print(textwrap.fill(sentence, min(console.width, 120)), markup=False)
    metric = METRICS[result.metric]
    table = Table(title=f"{len(result.folds)} folds, {result.molecules:,} molecules; learners that share a letter can't be told apart",
                  title_justify="left")  # fmt: skip
    for name in (
        "",
        f"{metric.label} {'↑' if metric.higher_is_better else '↓'}",
        "± folds",
        "",
        "parameters",
        "epochs",
        "train s",
        "predict/s",
        "MB",
    ):
        table.add_column(name, justify="left" if not name else "right")
    for name in result.ranking:
        values = result.table.of(name)
        learner = result.learner(name)
        scores = (f"{values.mean():.3g}", f"{values.std(ddof=1):.2g}", result.letters[name])
        table.add_row(escape(name), *scores, *_costs(learner), style="bold" if name == result.ranking[0] else None)
    console.print()
    console.print(table)
    console.print(f"scores  {folder / TABLE}", markup=False, soft_wrap=True)
    console.print(f"report  {report}", markup=False, soft_wrap=True)


def _costs(learner: Learner) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.0f}"

    costs = learner.parameters, learner.epochs, learner.seconds, learner.predict_molecules_per_second, learner.peak_memory_mb
    return tuple(number(cost) for cost in costs)
