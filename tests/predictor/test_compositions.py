"""What training never had is not zero: no number, or a reason beside it, wherever a model answers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from heliograph import MoleculeRegressor
from heliograph.errors import DataError
from heliograph.predictor import Predictor
from heliograph.predictor.compositions import Compositions
from heliograph.predictor.stream import PredictConfig, predict_file

CHAINS = ["C" * n for n in range(1, 13)] + ["C" * n + "O" for n in range(1, 13)] + ["C" * n + "(O)CO" for n in range(1, 13)]
ENERGY = {"C": -1030.0, "O": -2040.0, "H": -16.0}


def energy(smiles: str) -> float:
    carbon, oxygen = smiles.count("C"), smiles.count("O")
    return carbon * ENERGY["C"] + oxygen * ENERGY["O"] + (2 * carbon + 2) * ENERGY["H"]


def counts(**atoms: int) -> np.ndarray:
    numbers = {"H": 1, "C": 6, "O": 8, "Br": 35}
    row = np.zeros(119, dtype=np.int64)
    for symbol, n in atoms.items():
        row[numbers[symbol]] = n
    return row


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    fit = MoleculeRegressor("gcn", {"d": 8, "depth": 1}, epochs=2, fit_args={"batch_size": 8}).fit(CHAINS, [energy(s) for s in CHAINS])
    assert any("references" in note for note in fit.notes_)
    with pytest.warns(UserWarning, match="1 of 2 structures are NaN: outside training: no molecule there has Br"):
        assert np.isnan(fit.predict(["CCO", "CCBr"])).tolist() == [False, True]
    with pytest.warns(UserWarning, match="1 of 3 structures have no answer and are left out of the score"):
        with_bad = fit.score(["CCO", "not one", "CCCC"], [energy("CCO"), 1.0, energy("CCCC")])
    assert with_bad == fit.score(["CCO", "CCCC"], [energy("CCO"), energy("CCCC")])
    return fit.predictor_  # type: ignore[no-any-return]


def test_spans() -> None:
    isomers = Compositions.of(np.stack([counts(C=6, H=14)] * 3))
    assert isomers.reasons(np.stack([counts(C=6, H=14), counts(C=12, H=28), counts(C=7, H=16), counts(C=6, H=14, O=1)]), True) == [
        "", "", "outside training: the composition C7H16 can't be made up of those there", "outside training: no molecule there has O",
    ]  # fmt: skip
    assert isomers.reasons(counts(C=7, H=16)[None], span=False) == [""]
    both = Compositions.of(np.stack([counts(C=1, H=4), counts(C=2, H=6), counts(C=1, H=4, O=1)]))
    assert both.reasons(np.stack([counts(C=40, H=2, O=30), counts(H=2), counts()]), True) == ["", "", ""]
    again = Compositions.from_dict(isomers.to_dict())
    assert again.elements == isomers.elements and np.array_equal(again.basis, isomers.basis)  # type: ignore[arg-type]


def test_an_element_without_a_reference_gets_no_number(predictor: Predictor) -> None:
    found = predictor.predict_records(["CCO", "CCBr", "not one", "C[Si](C)(C)C", "CCCC"])
    assert np.isnan(found.y[:, 0]).tolist() == [False, True, True, True, False]
    assert found.reasons[1] == "outside training: no molecule there has Br"
    assert found.reasons[3] == "outside training: no molecule there has Si" and found.reasons[2].startswith("not valid SMILES")
    assert found.reasons[0] == found.reasons[4] == ""


def test_a_model_file_carries_it(predictor: Predictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "m.safetensors")
    with open(tmp_path / "in.csv", "w") as file:
        file.write("smiles\nCCO\nCCBr\nCCCC\n")
    summary = predict_file(
        PredictConfig(model_path=tmp_path / "m.safetensors", data_path=tmp_path / "in.csv", output_path=tmp_path / "out.csv")
    )
    assert summary.predicted == 2 and summary.reasons == {"outside training": 1}
    with open(tmp_path / "out.csv") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["y_pred"]) for row in rows] == [True, False, True]
    assert rows[1]["reason"] == "outside training: no molecule there has Br"


def test_compositions_outside_the_span() -> None:
    """Isomers only: nothing was fitted that could tell carbon from hydrogen."""
    isomers = ["CCCCCC", "CCCC(C)C", "CCC(C)CC", "CC(C)C(C)C", "CCC(C)(C)C"] * 4
    y = np.array([-100.0 - 0.1 * k for k in range(5)] * 4)
    fit = MoleculeRegressor("gcn", {"d": 8, "depth": 1}, epochs=1, validation_fraction=0.0).fit(isomers, y)
    plain = fit.predictor_
    assert np.isfinite(plain.predict(["CCCCCCC"])).all()  # no references: a number
    assert plain.predict_records(["CCO"]).reasons == ("outside training: no molecule there has O",)  # and a reason beside it
    assert np.isfinite(plain.predict(["CCO"])).all()
    from dataclasses import replace

    outputs = {"y": {**plain.document.outputs["y"], "scaling": {"mean": [0.0], "std": [1.0], "references": {"1": [-5.0], "6": [-5.0]}}}}
    referenced = Predictor(plain.models, replace(plain.document, outputs=outputs))
    found = referenced.predict_records(["CCCCCCC", "CCCCCC", "CCCCCCCCCCCC"])
    assert np.isnan(found.y[:, 0]).tolist() == [True, False, True]
    assert found.reasons[0] == "outside training: the composition C7H16 can't be made up of those there"


def test_old_files_know_the_elements_of_their_references(predictor: Predictor) -> None:
    from dataclasses import replace

    outputs = {"y": {key: value for key, value in predictor.document.outputs["y"].items() if key != "compositions"}}
    old = Predictor(predictor.models, replace(predictor.document, outputs=outputs))
    found = old.predict_records(["CCO", "CCBr"])
    assert np.isnan(found.y[:, 0]).tolist() == [False, True] and "Br" in found.reasons[1]


DAMAGED: list[object] = [{}, [], {"elements": None}, {"elements": [6, 999]}, {"elements": [1, 6], "basis": [[1.0]]},
                         {"elements": [6], "basis": [["a"]]}, {"elements": [6], "basis": [[1e400]]}]  # fmt: skip


@pytest.mark.parametrize("data", DAMAGED, ids=repr)
def test_damaged_compositions_are_errors_of_the_file(data: object) -> None:
    with pytest.raises(DataError, match="compositions of training in this file are none"):
        Compositions.from_dict(data)  # type: ignore[arg-type]
