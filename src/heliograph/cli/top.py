"""The command above the verbs: `--help`, `--version`, and a word for a verb mistyped. It knows the verbs' names only.

Plain text: rich would double the time that `heliograph --help` takes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from heliograph.cli import VERBS
from heliograph.cli.examples import GRAPHS, GROUPS


class Grouped(TyperGroup):
    """Verbs by what a person wants."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each group; a verb that is in none stands in the last."""
        known = {verb for verbs in GROUPS.values() for verb in verbs}
        for group, verbs in {**GROUPS, "More": tuple(verb for verb in VERBS if verb not in known)}.items():
            rows = [(verb, VERBS[verb]) for verb in verbs if verb in VERBS]
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows)


app = typer.Typer(
    cls=Grouped,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from heliograph import __version__

        print(f"heliograph {__version__}")
        raise typer.Exit()


@app.callback(epilog=f"Start with: heliograph train molecules.csv -o run. {GRAPHS}. Each verb has an example in its help.")
def heliograph(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)] = False,
) -> None:
    """Message passing neural networks: bring a table of molecules, leave with a predictor you may trust."""


def _verb() -> None:
    raise AssertionError("heliograph.cli.main runs the verbs")


for _name, _text in VERBS.items():
    app.command(_name, help=_text)(_verb)
