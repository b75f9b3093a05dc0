"""`heliograph report RUN`: write the report of a finished training or comparison again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heliograph.cli.common import Quiet, Verbose, guarded, new_app

app = new_app()


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a finished training or comparison")],
    output_path: Annotated[
        Path | None, typer.Option("--output-path", "-o", metavar="PATH", help="where to write it (default: RUN/report.html)")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Write the report of a finished run again."""
    with guarded(verbose):
        from heliograph.report import rewrite

        path = rewrite(run, output_path, overwrite)
        if not quiet:
            print(path)
