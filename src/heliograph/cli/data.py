"""`heliograph data`: the sets that ship and the public ones to fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heliograph.cli.common import Bar, Quiet, Verbose, guarded, new_app

app = new_app(invoke_without_command=True)


@app.callback()
def data(context: typer.Context) -> None:
    """List the data sets, show one, or fetch a public one."""
    if context.invoked_subcommand is None:
        with guarded(verbose=False):
            _list()


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME", help="a data set")], verbose: Verbose = False) -> None:
    """Show one set: what it holds, units, source, licence, and where it is."""
    with guarded(verbose):
        from heliograph.data import sets

        one = sets.find(name)
        print(f"{one.name}: {one.summary}\n")
        what = "records    " if one.smiles_column is None and not one.geometry else "molecules  "
        print(f"{what} {one.records:,}{', with geometry' if one.geometry else ''}")
        targets = ", ".join(f"{target} [{unit}]" if unit else target for target, unit in one.units.items())
        print(f"targets     {targets or 'missing links'}")
        print(f"source      {one.source}")
        print(f"licence     {one.licence}")
        for note in one.notes:
            print(f"note        {note}")
        where = sets.path_of(name) if sets.fetched(name) else f"not on this machine yet: heliograph data fetch {one.name}"
        print(f"file        {where}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a public data set")],
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", metavar="PATH", help="where to, instead of the cache folder")
    ] = None,
    offline: Annotated[
        Path | None, typer.Option("--offline", metavar="PATH", help="a folder that has the files already: nothing is downloaded")
    ] = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Bring a public set to this machine; what is there already is not fetched again."""
    with guarded(verbose, lambda: f"Interrupted. Go on with: heliograph data fetch {name}"):
        from heliograph.data import sets

        with Bar(quiet) as bar:
            path = sets.fetch(name, folder=output_dir, offline=offline, progress=bar)
        if not quiet:
            print(path)


def _list() -> None:
    from heliograph.data import sets

    everything = sets.catalogue()
    width = max(len(one.name) for one in everything)
    for one in everything:
        state = "shipped" if one.shipped else "here" if sets.fetched(one.name) else "to fetch"
        print(f"{one.name:<{width}}  {one.records:>9,}  {state:<8}  {one.summary}")
    print("\nheliograph data show NAME says more; heliograph data fetch NAME brings a public set; heliograph train NAME ... trains on it.")
