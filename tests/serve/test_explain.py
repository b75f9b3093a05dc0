"""Reasons over HTTP: those of the library, drawn, with nothing that a stranger could break."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from heliograph.explain import explain
from heliograph.predictor import open as open_model


def test_the_reasons_are_those_of_the_library(client: TestClient, models: Path) -> None:
    asked = {"smiles": "CC(=O)Oc1ccccc1", "model": "one", "target": "b"}
    answer = client.post("/v1/explain", json=asked)
    assert answer.status_code == 200
    found = answer.json()
    wanted = explain(open_model(models / "one"), [asked["smiles"]], target="b")[0]
    np.testing.assert_allclose(found["atoms"], wanted.atoms, rtol=1e-5, atol=1e-7)
    assert found["prediction"] == pytest.approx(wanted.prediction) and found["fidelity"] == pytest.approx(wanted.fidelity, abs=1e-4)
    assert found["model"] == "one" and found["method"] == "occlusion" and "<svg" in found["svg"]
    other = client.post("/v1/explain", json={"smiles": asked["smiles"], "model": "one"}).json()
    assert not np.allclose(other["atoms"], found["atoms"])  # of the first target


def test_a_molecule_of_one_atom_has_no_fidelity(client: TestClient) -> None:
    found = client.post("/v1/explain", json={"smiles": "C"}).json()
    assert found["fidelity"] is None and len(found["atoms"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"smiles": "C1CC"}, 400, "SMILES"),
        ({"smiles": ""}, 400, "empty"),
        ({"smiles": "C" * 200}, 400, "200 atoms"),
        ({"smiles": "C" * 2000}, 400, "characters"),
        ({"smiles": "CC", "model": "none"}, 404, "no such model"),
        ({"smiles": "CC", "target": "mass"}, 400, "does not predict"),
        ({"smiles": "CC", "method": "x"}, 400, ""),
    ],
)
def test_bad_questions(client: TestClient, body: dict[str, str], status: int, words: str) -> None:
    answer = client.post("/v1/explain", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.text and "Traceback" not in answer.text
