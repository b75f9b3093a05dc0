"""Whether a run begins or goes on: every combination of what lies in the folder and what is asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heliograph import manifest
from heliograph.errors import UsageError
from heliograph.learn import FitConfig, runfolder
from heliograph.learn.config import Group
from heliograph.manifest import Kind

KIND = Kind("a test", re.compile(r"config\.toml|train\.log|model\.safetensors"))
NAMES = ("config.toml", "train.log", "model.safetensors")


class Config(Group):
    fit: FitConfig = FitConfig()
    output_dir: Path = Path("run")


def written(folder: Path, *names: str) -> Path:
    manifest.claim(folder, KIND, NAMES, replace=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def goes_on(folder: Path, resume: bool = False, overwrite: bool = False, inputs: tuple[Path, ...] = ()) -> bool:
    return runfolder.goes_on(folder, KIND, resume, overwrite, NAMES, inputs)


def test_begun_and_gone_on_with(tmp_path: Path) -> None:
    assert not goes_on(tmp_path / "new") and not goes_on(tmp_path / "new", resume=True)
    killed = written(tmp_path / "killed", "train.log")  # before there was anything to go on with
    assert not goes_on(killed) and not goes_on(killed, resume=True)
    there = written(tmp_path / "there", *NAMES)
    assert goes_on(there, resume=True) and not goes_on(there, overwrite=True)
    with pytest.raises(UsageError, match="holds a run already: --resume goes on"):
        goes_on(there)
    with pytest.raises(UsageError, match="exclude one another"):
        goes_on(there, resume=True, overwrite=True)
    with pytest.raises(UsageError):  # what a run reads is never replaced
        goes_on(there, overwrite=True, inputs=(there / "model.safetensors",))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "config.toml").touch()
    with pytest.raises(UsageError, match="is not empty"):
        goes_on(tmp_path / "theirs", resume=True)


def test_other_settings_are_named() -> None:
    saved, asked = Config(), Config(fit=FitConfig(epochs=3, max_lr=0.5), output_dir=Path("elsewhere"))
    with pytest.raises(UsageError, match=r"--epochs was 50, is 3, --max-lr was 0\.001, is 0\.5"):
        runfolder.refuse_changes(saved, asked)
    runfolder.refuse_changes(saved, asked, {"epochs", "max_lr"})
