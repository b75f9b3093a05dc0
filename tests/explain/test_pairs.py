"""Measured molecules that differ in one place."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from heliograph.errors import DataError, UsageError
from heliograph.explain import ExplainConfig, explain_file
from heliograph.explain.pairs import Measured, measured
from tests.cli.conftest import Run, make_run
from tests.explain.test_explain import predictor


def test_partners_differ_in_one_place_and_the_farthest_labels_come_first() -> None:
    p = predictor()
    labels = {
        "Cc1ccccc1": 1.0,
        "Oc1ccccc1": 5.0,
        "c1ccccc1": -40.0,
        "Clc1ccccc1": float("nan"),
        "CCO": 3.0,
        "Oc1ccc(C)cc1": 30.0,
        "x x": 1.0,
    }
    known = Measured(list(labels), list(labels.values()))
    assert set(known.labels) == {"Cc1ccccc1", "Oc1ccccc1", "c1ccccc1", "CCO", "Cc1ccc(O)cc1"}
    found = known.partners("Nc1ccccc1", p)
    y = dict(zip((one.smiles for one in found), p.predict([one.smiles for one in found])[:, 0], strict=True))
    own = p.predict(["Nc1ccccc1"])[0, 0]
    assert [one.smiles for one in found] == sorted(y, key=lambda s: -abs(known.labels[s] - own))
    assert {one.smiles: one.change for one in found} == {
        "c1ccccc1": "N[*:1]>>[H][*:1]", "Cc1ccccc1": "N[*:1]>>C[*:1]", "Oc1ccccc1": "N[*:1]>>O[*:1]"
    }  # fmt: skip
    for one in found:
        assert one.step == pytest.approx(y[one.smiles] - own, abs=1e-6) and one.label == known.labels[one.smiles]
    assert len(known.partners("Nc1ccccc1", p, most=1)) == 1
    assert "Oc1ccccc1" not in {one.smiles for one in known.partners("Oc1ccccc1", p)}  # itself
    assert known.partners("C1CCC2(CC1)CCCC2", p) == () == known.partners("no molecule", p)
    assert [one.smiles for one in known.partners("c1(N)ccccc1", p)] == [one.smiles for one in found]  # another writing


def test_the_command(run: Run, tmp_path: Path) -> None:
    model = make_run(tmp_path / "run")
    (tmp_path / "table.csv").write_text("smiles,a,b\nCc1ccccc1,1,9\nOc1ccccc1,5,8\nxx,1,1\nCCC,,3\n")
    (tmp_path / "in.csv").write_text("name,smiles\nx,Nc1ccccc1\ny,nonsense\n")
    done = run("explain", model, "in.csv", "--pairs", "table.csv", "-o", "why.csv")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "why.csv") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["pairs"].count(";") == 1 and "N[*:1]>>O[*:1] Oc1ccccc1 5 " in rows[0]["pairs"] and rows[1]["pairs"] == ""
    assert run("explain", model, "in.csv", "--pairs", "table.csv", "--target", "b", "-o", "why.html").returncode == 0
    page = (tmp_path / "why.html").read_text()
    assert "Oc1ccccc1</code>: measured 8" in page and "the prediction changes by" in page
    (tmp_path / "none.csv").write_text("smiles,a\nxx,1\nCCO,\n")
    found = run("explain", model, "in.csv", "--pairs", "none.csv", "-o", "no.html")
    assert found.returncode == 1 and "no row has a SMILES and a number in 'a'" in found.stderr
    with pytest.raises(DataError, match="no column"):
        measured(tmp_path / "none.csv", "c")
    binary = make_run(tmp_path / "binary", kind="binary")
    with pytest.raises(UsageError, match="compares numbers"):
        explain_file(
            ExplainConfig(model_path=binary, data_path=tmp_path / "in.csv", output_path=tmp_path / "x.csv", pairs=tmp_path / "table.csv")
        )
