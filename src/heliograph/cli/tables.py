"""The short table at the end of a training: the model's test errors beside the baselines'."""

from __future__ import annotations

from pathlib import Path

from heliograph.learn.figures import metric
from heliograph.report.scores import baseline_names, judged_part, metric_names, metric_unit, overall, score
from heliograph.train.result import TrainResult

MOST_METRICS = 4
MOST_TARGETS = 12


def show_result(result: TrainResult, folder: Path, report: Path) -> None:
    """Print what was reached, what it cost, and where everything is."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print()
    if judged_part(result):
        console.print(_title(result), markup=False, style="bold")
        console.print(_one_target(result) if len(result.targets) == 1 else _many_targets(result))
    bad = result.data.rows_read - result.data.rows_usable
    if bad > 0:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in result.data.reasons.items())
        console.print(f"{bad:,} of {result.data.rows_read:,} rows can't be used: {reasons}", markup=False)
    console.print(f"model   {', '.join(str(folder / name) for name in result.model_files) or folder}", markup=False, soft_wrap=True)
    console.print(f"report  {report}", markup=False, soft_wrap=True)


def _title(result: TrainResult) -> str:
    part = judged_part(result)
    what = {"test": "Test", "val": "Validation (there is no test part)", "out_of_fold": "Out of fold (no test part)"}[part]
    size = f"{len(result.predictions[part]):,} molecules"
    runs = f", mean ± spread of {len(result.replicates)} replicates" if len(result.replicates) > 1 else ""
    which = result.targets[0] if len(result.targets) == 1 else metric(result.main_metric).label
    return f"{what}: {size}{runs}, {which}"


def _label(result: TrainResult) -> str:
    model = result.config.get("model", {})
    members = int(model.get("ensemble_size", 1))
    return f"{model.get('arch', 'model')}{f', ensemble of {members}' if members > 1 else ''}"


def _heading(result: TrainResult, target: str, name: str) -> str:
    unit = metric_unit(result, target, name)
    return f"{metric(name).label}{f' [{unit}]' if unit else ''} {'↑' if metric(name).higher_is_better else '↓'}"


def _one_target(result: TrainResult) -> object:
    """Rows: model and baselines; columns: metrics."""
    from rich.markup import escape
    from rich.table import Table

    target, names = overall(result), metric_names(result)[:MOST_METRICS]
    table = Table()
    table.add_column("")
    for name in names:
        table.add_column(escape(_heading(result, target, name)), justify="right")
    for row in ["", *baseline_names(result)]:
        cells = [str(score(result, target, name, row)) for name in names]
        table.add_row(escape(row or _label(result)), *cells, style=None if row else "bold")
    return table


def _many_targets(result: TrainResult) -> object:
    """Rows: targets; columns: model and baselines, by the main metric."""
    from rich.markup import escape
    from rich.table import Table

    name, baselines = result.main_metric, baseline_names(result)
    table = Table()
    table.add_column(f"{metric(name).label} {'↑' if metric(name).higher_is_better else '↓'}")
    for heading in (_label(result), *baselines):
        table.add_column(escape(heading), justify="right")
    shown = list(result.targets[:MOST_TARGETS])
    for target in [*shown, "mean"]:
        unit = metric_unit(result, target, name)
        cells = [str(score(result, target, name, row)) for row in ("", *baselines)]
        table.add_row(escape(f"{target}{f' [{unit}]' if unit else ''}"), *cells, style="bold" if target == "mean" else None)
    if len(result.targets) > MOST_TARGETS:
        table.caption = f"and {len(result.targets) - MOST_TARGETS} more targets: see the report"
    return table
