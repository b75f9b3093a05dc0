"""`heliograph embed`: options -> EmbedConfig -> `heliograph.predictor.embed.embed_file`."""

from __future__ import annotations

from typing import Any

from heliograph.cli.common import Model, Molecules, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_data, with_options
from heliograph.predictor.embed import EmbedConfig

OPTIONS = options_of(EmbedConfig, "Embedding", leave_out=("model_path",))

app = new_app()


@app.command()
@with_options(OPTIONS)
def embed(
    model: Model,
    data: Molecules = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Write a vector for each molecule: the mean of its atoms' last states."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        given = with_data(given, data)
        config = build(EmbedConfig, given | {"model_path": model}, named(given))
        from heliograph.predictor.embed import embed_file, probe_file
        from heliograph.predictor.probe import sentences

        if config.probe:
            readings = probe_file(config)
            if not quiet:
                print(*sentences(readings), config.output_path, sep="\n")
            return
        rows, usable, width = embed_file(config)
        if not quiet:
            print(f"{usable:,} of {rows:,} molecules, {width} numbers each")
            print(config.output_path)
