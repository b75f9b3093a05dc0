"""`heliograph expand`: options -> ExpandConfig -> `heliograph.screen.expand.expand`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.common import Bar, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, expand_lists, named, options_of, with_options
from heliograph.screen.expand import ExpandConfig, Grow

OPTIONS = options_of(ExpandConfig, "Expansion", leave_out=("data_path",))
FLAGS = ("--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    return expand_lists(args, OPTIONS, FLAGS, ("-h", "--help"))


@app.command()
@with_options(OPTIONS)
def expand(
    hits: Annotated[Path, typer.Argument(metavar="HITS", help="table of hits, such as top.csv of a screening")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output", rich_help_panel="Expansion")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Find neighbours of hits in a library, and make analogues by changes that were made before."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        config = build(ExpandConfig, given | {"data_path": hits}, named(given))
        from heliograph.screen.expand import expand as expanding

        with Bar(quiet) as bar:
            found = expanding(config, grow=_grow(config), overwrite=overwrite, progress=bar)
        if not quiet:
            for kind, count in found.kinds.items():
                print(f"  {count:>9,}  {kind}")
            for name, count in found.turned_away.items():
                print(f"  {count:>9,}  turned away by {name}")
            if found.bad:
                print(f"  {found.bad:>9,}  hits that can't be read")
            print(config.output_path)


def _grow(config: ExpandConfig) -> Grow | None:
    """Samples of the generator around kept atoms, where they are asked for."""
    if "model" not in config.ways:
        return None
    from functools import partial

    from heliograph.generate.draw import around
    from heliograph.generate.runner import load

    return partial(around, load(config.generator))
