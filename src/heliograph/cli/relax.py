"""`heliograph relax`: options -> RelaxConfig -> `heliograph.potential.use.relax`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Potential, Quiet, Verbose, clock, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_options
from heliograph.potential.use import RelaxConfig

OPTIONS = options_of(RelaxConfig, "Relaxation")

app = new_app()


@app.command()
@with_options(OPTIONS)
def relax(
    model: Potential,
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="structures to relax: extxyz, POSCAR, .cif, .traj, ..."),
    ],
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="replace an existing output", rich_help_panel="Relaxation"),
    ] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Relax structures, and their cells, with a trained potential."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        config = build(RelaxConfig, given, named(given))
        from heliograph.potential import Potential, use

        with Bar(quiet) as bar:
            summary = use.relax(Potential.load(model), data, config, overwrite, bar)
        if not quiet:
            print(f"{summary.done:,} of {summary.frames:,} structures relaxed in {clock(summary.seconds)}")
            for reason, count in summary.reasons.items():
                print(f"  {count:>9,}  {reason}")
            print(config.output_path)
