"""`heliograph explain ... --do NODE`: options -> InterveneConfig -> `heliograph.onegraph.intervene`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from heliograph.cli.common import Model, Nodes, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_data, with_options
from heliograph.onegraph.intervene import InterveneConfig

OPTIONS = options_of(InterveneConfig, "Intervention", leave_out=("model_path",))

app = new_app()


@app.command()
@with_options(OPTIONS)
def explain_graph(
    model: Model,
    nodes: Nodes = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output", rich_help_panel="Intervention")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Cut what comes into one node of a graph, and say how the model's answers for all nodes change."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        config = build(InterveneConfig, with_data(given, nodes) | {"model_path": model}, named(given))
        from heliograph.onegraph.intervene import explain

        effects = explain(config, overwrite=overwrite)
        if not quiet:
            print(
                f"do({config.do}): the states of {effects.changed:,} of {len(effects.state):,} nodes change, "
                f"answers by {effects.change.max():.3g} at most"
            )
            print(config.output_path)
