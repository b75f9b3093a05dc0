"""The help: verbs by what a person wants, one example each, which is a command line that there is."""

from __future__ import annotations

import shlex
from importlib import import_module
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner as Runner

from heliograph.cli import VERBS, home
from heliograph.cli.examples import EXAMPLES, GROUPS, with_example
from heliograph.cli.top import app


def test_every_verb_stands_in_one_group() -> None:
    grouped = [verb for verbs in GROUPS.values() for verb in verbs]
    assert len(grouped) == len(set(grouped)) and set(grouped) <= set(VERBS)
    text = Runner().invoke(app, ["--help"]).output
    assert all(f"\n{group}:\n" in text for group in GROUPS) and ("More:" in text) is (set(grouped) < set(VERBS))
    assert all(f"\n  {verb} " in text for verb in VERBS)


@pytest.mark.parametrize("module", EXAMPLES)
def test_an_example_is_in_the_help_and_its_options_exist(module: str) -> None:
    words = shlex.split(EXAMPLES[module])
    assert words[0] == "heliograph" and home(words[1], words[2:]) == module
    application = with_example(import_module(f"heliograph.cli.{module}").app, module)
    said = " ".join(Runner().invoke(application, ["--help"], terminal_width=200).output.split())
    assert said.count("Example: ") == 1 and EXAMPLES[module] in said
    command: Any = typer.main.get_command(application)
    command = command.commands.get(words[2], command) if hasattr(command, "commands") else command
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= known
