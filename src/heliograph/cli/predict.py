"""`heliograph predict`: options -> PredictConfig -> `heliograph.predictor.stream.predict_file` -> a count per reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Model, Molecules, Quiet, Verbose, clock, guarded, new_app
from heliograph.cli.options import build, expand_lists, named, options_of, with_data, with_options
from heliograph.errors import DataError, UsageError
from heliograph.predictor.stream import PredictConfig, Summary

OPTIONS = options_of(PredictConfig, "Prediction", leave_out=("model_path",))

FLAGS = ("--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    return expand_lists(args, OPTIONS, FLAGS, ("-i", "--data-path", "-h", "--help"))


@app.command()
@with_options(OPTIONS)
def predict(
    model: Model,
    data: Molecules = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output", rich_help_panel="Prediction")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Predict for a table of any length: every row and column kept, a reason where a row can't be used."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written: a prediction is whole or not there."):
        given = with_data(given, data)
        from heliograph.potential.result import is_potential

        if is_potential(Path(model)):
            _predict_frames(Path(model), given, overwrite, quiet)
            return
        config = build(PredictConfig, given | {"model_path": model}, named(given))
        from heliograph.predictor.stream import predict_file

        with Bar(quiet) as bar:
            summary = predict_file(config, overwrite=overwrite, progress=bar)
        if not quiet:
            _show(summary, config)
        if summary.rows and not summary.predicted:
            why = ", ".join(f"{count:,} {reason}" for reason, count in summary.reasons.items())
            raise DataError(
                f"none of the {summary.rows:,} rows could be predicted: {why}. The reasons are in {config.output_path}; "
                "is it the right column (--smiles-columns)?"
            )


def _predict_frames(model: Path, given: Any, overwrite: bool, quiet: bool) -> None:
    """Frames in, frames with energies and forces out."""
    for name in set(given) - {"data_path", "output_path", "batch_size", "arch"}:
        raise UsageError(f"--{name.replace('_', '-')} is for tables of molecules; {model} is a potential, which reads frames")
    for name, what in (("data_path", "frames: give a file such as frames.extxyz"), ("output_path", "output: give a name with -o")):
        if name not in given:
            raise UsageError(f"no {what}")
    from heliograph.potential import Potential, use

    potential = Potential.load(model, given.get("arch"))
    with Bar(quiet) as bar:
        size = int(given.get("batch_size", 16))
        summary = use.predict(potential, Path(given["data_path"]), Path(given["output_path"]), size, overwrite, bar)
    if not quiet:
        rate = summary.frames / summary.seconds if summary.seconds else 0
        print(f"{summary.done:,} of {summary.frames:,} frames predicted in {clock(summary.seconds)} ({rate:,.0f} frames/s)")
        for reason, count in summary.reasons.items():
            print(f"  {count:>9,}  {reason}")
        print(given["output_path"])


def _show(summary: Summary, config: PredictConfig) -> None:
    rate = summary.rows / summary.seconds if summary.seconds else 0
    print(f"{summary.predicted:,} of {summary.rows:,} rows predicted in {clock(summary.seconds)} ({rate:,.0f} rows/s)")
    for reason, count in summary.reasons.items():
        print(f"  {count:>9,}  {reason}")
    for doubt, count in summary.doubts.items():
        print(f"  {count:>9,}  predicted, but {doubt}: see the column `reason`")
    for name, new in summary.renamed.items():
        print(f"the table has a column {name!r} already: the answers are in {new!r}")
    print(config.output_path)
