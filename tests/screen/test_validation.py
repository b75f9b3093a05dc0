"""What is known is left out however it is written; the best are computed beside, once, and go on where they stopped."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rdkit import Chem

from heliograph.chem.parse import canonical
from heliograph.errors import DataError, UsageError
from heliograph.report.screening import write
from heliograph.screen import ScreenConfig, run
from heliograph.screen.validation import agreement

LENGTH = """import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
with open(sys.argv[3], "a") as file:
    file.write("".join(row["smiles"] + "\\n" for row in rows))
if len(sys.argv) > 4 and len(open(sys.argv[3]).readlines()) > int(sys.argv[4]):
    sys.exit("out of luck")
with open(sys.argv[2], "w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["smiles", "y", "reason"])
    for k, row in enumerate(rows):
        out.writerow([row["smiles"], "" if k == 1 else len(row["smiles"]), "too odd" if k == 1 else ""])
"""


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def config(model: Path, library: Path, out: Path, **changes: Any) -> ScreenConfig:
    given = {"model_path": model, "library": (library,), "output_dir": out, "jobs": 0, "top": 20} | changes
    return ScreenConfig.model_validate(given)


def test_known_molecules_are_left_out_however_they_are_written(model: Path, library: Path, tmp_path: Path) -> None:
    run(config(model, library, tmp_path / "all", top=60))
    every = [row["canonical_smiles"] for row in table(tmp_path / "all" / "top.csv")]
    known = tmp_path / "known.csv"
    other = [Chem.MolToSmiles(Chem.MolFromSmiles(text), doRandom=True) for text in every[:40:2]]
    known.write_text("smiles\n" + "\n".join([*other, "no molecule"]) + "\n")
    result = run(config(model, library, tmp_path / "out", known=(known,)))
    found = [row["canonical_smiles"] for row in table(tmp_path / "out" / "top.csv")]
    gone = {canonical(text) for text in other}
    assert found == [text for text in every if text not in gone][:20]
    assert result.known >= 20
    known.write_text("smiles\nC\n")
    with pytest.raises(UsageError, match="another screening"):
        run(config(model, library, tmp_path / "out", known=(known,)), resume=True)
    with pytest.raises(UsageError, match="no such file"):
        run(config(model, library, tmp_path / "x", known=(tmp_path / "none.csv",)))
    known.write_text("smiles\n!\n")
    with pytest.raises(DataError, match="can be read"):
        run(config(model, library, tmp_path / "x", known=(known,)))


def test_the_best_are_computed_once_and_a_failed_command_goes_on(model: Path, library: Path, tmp_path: Path) -> None:
    script, asked = tmp_path / "length.py", tmp_path / "asked.txt"
    script.write_text(LENGTH)
    command = f"{sys.executable} {script} {{in}} {{out}} {asked}"
    given = {"validate_top": 12, "validate_by": f"{command} 9"}
    with pytest.raises(DataError, match="out of luck"):
        run(config(model, library, tmp_path / "out", **given))
    asked.write_text("")
    script.write_text(LENGTH.replace("int(sys.argv[4])", "99"))
    result = run(config(model, library, tmp_path / "out", **given), resume=True)
    rows = table(tmp_path / "out" / "top.csv")
    assert asked.read_text().split() == [row["canonical_smiles"] for row in rows[8:12]]  # the first eight were in the journal
    for k, row in enumerate(rows):
        odd = k in (1, 9)
        assert row["validated"] == ("" if odd or k >= 12 else str(float(len(row["canonical_smiles"])))[:-2])
        assert row["validated_reason"] == ("too odd" if odd else "")
    assert result.validation is not None and result.validation["values"] == 10 and result.validation["asked"] == 12
    off = [abs(float(r["a_pred"]) - len(r["canonical_smiles"])) for k, r in enumerate(rows[:12]) if k not in (1, 9)]
    assert result.validation["mae"] == pytest.approx(sum(off) / 10, rel=1e-4)
    saved = json.loads((tmp_path / "out" / "results.json").read_text())
    assert saved["validation"]["values"] == 10
    page = write(result, tmp_path / "report.html").read_text()
    assert "Computed beside the prediction" in page and "10 of the best 12" in page


def test_what_is_asked_of_physics_is_checked_before_anything_is_read(model: Path, library: Path, tmp_path: Path) -> None:
    for text, words in (("xtb", "no 'a'"), ("label:gab", "gap"), ("column:x", "no physics"), ("python x.py", "{in}")):
        with pytest.raises(UsageError, match=words):
            run(config(model, library, tmp_path / "out", validate_by=text))
    assert not (tmp_path / "out").exists()


def test_agreement_of_none_of_one_and_of_equal_values() -> None:
    assert agreement([]) == {"values": 0.0}
    assert agreement([(1.0, 3.0)]) == {"values": 1.0, "mae": 2.0, "mean_error": -2.0}
    assert "spearman" not in agreement([(1.0, 1.0)] * 4)
    assert agreement([(1.0, 2.0), (2.0, 3.0), (3.0, 9.0)])["spearman"] == pytest.approx(1.0)
