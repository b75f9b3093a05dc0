"""`heliograph serve`: options -> ServeConfig -> `heliograph.serve.run`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from heliograph.cli.common import Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_options
from heliograph.serve.config import ServeConfig

OPTIONS = options_of(ServeConfig, "Service", leave_out=("models",))

app = new_app()


@app.command()
@with_options(OPTIONS)
def serve(
    models: Annotated[list[str], typer.Argument(metavar="MODEL_OR_RUN...", help="model files or run folders; NAME=PATH names one")],
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Serve models over HTTP, with a page to draw or paste molecules; ends in good order on SIGTERM, loads again on SIGHUP."""
    with guarded(verbose, lambda: "Interrupted."):
        config = build(ServeConfig, given | {"models": tuple(models)}, named(given))
        from heliograph.serve.run import run

        run(config, say=lambda text: None if quiet else print(text, file=sys.stderr, flush=True))
