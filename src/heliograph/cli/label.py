"""`heliograph label`: options -> LabelConfig -> `heliograph.data.labelling.label_file`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Quiet, Verbose, clock, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_data, with_options
from heliograph.data.labelling import LabelConfig

OPTIONS = options_of(LabelConfig, "Labels")

app = new_app()


@app.command()
@with_options(OPTIONS)
def label(
    data: Annotated[str | None, typer.Argument(metavar="MOLECULES", help="table of molecules (the same as -i)")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output", rich_help_panel="Labels")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """No labels yet? Compute GFN2-xTB energies, orbitals, dipoles for your molecules (extra: xtb)."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written: a labelled table is whole or not there."):
        given = with_data(given, data)
        config = build(LabelConfig, given, named(given))
        from heliograph.data.labelling import label_file

        with Bar(quiet) as bar:
            summary = label_file(config, overwrite=overwrite, progress=bar)
        if not quiet:
            labelled = summary.rows - sum(summary.reasons.values())
            print(f"{labelled:,} of {summary.rows:,} molecules labelled with GFN2-xTB in {clock(summary.seconds)}")
            for reason, count in summary.reasons.items():
                print(f"  {count:>9,}  {reason}")
            print(config.output_path)
