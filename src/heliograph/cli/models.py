"""`heliograph models`: the files of the zoo, and one of them in full."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from heliograph.cli.common import Verbose, guarded, new_app

app = new_app(invoke_without_command=True)


@app.callback()
def models(context: typer.Context) -> None:
    """The architectures: list them, or show one with its equations and arguments."""
    if context.invoked_subcommand is None:
        with guarded(verbose=False):
            _list()


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="an architecture of the zoo, or path/to/mine.py")],
    verbose: Verbose = False,
) -> None:
    """Show one architecture: its paper, its equations, its arguments."""
    with guarded(verbose):
        from heliograph import zoo

        module = zoo.load(name)
        print(inspect.cleandoc(module.__doc__ or "(no docstring)"))
        print(f"\nfeatures: {module.FEATURIZER}    geometry: {module.GEOMETRY}\n")
        arguments = {k: p for k, p in inspect.signature(module.build).parameters.items() if k not in ("inputs", "out")}
        print("arguments (--arch-args NAME=VALUE):")
        for key, parameter in arguments.items():
            default = getattr(parameter.default, "__name__", repr(parameter.default))
            print(f"  {key:<14} {'' if parameter.default is inspect.Parameter.empty else f'default {default}'}".rstrip())
        if notes := inspect.cleandoc(module.build.__doc__ or ""):
            print(f"\n{notes}")


def _list() -> None:
    from heliograph import zoo

    for name in zoo.names():
        module = zoo.load(name)
        first = inspect.cleandoc(module.__doc__ or "").splitlines()[:1]
        print(f"{name:<10} {first[0] if first else ''}")
        print(f"{'':<10} geometry: {module.GEOMETRY}")
    print("\nheliograph models show NAME gives the equations and the arguments; heliograph train DATA --arch NAME trains it.")
