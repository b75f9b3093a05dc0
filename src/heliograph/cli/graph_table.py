"""The short table at the end of a training on one graph: the network's scores beside the baselines'."""

from __future__ import annotations

from pathlib import Path

from heliograph.learn.figures import metric
from heliograph.onegraph.result import GraphResult, verdict

MOST = 5


def show(result: GraphResult, folder: Path, report: Path) -> None:
    """Print what was reached and where everything is."""
    from rich.console import Console
    from rich.table import Table

    part = "test" if "test" in result.metrics else "val"
    console = Console(highlight=False)
    if part in result.metrics:
        names = list(result.metrics[part]["mean"])[:MOST]
        table = Table(
            title=f"{'test' if part == 'test' else 'validation'}: {result.sizes[part]:,} {result.level}s",
            title_justify="left",
        )
        table.add_column("")
        for name in names:
            table.add_column(metric(name).label, justify="right")
        arch = str(result.config["model"]["arch"])
        table.add_row(arch, *(f"{result.metrics[part]['mean'][n]:.4f}" for n in names), style="bold")
        for name, baseline in result.baselines.items():
            figures = baseline.metrics.get(part, {}).get("mean", {})
            table.add_row(name, *(f"{figures[n]:.4f}" if n in figures else "" for n in names))
        console.print(table)
        if sentence := verdict(result, part):
            console.print(sentence)
    print(f"model   {folder / result.model_file}")
    print(f"report  {report}")
