"""A library with what libraries have: duplicates written otherwise, salts, rows that can't be read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from heliograph.data.sets import smallmol
from tests.cli.conftest import make_run, run  # noqa: F401 (a fixture)

BAD = ["not a molecule", "", "C(C)(C)(C)(C)C", '"unclosed']


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with one small `gcn` of random weights for the targets a and b."""
    return make_run(tmp_path_factory.mktemp("models") / "one")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,203 rows: 1,000 of the shipped molecules, 199 of them again in another writing, four bad ones; a column `active`."""
    from rdkit import Chem

    rng = random.Random(0)
    smiles = [str(text) for text in smallmol.load().smiles[::6][:1000]]
    again = [Chem.MolToSmiles(Chem.MolFromSmiles(text), doRandom=True) for text in smiles[:199]]
    rows = [*smiles, *again, *BAD]
    rng.shuffle(rows)
    path = tmp_path_factory.mktemp("library") / "library.csv"
    lines = ["smiles,name,active", *(f"{text},m{k},{int('F' in text)}" for k, text in enumerate(rows))]
    path.write_text("\n".join(lines) + "\n")
    return path
