"""The rooms as they must stay: what may import what is import-linter's (pyproject.toml); this is what it can't see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliograph

SOURCE = Path(heliograph.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_chemistry_stays_in_its_room_and_nothing_is_pickled(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    room = path.relative_to(SOURCE).parts[0]
    if room != "chem":
        assert not roots & {"rdkit", "ase", "tblite"}
    if path.relative_to(SOURCE) != Path("kernels/kept.py"):  # it checks a keyed hash first: tests/safety/test_compiled.py
        assert not roots & {"pickle", "joblib", "dill"}


def test_every_public_name_is_there() -> None:
    for name in heliograph.__all__:
        assert getattr(heliograph, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = heliograph.nothing_of_the_kind
    assert set(heliograph.__all__) <= set(dir(heliograph))
