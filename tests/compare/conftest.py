"""A small comparison, so that a whole one takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.compare import CompareConfig, CompareOptions
from heliograph.train.config import DataConfig, FitConfig
from tests.train.conftest import MOLECULES

Config = Callable[..., CompareConfig]


@pytest.fixture
def config(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Config:
    """60 molecules with two targets; a comparison of two networks on 2 x 2 folds with any field changed."""
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr("heliograph.train.baselines.TREES", 10)
    monkeypatch.setattr("heliograph.train.baselines.ROUNDS", 10)
    lines = ["smiles,y,o,few"]
    lines += [f"{s},{len(s) + 0.1 * (k % 7):.1f},{int('O' in s)},{k if k % 2 else ''}" for k, s in enumerate(MOLECULES)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines) + "\n")

    def make(**changes: Any) -> CompareConfig:
        given = {"data_path": table, "target_columns": ("y",), "num_workers": 0, "archs": ("gcn", "sgc"), "cv": "2x2", "epochs": 2,
                 "accelerator": "cpu"} | changes  # fmt: skip
        groups = {"data": DataConfig, "compare": CompareOptions, "fit": FitConfig}
        nested = {g: c(**{k: given.pop(k) for k in list(given) if k in c.model_fields}) for g, c in groups.items()}
        return CompareConfig(**nested, **({"output_dir": tmp_path / "comparison"} | given))

    return make
