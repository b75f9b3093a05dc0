"""`heliograph evaluate`: options -> `heliograph.train.labelled.evaluate`, or `heliograph.potential.judging` for frames -> figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from heliograph.cli.common import Bar, Model, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_data, with_options
from heliograph.errors import UsageError
from heliograph.files import atomic
from heliograph.potential.config import FramesConfig
from heliograph.train.labelled import EvaluateConfig

if TYPE_CHECKING:
    from heliograph.potential.judging import Judged

LABELS = ("energy_key", "forces_key", "stress_key", "virial_key")
OPTIONS = [
    *options_of(EvaluateConfig, "Evaluation", leave_out=("model_path",)),
    *options_of(FramesConfig, "Frames", leave_out=tuple(set(FramesConfig.model_fields) - set(LABELS))),
]

app = new_app()


@app.command()
@with_options(OPTIONS)
def evaluate(
    model: Model,
    data: Annotated[str | None, typer.Argument(metavar="LABELLED", help="table, or frames, with truths (the same as -i)")] = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Judge a model on a table with truths, a potential on labelled frames: its errors, and whether its error bars hold."""
    with guarded(verbose):
        given = with_data(given, data)
        from heliograph.potential.result import is_potential

        if is_potential(Path(model)):
            _frames(Path(model), given, quiet)
            return
        for name in LABELS:
            if name in given:
                raise UsageError(f"--{name.replace('_', '-')} is for frames; {model} is a model of molecules, which is judged on a table")
        config = build(EvaluateConfig, given | {"model_path": model}, named(given))
        from heliograph.train.labelled import evaluate as judge

        with Bar(quiet) as bar:
            found = judge(config, bar)
        if not quiet:
            _show(found)
            if config.output_path is not None:
                print(config.output_path)


def _frames(model: Path, given: Mapping[str, Any], quiet: bool) -> None:
    """Labelled frames in, the errors of a potential out."""
    for name in set(given) - {"data_path", "output_path", "arch", *LABELS}:
        raise UsageError(f"--{name.replace('_', '-')} is for tables of molecules; {model} is a potential, which reads frames")
    if "data_path" not in given:
        raise UsageError("no frames: give a file such as frames.extxyz")
    output = Path(given["output_path"]) if "output_path" in given else None
    if output is not None and output.exists():
        raise UsageError(f"{output} exists. Give another name with -o.")
    from heliograph.data.sources.structures import Keys
    from heliograph.potential import Potential, judging

    keys = Keys(given.get("energy_key"), given.get("forces_key"), given.get("stress_key"), given.get("virial_key"))
    with Bar(quiet) as bar:
        found = judging.evaluate(Potential.load(model, given.get("arch")), Path(given["data_path"]), keys, 16, bar)
    if output is not None:
        with atomic(output) as temporary:
            temporary.write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
    if not quiet:
        _table(found)
        if output is not None:
            print(output)


def _table(found: Judged) -> None:
    """Errors of all frames, and of each config_type where there are several."""
    from rich.console import Console
    from rich.table import Column, Table

    from heliograph.potential.result import described

    console = Console(highlight=False)
    console.print(f"{found.usable:,} of {found.frames:,} frames usable")
    for reason, count in found.reasons.items():
        console.print(f"  {count:>9,}  {reason}", markup=False)
    table = Table("", "unit", Column("error", justify="right"))
    for metric, value in found.metrics.items():
        table.add_row(*described(metric), _number(value))
    console.print(table)
    if len(found.kinds) > 1:
        shown = [metric for metric in found.metrics if metric.endswith(("_mae_per_atom", "forces_mae"))] or list(found.metrics)[:3]
        table = Table("config_type", *(Column("\n".join(described(metric)), justify="right") for metric in shown))
        for name, figures in found.kinds.items():
            table.add_row(escape(name), *(_number(figures.get(metric)) for metric in shown))
        console.print(table)


def _show(found: Mapping[str, Any]) -> None:
    print(f"{found['usable']:,} of {found['rows']:,} rows usable")
    for reason, count in found["reasons"].items():
        print(f"  {count:>9,}  {reason}")
    for target, figures in found["metrics"].items():
        if target != "mean" or len(found["metrics"]) > 2:
            print(f"{target}: " + "  ".join(f"{k} {_number(v)}" for k, v in figures.items()))
    for target, judged in found["trust"].items():
        print(f"error bars of {target}, {judged['n']:,} labels")
        for row in judged.get("coverage", []):
            claimed, range_ = f"{row['claimed']:.0%}", f"{row['low']:.1%} to {row['high']:.1%}"
            print(f"  {claimed} interval holds {row['held']:.1%} (95 % range {range_}), mean width {_number(row['width'])}")
        for name, value in judged["figures"].items():
            mean = judged["simulated"].get(name, [None])[0]
            before = judged.get("before", {}).get(name)
            tail = f", {_number(before)} before calibration" if before is not None else ""
            print(f"  {name} {_number(value)} (if the error bars were right: {_number(mean)}{tail})")
    if not found["trust"]:
        print("the model has no calibration: heliograph calibrate adds one, heliograph train --members folds trains with one")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
