"""Every example of README.md and docs/ runs, file by file, in a folder of its own.

`console` blocks are commands after `$ `, a `python` block stands alone; `sh`, `toml` and unmarked blocks are shown only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
NEEDS_NETWORK = "fetch("


def blocks(page: Path) -> list[tuple[str, str]]:
    found = [(kind, text) for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in ("python", "console")]
    return [(kind, text) for kind, text in found if NEEDS_NETWORK not in text]


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "160"}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    heliograph = f'heliograph() {{ "{sys.executable}" -m heliograph "$@"; }}\n'
    for kind, text in blocks(page):
        if kind == "python":
            _run([sys.executable, "-c", text], page, text, tmp_path)
        else:
            commands = "".join(line[2:] + "\n" for line in text.splitlines() if line.startswith("$ "))
            _run(["bash", "-euc", heliograph + commands], page, commands, tmp_path)


def _run(command: list[str], page: Path, text: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{page.name}:\n{text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
