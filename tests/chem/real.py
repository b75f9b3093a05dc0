"""Real data, where it is: `$HELIOGRAPH_DATA`, else `../shared/data` beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[2].parent / "shared" / "data"


def data(name: str) -> Path:
    """A file of the data folder; skips the test, saying so, where it is absent."""
    path = Path(os.environ.get("HELIOGRAPH_DATA", _BESIDE)) / name
    if not path.is_file():
        pytest.skip(f"needs {path}: set HELIOGRAPH_DATA to the folder of real data")
    return path


def moleculenet(name: str) -> Path:
    """A file of the MoleculeNet folder; skips the test, saying so, where it is absent."""
    return data(f"moleculenet/{name}")
