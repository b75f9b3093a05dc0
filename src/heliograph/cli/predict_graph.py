"""`heliograph predict` for a model of one graph: options -> GraphPredictConfig -> `heliograph.onegraph.predict`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Model, Nodes, Quiet, Verbose, clock, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_data, with_options
from heliograph.onegraph.asked import GraphPredictConfig

OPTIONS = options_of(GraphPredictConfig, "Prediction", leave_out=("model_path", "for_"))

app = new_app()


@app.command()
@with_options(OPTIONS)
def predict_graph(
    model: Model,
    nodes: Nodes = None,
    for_: Annotated[str | None, typer.Option("--for", metavar="PATH", help="with --top-k: table of the nodes that it is for")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output", rich_help_panel="Prediction")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Predict for the nodes or edges of a graph, for pairs of nodes, or the best partners of nodes."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written: a prediction is whole or not there."):
        given = with_data(given, nodes) | ({} if for_ is None else {"for_": for_})
        config = build(GraphPredictConfig, given | {"model_path": model}, named(given))
        from heliograph.onegraph.predict import predict

        with Bar(quiet) as bar:
            summary = predict(config, overwrite=overwrite, progress=bar)
        if not quiet:
            print(f"{summary.predicted:,} of {summary.rows:,} rows predicted in {clock(summary.seconds)}")
            for reason, count in summary.reasons.items():
                print(f"  {count:>9,}  {reason}")
            for note in summary.notes:
                print(note)
            print(config.output_path)
