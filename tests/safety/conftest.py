"""Small trainings and comparisons, and what a folder holds, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run, run  # noqa: F401 (a fixture)
from tests.train.conftest import MOLECULES


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr("heliograph.train.baselines.TREES", 10)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """60 molecules and their number of letters, `y`."""
    path = tmp_path / "table.csv"
    path.write_text("smiles,y\n" + "".join(f"{s},{len(s) + 0.1 * (k % 7):.1f}\n" for k, s in enumerate(MOLECULES)))
    return path


def snapshot(folder: Path) -> dict[str, bytes | str | None]:
    """Relative path -> content; a link's target; None for a folder."""

    def of(path: Path) -> bytes | str | None:
        if path.is_symlink():
            return str(path.readlink())
        return path.read_bytes() if path.is_file() else None

    return {path.relative_to(folder).as_posix(): of(path) for path in sorted(folder.rglob("*"))}


TRAIN = ("--arch", "sgc", "--epochs", "1", "--num-workers", "0", "--no-baselines", "-q")
COMPARE = ("--archs", "sgc", "--cv", "1x2", "--epochs", "1", "--num-workers", "0", "-q")
