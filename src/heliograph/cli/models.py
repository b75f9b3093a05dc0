"""`heliograph models`: the files of the zoo, and one of them in full."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.common import Verbose, guarded, new_app

app = new_app(invoke_without_command=True)


def arguments(args: Sequence[str]) -> list[str]:
    """`--arch-args d=64 depth=3` as `--arch-args d=64 --arch-args depth=3`."""
    result: list[str] = []
    for arg in args:
        several = "=" in arg and not arg.startswith("-") and len(result) > 1 and result[-2] == "--arch-args"
        result += ["--arch-args", arg] if several else [arg]
    return result


@app.callback()
def models(context: typer.Context) -> None:
    """List the architectures, or show one with its equations and arguments."""
    if context.invoked_subcommand is None:
        with guarded(verbose=False):
            _list()


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="an architecture of the zoo, path/to/mine.py, or a composition, mine.toml")],
    verbose: Verbose = False,
) -> None:
    """Show one architecture: its paper and equations, what it sees, costs and tells apart, its arguments."""
    with guarded(verbose):
        from heliograph import cards

        print(cards.card(name))


@app.command()
def plan(
    name: Annotated[str, typer.Argument(metavar="NAME", help="an architecture of the zoo, path/to/mine.py, or a composition, mine.toml")],
    arch_args: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="arguments of the architecture; may be repeated")
    ] = None,
    molecules: Annotated[int, typer.Option(min=1, max=6000, help="how many of the shipped molecules to plan for")] = 64,
    verbose: Verbose = False,
) -> None:
    """Show what runs where, forward, on shipped molecules: rows, FLOPs and bytes, plainly and with the edge algebra."""
    with guarded(verbose):
        from heliograph import zoo
        from heliograph.cli.options import pairs
        from heliograph.data.store import Store
        from heliograph.model import Inputs
        from heliograph.plan import plan

        store: Store = _sample(name, molecules)
        featurizer = store.featurizer
        inputs = Inputs(featurizer.atom_width, featurizer.bond_width, store.has_geometry)
        print(plan(zoo.build(name, inputs, 1, pairs(arch_args or [])).eval(), store.batch(range(len(store)))))


def _sample(arch: str, molecules: int) -> Any:
    """The first molecules of the shipped set, with the features and the geometry that the architecture uses."""
    from heliograph import zoo
    from heliograph.chem import featurize_table
    from heliograph.data.sets import smallmol
    from heliograph.data.store import Store
    from heliograph.train.config import DataConfig
    from heliograph.train.data import featurizer_for

    featurizer, _ = featurizer_for(DataConfig(data_path=Path("smallmol")), zoo.load(arch), "sdf", arch)
    outcomes = featurize_table(islice(smallmol.records(), molecules), featurizer, workers=0, scaffold=False)
    return Store.build((molecule for _, molecule, _ in outcomes if molecule is not None), featurizer)


def _list() -> None:
    from heliograph import cards, zoo

    for name in zoo.names():
        module = zoo.load(name)
        what, paper = cards.title(module.__doc__ or "")
        needs = {"none": "", "optional": " [3D too]", "required": " [3D]"}[module.GEOMETRY]
        print(f"{name:<12} {what} ({re.split(r'(?<=[0-9]{4})', paper)[0]}){needs}")
    print("\nheliograph models show NAME gives the equations, what it sees and costs; heliograph models plan NAME what runs where.")
    print("heliograph train DATA --arch NAME trains it.")
