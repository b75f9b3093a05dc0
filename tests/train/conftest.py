"""A small table and a small network, so that a training takes a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.train.config import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, TrustConfig

MOLECULES = """C CC CCC CCCC CCCCC CCCCCC CO CCO CCCO CCCCO CN CCN CCCN CCCCN c1ccccc1 Cc1ccccc1 CCc1ccccc1 Oc1ccccc1 Nc1ccccc1
C1CC1 C1CCC1 C1CCCC1 C1CCCCC1 CC(C)C CC(C)O CC(C)N CC=O CCC=O CC(C)=O CC(=O)O CCC(=O)O CC#N CCC#N C=C C=CC C#C C#CC COC CCOC CCOCC
CF CCF CCl CCCl c1ccncc1 Cc1ccncc1 c1ccoc1 c1ccsc1 CC(=O)N CC(=O)NC CCS CSC OCCO NCCN OCCN FCCF ClCCCl CC(C)(C)C CC(C)(C)O C1CCOC1
C1CCNCC1""".split()  # noqa: SIM905


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """60 molecules with their number of letters (y), whether they hold oxygen (o), and a class of three (kind)."""
    lines = ["smiles,y,o,kind"]
    for k, smiles in enumerate(MOLECULES):
        kind = "ring" if "1" in smiles else "o" if "O" in smiles else "other"
        lines.append(f"{smiles},{len(smiles) + 0.1 * (k % 7):.1f},{int('O' in smiles)},{kind}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def config(table: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """config(epochs=3, target_columns=("y",)): a TrainConfig for `table` with any field changed."""

    def make(**changes: Any) -> TrainConfig:
        given: dict[str, Any] = {
            "data_path": table,
            "target_columns": ("y",),
            "num_workers": 0,
            "arch": "gcn",
            "arch_args": {"d": 16, "depth": 2, "dropout": 0.1},
            "epochs": 3,
            "batch_size": 16,
            "baselines": False,
            "accelerator": "cpu",
        }
        given |= changes
        groups = {"data": DataConfig, "split": SplitConfig, "model": ModelConfig, "fit": FitConfig, "trust": TrustConfig}
        nested = {g: c(**{k: given.pop(k) for k in list(given) if k in c.model_fields}) for g, c in groups.items()}
        return TrainConfig(**nested, **({"output_dir": tmp_path / "run"} | given))

    return make
