"""`heliograph calibrate`: options -> CalibrateConfig -> `heliograph.train.labelled.calibrate` -> a model file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Model, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, expand_lists, named, options_of, with_data, with_options
from heliograph.train.labelled import CalibrateConfig

OPTIONS = options_of(CalibrateConfig, "Calibration", leave_out=("model_path",))
FLAGS = ("--verbose", "-v", "--quiet", "-q", "--help", "-h")

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    return expand_lists(args, OPTIONS, FLAGS, ("-i", "--data-path", "-h", "--help"))


@app.command()
@with_options(OPTIONS)
def calibrate(
    model: Model,
    data: Annotated[str | None, typer.Argument(metavar="LABELLED", help="table with truths that no member was trained on")] = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Calibrate a model's error bars on your own table; the model file that is written holds them."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written: a model file is whole or not there."):
        given = with_data(given, data)
        config = build(CalibrateConfig, given | {"model_path": model}, named(given))
        from heliograph.train.labelled import calibrate as learn

        with Bar(quiet) as bar:
            notes, factors = learn(config, bar)
        if not quiet:
            for note in notes:
                print(note)
            for target, groups in factors.items():
                for group, factor in groups.items():
                    print(f"{target}: errors of {config.group_by} {group or '(blank)'} are {factor:.2f} x the error bars")
            print(config.output_path)
