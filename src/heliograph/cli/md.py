"""`heliograph md`: options -> MDConfig -> `heliograph.potential.use.md`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Potential, Quiet, Verbose, clock, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_options
from heliograph.potential.use import MDConfig

OPTIONS = options_of(MDConfig, "Dynamics")

app = new_app()


@app.command()
@with_options(OPTIONS)
def md(
    model: Potential,
    start: Annotated[Path, typer.Argument(metavar="START", help="file whose first frame is moved")],
    resume: Annotated[
        bool,
        typer.Option("--resume", help="go on with the run in --output-dir", rich_help_panel="Dynamics"),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="replace the run in --output-dir", rich_help_panel="Dynamics"),
    ] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Run molecular dynamics with a trained potential: NVE or NVT, resumable to the last bit."""
    with guarded(verbose, lambda: "Interrupted. Go on with the same command and --resume."):
        config = build(MDConfig, given, named(given))
        from heliograph.potential import Potential, use

        with Bar(quiet) as bar:
            summary = use.md(Potential.load(model), start, config, resume, overwrite, bar)
        if not quiet:
            print(f"{summary.steps:,} steps of {config.timestep:g} fs in {clock(summary.seconds)}")
            print(f"mean temperature: {summary.temperature:.0f} K")
            if config.ensemble == "nve" and math.isnan(summary.drift):
                print("drift of the total energy: not known from fewer than three lines of log.csv (a smaller --every writes more)")
            elif config.ensemble == "nve":
                print(f"drift of the total energy: {summary.drift:+.4g} meV/atom/ps")
            print(config.output_dir / "trajectory.extxyz")
