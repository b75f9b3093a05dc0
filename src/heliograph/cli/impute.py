"""`heliograph impute`: options -> ImputeConfig -> `heliograph.onegraph.impute`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, expand_lists, named, options_of, with_data, with_options
from heliograph.onegraph.impute import ImputeConfig

OPTIONS = options_of(ImputeConfig, "Imputation", leave_out=("data_path",))

FLAGS = ("--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    return expand_lists(args, OPTIONS, FLAGS, ("-h", "--help"))


@app.command()
@with_options(OPTIONS)
def impute(
    nodes: Annotated[str, typer.Argument(metavar="NODES", help="table of nodes with blank cells")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Fill in blank cells of a table of nodes, and name cells that look wrong, from the other cells and the neighbours."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        config = build(ImputeConfig, with_data(given, nodes), named(given))
        from heliograph.onegraph.impute import impute as compute

        with Bar(quiet) as bar:
            found = compute(config, overwrite=overwrite, progress=bar)
        if not quiet:
            print(f"{'column':<20} {'filled':>7} {'suspect':>7}  {'figure':<9} {'network':>8} {'column':>8} {'neighbours':>10}")
            for name, (figure, own, plain, near) in found.scores.items():
                print(f"{name:<20} {found.filled[name]:>7,} {found.suspect[name]:>7,}  {figure:<9} {own:>8.3f} {plain:>8.3f} {near:>10.3f}")
            print(config.output_path)
