"""`heliograph cluster`: options -> ClusterConfig -> `heliograph.onegraph.cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, named, options_of, with_options
from heliograph.onegraph.cluster import ClusterConfig

OPTIONS = options_of(ClusterConfig, "Clusters", leave_out=("model_path", "data_path"))

app = new_app()


@app.command()
@with_options(OPTIONS)
def cluster(
    given_: Annotated[str | None, typer.Argument(metavar="RUN_OR_NODES", help="a run or model of one graph, or a table of nodes")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Cluster the nodes of a graph: by a trained model's states, or by a network that learns clusters without labels."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        model = given_ is not None and (Path(given_).is_dir() or given_.endswith(".safetensors"))
        places = {} if given_ is None else {"model_path" if model else "data_path": given_}
        config = build(ClusterConfig, given | places, named(given))
        from heliograph.onegraph.cluster import cluster as compute

        with Bar(quiet) as bar:
            found = compute(config, overwrite=overwrite, progress=bar)
        if not quiet:
            least, most = min(found.sizes), max(found.sizes)
            print(f"{len(found.cluster):,} nodes in {len(found.sizes)} clusters by {found.method}, of {least:,} to {most:,}")
            for name, figures in found.figures.items():
                print(f"{name:<24} " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
            print(config.output_path)
