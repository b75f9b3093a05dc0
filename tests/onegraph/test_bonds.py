"""Labels of bonds from a table of molecules."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from heliograph.cli import main
from heliograph.errors import DataError
from heliograph.onegraph.bonds import read_molecules, values
from heliograph.onegraph.result import GraphResult
from tests.onegraph.test_run import table_of

SMILES = ["CCO", "CC(=O)NC", "c1ccccc1CO", "CCCCN", "OC(=O)CCN", "CC(C)OC", "C1CCCC1C(=O)OC", "NCCO", "CNC(=O)CC", "COC", "CCCC", "OCCN"]


def breaks(smiles: str) -> list[int]:
    """A bond breaks where it is single, in no ring, and has carbon at one end alone."""
    mol = Chem.MolFromSmiles(smiles)
    carbons = [[atom.GetAtomicNum() for atom in (b.GetBeginAtom(), b.GetEndAtom())].count(6) for b in mol.GetBonds()]
    return [int(b.GetBondTypeAsDouble() == 1 and not b.IsInRing() and n == 1) for b, n in zip(mol.GetBonds(), carbons, strict=True)]


def write(path: Path) -> Path:
    rows = [[s, ";".join(map(str, breaks(s)))] for s in SMILES * 4]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["smiles", "breaks"], *rows, ["C(C", "1"], ["CCO", "1;0;1"], ["CCN", ""]])
    return path


def test_a_value_stands_for_each_bond_in_the_order_of_the_smiles(tmp_path: Path) -> None:
    found = read_molecules(write(tmp_path / "m.csv"), "smiles", ("breaks",))
    assert found.reasons[49] == "breaks lists 3 values for 2 bonds" and list(found.reasons) == [48, 49]
    labels = np.array(found.bonds["breaks"].to_pylist())
    for row in (0, 1, 6):
        assert labels[found.molecule == row].tolist() == [str(v) for v in breaks(SMILES[row])]
    assert labels[found.molecule == 50].tolist() == ["", ""]
    ends = found.bonds.filter(found.molecule == 1)
    mol = Chem.MolFromSmiles(SMILES[1])
    assert ends["source"].to_pylist() == [f"1:{b.GetBeginAtomIdx()}" for b in mol.GetBonds()]
    for cell in ("1;0;1", "[1, 0, 1]", "1 0 1", [1, 0, 1]):
        assert values(cell, 3, "b") == ["1", "0", "1"]
    with pytest.raises(DataError, match="did you mean 'breaks'"):
        read_molecules(tmp_path / "m.csv", "smiles", ("break",))


def test_bonds_that_break_are_learned_and_predicted_as_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = write(tmp_path / "m.csv"), tmp_path / "run"
    options = ["--smiles-column", "smiles", "--target-columns", "breaks", "--epochs", "60", "-o", str(out)]
    for args in (
        ["train", str(table), "--level", "edge", *options],
        ["predict", str(out), str(table), "-o", str(tmp_path / "p.csv")],
    ):
        with pytest.raises(SystemExit) as end:
            main(args)
        assert end.value.code == 0, capsys.readouterr().err
    result = GraphResult.load(out)
    assert result.metrics["test"]["mean"]["roc_auc"] > 0.85 and result.facts.reasons["nodes"]
    rows = table_of(tmp_path / "p.csv")
    assert len(rows) == 51 and rows[48]["breaks_pred"] == "" and rows[48]["reason"] and len(rows[2]["breaks_pred"].split(";")) == 8
    tested = {r["source"].split(":")[0] for r in table_of(out / "test_predictions.csv")}
    trained = {r["source"].split(":")[0] for r in table_of(out / "val_predictions.csv")}
    assert tested and not tested & trained  # a molecule is in one part
