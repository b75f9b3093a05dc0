"""Every example of README.md, CONTRIBUTING.md and docs/ runs, file by file, in a folder of its own.

`console` blocks are commands after `$ `, a `python` block stands alone. What takes hours, a network or another machine is in `sh` blocks:
of those the options of `heliograph` are checked; of `toml` blocks the keys. Unmarked and `text` blocks are shown only. The examples of
a file run in one process, one after another: most of the time of a small example is spent on loading PyTorch.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
NEEDS_NETWORK = "fetch("
RUN = """
import itertools, json, shlex, subprocess, sys
from heliograph.cli import main
from heliograph.data.sets import smallmol
from heliograph.train import baselines
baselines.TREES = 20  # of a forest, which nobody looks at here
whole = smallmol.records
smallmol.records = lambda *args: itertools.islice(whole(*args), 500)  # of 6,373
for kind, text in json.loads(sys.argv[1]):
    print(text, flush=True)
    if kind == "python":
        exec(compile(text, "<example>", "exec"), {"__name__": "__main__"})
    elif text.startswith("heliograph "):
        try:
            main(shlex.split(text)[1:])
        except SystemExit as done:
            if done.code:
                raise
    else:
        subprocess.run(["bash", "-euc", text], check=True)
"""


def blocks(page: Path) -> list[tuple[str, str]]:
    found = [(kind, text) for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in ("python", "console")]
    return [(kind, text) for kind, text in found if NEEDS_NETWORK not in text]


def steps_of(kind: str, text: str) -> list[tuple[str, str]]:
    """A block of Python is one step, of a console each command."""
    return [(kind, text)] if kind == "python" else [(kind, line[2:]) for line in text.splitlines() if line.startswith("$ ")]


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "160"}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    steps = [step for block in blocks(page) for step in steps_of(*block)]
    command = [sys.executable, "-c", RUN, json.dumps(steps)]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{page.name}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def shown(kind: str) -> list[tuple[str, str]]:
    """(page, line) of commands in `sh` blocks, (page, text) of `toml` blocks."""
    found = [(page.name, text) for page in PAGES for k, text in BLOCK.findall(page.read_text(encoding="utf-8")) if k == kind]
    if kind == "toml":
        return found
    return [(page, line) for page, text in found for line in text.replace("\\\n", " ").splitlines() if line.startswith("heliograph ")]


@pytest.mark.parametrize(("page", "line"), shown("sh"))
def test_commands_that_are_only_shown_are_commands(page: str, line: str) -> None:
    """They are read as they would be, options, values and all, and not run."""
    from importlib import import_module

    import typer.main

    _, verb, *words = shlex.split(line, comments=True)
    module = import_module(f"heliograph.cli.{verb}")
    command = typer.main.get_command(module.app)
    command.make_context(f"heliograph {verb}", list(getattr(module, "arguments", list)(words)))


@pytest.mark.parametrize(("page", "text"), shown("toml"))
def test_settings_that_are_only_shown_are_settings(page: str, text: str, tmp_path: Path) -> None:
    from heliograph.cli.options import read_toml
    from heliograph.cli.train import GROUPS, TOP

    (tmp_path / "shown.toml").write_text(text)
    assert read_toml(tmp_path / "shown.toml", GROUPS, TOP)


def test_a_wrong_option_would_be_seen() -> None:
    with pytest.raises(Exception, match="No such option: --optimize"):
        test_commands_that_are_only_shown_are_commands("x", "heliograph label in.csv -o out.csv --optimize")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
