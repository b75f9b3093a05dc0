"""`heliograph screen`: options -> ScreenConfig -> `heliograph.screen.run` -> a table of the best and a count per reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliograph.cli.common import Bar, Model, Quiet, Verbose, clock, guarded, new_app
from heliograph.cli.options import build, expand_lists, named, options_of, with_options
from heliograph.screen.config import ScreenConfig

if TYPE_CHECKING:
    from heliograph.screen.result import Result

OPTIONS = options_of(ScreenConfig, "Screening", leave_out=("model_path", "library"))
FLAGS = ("--resume", "--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    return expand_lists(args, OPTIONS, FLAGS, ("-h", "--help"))


@app.command()
@with_options(OPTIONS)
def screen(
    model: Model,
    library: Annotated[list[Path], typer.Argument(metavar="LIBRARY...", help="tables of molecules; several make one library")],
    resume: Annotated[bool, typer.Option("--resume", help="go on with the screening in --output-dir", rich_help_panel="Run")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the screening in --output-dir", rich_help_panel="Run")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Find the best molecules of a library of any length: exactly, each once, filtered, diverse. Goes on after an interruption."""
    with guarded(verbose, lambda: "Interrupted. What was screened is kept: give the same command with --resume to go on."):
        config = build(ScreenConfig, given | {"model_path": model, "library": tuple(library)}, named(given))
        from heliograph.screen import run

        with Bar(quiet) as bar:
            result = run(config, resume=resume, overwrite=overwrite, progress=bar)
        from heliograph.report.screening import write

        write(result, config.output_dir / "report.html")
        if not quiet:
            _show(result, config)


def _show(result: Result, config: ScreenConfig) -> None:
    seconds = result.seconds["screening"]
    rate = result.rows / max(seconds, 1e-9)
    print(f"{result.ranked:,} of {result.rows:,} rows ranked by {result.ranking} in {clock(seconds)} ({rate:,.0f} rows/s)")
    if result.left_out:
        print(f"  {result.left_out:>9,}  left out by --where")
    for reason, count in result.reasons.items():
        print(f"  {count:>9,}  {reason}")
    if config.filters:
        print(f"{result.filtered:,} of the best filtered in {clock(result.seconds['filtering'])}:")
        for name in config.filters:
            print(f"  {result.rejected.get(name, 0):>9,}  turned away by {name} ({result.seconds.get(f'filter {name}', 0.0):.1f} s of CPU)")
    if config.known:
        print(f"  {result.known:>9,}  of the best left out as known already")
    if result.validation is not None:
        v = result.validation
        rank = f", rank correlation {v['spearman']:.2f}" if "spearman" in v else ""
        error = f": the prediction is off by {v['mae']:.3g} on average (mean error {v['mean_error']:+.3g}){rank}" if "mae" in v else ""
        print(f"{v['values']:,.0f} of the best {v['asked']:,.0f} computed by {config.validate_by}{error}")
    if result.enrichment is not None:
        print(f"{result.enrichment.actives:,} actives among {result.enrichment.n:,}:")
        for name, figure in result.enrichment.figures.items():
            print(f"  {name:<10} {figure.value:8.3f}  [{figure.lower:.3f}, {figure.upper:.3f}], at best {figure.best:.3f}")
    print(f"{len(result.hits):,} in {config.output_dir / 'top.csv'}")
    if result.diverse is not None:
        closest = "" if result.most_similar is None else f", the most similar two at {result.most_similar:.2f}"
        print(f"{len(result.diverse):,} in {config.output_dir / 'diverse.csv'}{closest}")
    print(config.output_dir / "report.html")
