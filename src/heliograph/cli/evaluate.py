"""`heliograph evaluate`: options -> EvaluateConfig -> `heliograph.train.labelled.evaluate` -> figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Model, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_data, with_options
from heliograph.train.labelled import EvaluateConfig

OPTIONS = options_of(EvaluateConfig, "Evaluation", leave_out=("model_path",))

app = new_app()


@app.command()
@with_options(OPTIONS)
def evaluate(
    model: Model,
    data: Annotated[str | None, typer.Argument(metavar="LABELLED", help="table with truths (the same as -i)")] = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Judge a model on a table with truths: its errors, and whether its error bars hold."""
    with guarded(verbose):
        given = with_data(given, data)
        config = build(EvaluateConfig, given | {"model_path": model}, named(given))
        from heliograph.train.labelled import evaluate as judge

        with Bar(quiet) as bar:
            found = judge(config, bar)
        if not quiet:
            _show(found)
            if config.output_path is not None:
                print(config.output_path)


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
