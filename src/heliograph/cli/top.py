"""The command above the verbs: `--help`, `--version`, and a word for a verb mistyped. It knows the verbs' names only.

Plain text: rich would double the time that `heliograph --help` takes."""

from __future__ import annotations

from typing import Annotated

import typer

from heliograph.cli import VERBS

app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


def _version(wanted: bool) -> None:
    if wanted:
        from heliograph import __version__

        print(f"heliograph {__version__}")
        raise typer.Exit()


@app.callback(epilog="Start with: heliograph train molecules.csv -o run (heliograph train --help)")
def heliograph(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)] = False,
) -> None:
    """Message passing neural networks: bring a table of molecules, leave with a predictor you may trust."""


def _verb() -> None:
    raise AssertionError("heliograph.cli.main runs the verbs")


for _name, _text in VERBS.items():
    app.command(_name, help=_text)(_verb)
