"""Every example of README.md, CONTRIBUTING.md and docs/ runs, file by file, in a folder of its own.

`console` blocks are commands after `$ `, a `python` block stands alone. What takes hours, a network or another machine is in `sh` blocks:
of those the options of `heliograph` are checked; of `toml` blocks the keys. Unmarked and `text` blocks are shown only. The examples of
a file run in one process, one after another, and that process is forked from one that has loaded PyTorch already.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
NEEDS_NETWORK = "fetch("
RUN = """
import importlib, itertools, json, os, shlex, subprocess, sys, traceback
from heliograph.cli import main
from heliograph.data.sets import smallmol
from heliograph.train import baselines
baselines.TREES = 20  # of a forest, which nobody looks at here
whole = smallmol.records
smallmol.records = lambda *args: itertools.islice(whole(*args), 500)  # of 6,373
for name in ("train.runner", "onegraph.runner", "compare.runner", "potential.runner", "report.training", "chem.draw", "kernels.numbering"):
    importlib.import_module(f"heliograph.{name}")
import sklearn.ensemble, torch

def run(steps):
    for kind, text in steps:
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

for line in sys.stdin:
    folder, steps = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(folder)
        told = os.open(".told", os.O_WRONLY | os.O_CREAT)
        os.dup2(told, 1), os.dup2(told, 2)
        code = 1
        try:
            run(steps)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
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


@pytest.fixture(scope="module")
def runner() -> Iterator[subprocess.Popen[str]]:
    """A process that has loaded everything and forks for each page: loading takes longer than most examples."""
    command = [sys.executable, "-c", RUN]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_examples_run(page: Path, tmp_path: Path, runner: subprocess.Popen[str]) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    steps = [step for block in blocks(page) for step in steps_of(*block)]
    assert runner.stdin and runner.stdout
    print(json.dumps([str(tmp_path), steps]), file=runner.stdin, flush=True)
    code = runner.stdout.readline().strip()
    told = (tmp_path / ".told").read_text() if (tmp_path / ".told").exists() else ""
    assert code == "0", f"{page.name}: {code}\n{told[-8000:]}"


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
