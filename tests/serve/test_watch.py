"""The watch on drift: silent for molecules like those of training, however long; soon heard where they are not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.data.sets import smallmol
from heliograph.data.store import Store
from heliograph.predictor import open as open_model
from heliograph.serve.served import Row
from heliograph.serve.watch import ALARM, LAST, Watch
from heliograph.uncertainty.domain import Domain
from tests.cli.conftest import make_run


def rows(distances: Iterable[float], name: str = "m") -> list[Row]:
    return [Row(f"{name}{k}", "", {"domain_distance": float(d), "in_domain": d < 0.95}) for k, d in enumerate(distances)]


def alarms(random: np.random.Generator, reference: int, streams: int, length: int) -> int:
    """Streams in which a capital of ALARM is reached, distances being ranks among a training sample of its own each time."""
    found = 0
    for _ in range(streams):
        training = np.sort(random.random(reference))
        found += Watch(reference).see(rows(np.searchsorted(training, random.random(length)) / reference))
    return found


def test_no_alarm_for_what_is_like_training() -> None:
    random = np.random.default_rng(0)
    assert alarms(random, 100, 60, 2000) <= 2  # without the margin for a finite training it is one stream in six


def test_what_has_moved_is_heard_soon() -> None:
    random = np.random.default_rng(1)
    watch, heard = Watch(1000), 0
    for k, row in enumerate(rows(random.beta(4, 1, 400))):
        if watch.see([row]):
            heard = k
    assert 10 < heard < 100 and watch.about()["most_log10"] >= math.log10(ALARM)
    assert watch.about()["p_value"] < 1e-6 and watch.about()["out_of_domain"] == pytest.approx(1 - 0.95**4, abs=0.07)
    assert not Watch(1000).see(rows(random.beta(1, 4, 400)))  # nearer to training than training itself


def test_a_molecule_counts_once_and_only_the_last_are_judged() -> None:
    watch = Watch(1000)
    watch.see(rows([0.99]) * 500 + [Row("?", "not valid SMILES")])
    assert watch.seen == 1 and watch.about()["capital_log10"] < 0.2
    watch.see(rows(np.linspace(0, 0.9, LAST), "other"))
    assert watch.seen == LAST + 1 and watch.about()["out_of_domain"] == 0.0


def test_a_service_tells_of_drift(start: Any, models: Path, tmp_path: Path) -> None:
    made = make_run(tmp_path / "one")
    predictor = open_model(made)
    known = [str(text) for text in smallmol.load().smiles[:300]]
    from heliograph.chem.molecule import featurize

    store = Store.build([featurize(text, predictor.featurizer, scaffold=False) for text in known], predictor.featurizer)
    domain, _ = Domain.fit(store, np.arange(300), np.arange(300) % 5, "full")
    predictor.with_trust({}, domain.to_dict()).save(tmp_path / "one" / "model.safetensors")
    client, log = start(models=(f"watched={tmp_path / 'one'}", str(models / "other")))
    ask = {"smiles": [str(text) for text in smallmol.load().smiles[300:360]]}
    assert client.post("/v1/predict", json=ask).status_code == 200
    assert not [line for line in log if line["event"] == "drift"]
    client.post("/v1/predict", json={"smiles": ["NCC(=O)N" * k + "CC(=O)O" for k in range(2, 60)]})
    (said,) = [line for line in log if line["event"] == "drift"]
    assert said["model"] == "watched" and said["most_log10"] > 2 and said["molecules"] == 118
    first, second = client.get("/v1/models").json()
    assert first["drift"]["molecules"] == 118 and "drift" not in second
    text = client.get("/metrics").text
    assert 'heliograph_drift_molecules{model="watched"} 118' in text and "heliograph_drift_out_of_domain" in text
