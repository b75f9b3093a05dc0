"""The service: the same answers as `predict`, limits, errors that are the caller's, an end in good order."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from heliograph.data.sets import smallmol
from heliograph.predictor import open as open_model
from heliograph.serve.batching import Batcher, Busy
from heliograph.serve.config import ServeConfig
from heliograph.serve.metrics import Metrics
from heliograph.serve.served import Row
from tests.serve.conftest import Lines, Running

SMILES = [str(text) for text in smallmol.load().smiles[:: len(smallmol.load().smiles) // 90]]
Start = Callable[..., tuple[TestClient, Lines]]


def numbers(rows: Sequence[dict[str, Any]], column: str) -> list[float]:
    return [row["answers"][column] for row in rows]


def one_row(client: TestClient, model: str, text: str) -> dict[str, Any]:
    row: dict[str, Any] = client.post("/v1/predict", json={"smiles": [text], "model": model}).json()["rows"][0]
    return row


def test_answers_are_those_of_predict(client: TestClient, models: Path) -> None:
    for name, path in (("one", "one"), ("second", "other")):
        direct = open_model(models / path).predict_records(SMILES)
        whole = client.post("/v1/predict", json={"smiles": SMILES, "model": name}).json()["rows"]
        ask = partial(one_row, client, name)
        single = [ask(text) for text in SMILES[:20]]
        with ThreadPoolExecutor(8) as pool:  # whatever they are a batch with
            many = list(pool.map(ask, SMILES))
        for rows in (whole, many, single):
            n = len(rows)
            np.testing.assert_allclose(numbers(rows, "a_pred"), direct.y[:n, 0], rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(numbers(rows, "b_pred"), direct.y[:n, 1], rtol=1e-6, atol=1e-6)
        if direct.std is not None:
            np.testing.assert_allclose(numbers(whole, "a_std"), direct.std[:, 0], atol=1e-6)
        assert ("a_std" in whole[0]["answers"]) == (direct.std is not None)


def test_a_bad_molecule_is_a_row_with_a_reason(client: TestClient) -> None:
    asked = ["CCO", "nonsense", "", "C" * 1001, "C\u0000C", "C(C)(C)(C)(C)C", "c1ccccc1"]
    answer = client.post("/v1/predict", json={"smiles": asked})
    rows = answer.json()["rows"]
    assert answer.status_code == 200 and [row["smiles"] for row in rows] == asked
    assert [bool(row["reason"]) for row in rows] == [False, True, True, True, True, True, False]
    odd = client.post("/v1/predict", content=b'{"smiles": ["\\ud800"]}', headers={"content-type": "application/json"})
    assert odd.status_code == 200 and "not valid" in odd.json()["rows"][0]["reason"]
    assert "limit 1000" in rows[3]["reason"] and rows[1]["answers"] == {}


def test_what_the_models_are(client: TestClient) -> None:
    first, second = client.get("/v1/models").json()
    assert first["name"] == "one" and second["name"] == "second" and first["members"] == 2
    assert first["targets"] == [{"name": "a", "unit": "eV"}, {"name": "b", "unit": ""}]
    assert first["columns"] == ["a_pred", "a_std", "b_pred", "b_std"] and len(first["sha256"]) == 64
    document = client.get("/openapi.json").json()
    assert {"/v1/predict", "/v1/models", "/v1/table", "/readyz", "/metrics", "/healthz"} <= set(document["paths"])
    assert document["components"]["schemas"]["Question"]["examples"]


def test_table(client: TestClient) -> None:
    text = 'id,smiles,note\n1,CCO,"a, b"\n2,nonsense,\n3,c1ccccc1,x\n'
    answer = client.post("/v1/table", content=text.encode(), headers={"content-type": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == ["id", "smiles", "note", "a_pred", "a_std", "b_pred", "b_std", "reason"]
    assert [row["note"] for row in rows] == ["a, b", "", "x"] and rows[1]["reason"] and not rows[1]["a_pred"]
    same = client.post("/v1/predict", json={"smiles": ["CCO"]}).json()["rows"][0]["answers"]["a_pred"]
    assert float(rows[0]["a_pred"]) == pytest.approx(same, abs=1e-6)
    for body, kind, status in ((b"", "text/csv", 400), (b"\x1f\x8b\x08rest", "text/csv", 415), (b"{}", "application/json", 415)):
        assert client.post("/v1/table", content=body, headers={"content-type": kind}).status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b'{"smiles": "CCO"}', 400),
        (b'{"smiles": []}', 400),
        (b'{"smiles": [1]}', 400),
        (b'{"smiles": ["C"], "more": 1}', 400),
        (b'{"smiles": ["C"], "model": "none"}', 404),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"smiles": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001, 400),
        (b'{"smiles": [' + b"9" * 5000 + b"]}", 400),
        (b"x" * 300_000, 413),
    ],
)
def test_bad_requests_are_told_apart(start: Start, body: bytes, status: int) -> None:
    client, _ = small(start)
    answer = client.post("/v1/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status and "error" in answer.json() and "Traceback" not in answer.text


def small(start: Start) -> tuple[TestClient, Lines]:
    """One service with tight limits for all tests that need such."""
    if "service" not in _SMALL:
        _SMALL["service"] = start(max_body=200_000, max_molecules=50)
    return _SMALL["service"]


_SMALL: dict[str, tuple[TestClient, Lines]] = {}


def test_too_many_molecules(start: Start) -> None:
    client, _ = small(start)
    assert client.post("/v1/predict", json={"smiles": ["C"] * 51}).status_code == 413
    assert client.post("/v1/table", content="smiles\n" + "C\n" * 51).status_code == 413
    assert client.post("/v1/predict", json={"smiles": ["C"]}, headers={"content-encoding": "gzip"}).status_code == 415


def test_token(start: Start) -> None:
    client, _ = start(token="0123456789abcdef")
    for given in ("", "Bearer wrong", "Basic 0123456789abcdef", b"Bearer \xff\xfe"):
        answer = client.get("/v1/models", headers={"authorization": given})  # type: ignore[dict-item]
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/metrics").status_code == 401 and client.get("/openapi.json").status_code == 401
    assert client.get("/readyz").status_code == 200 and client.get("/healthz").status_code == 200
    assert client.get("/v1/models", headers={"authorization": "Bearer 0123456789abcdef"}).status_code == 200


def test_what_goes_wrong_inside_is_told_without_its_text(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    client, log = small(start)
    service = client.app.service  # type: ignore[attr-defined]

    def fails(smiles: Sequence[str]) -> list[Row]:
        raise ValueError(f"a secret: {smiles}")

    monkeypatch.setattr(service.queues["one"], "compute", fails)
    answer = client.post("/v1/predict", json={"smiles": ["CCOCCO"]})
    assert answer.status_code == 500 and "secret" not in answer.text and answer.json()["id"]
    errors = [line for line in log if line["event"] == "error"]
    assert errors[-1]["error"] == "ValueError" and "test_serve.py" in errors[-1]["where"] and "CCOCCO" not in json.dumps(log)


def test_headers_of_every_answer(client: TestClient) -> None:
    for path in ("/readyz", "/nothing", "/v1/models"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'") and headers["x-content-type-options"] == "nosniff"
        assert len(headers["x-request-id"]) == 32


def test_metrics(client: TestClient) -> None:
    client.post("/v1/predict", json={"smiles": ["CCO", "nonsense"]})
    text = client.get("/metrics").text
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(found['heliograph_molecules_total{model="one"}']) >= 2
    assert float(found['heliograph_molecules_refused_total{model="one"}']) >= 1
    assert found['heliograph_batch_molecules_bucket{model="one",le="+Inf"}'] == found['heliograph_batch_molecules_count{model="one"}']
    assert found['heliograph_queued_molecules{model="one"}'] == "0"
    small = Metrics()
    small.observe("x", 0.2, (0.1, 0.5), name='a"b\n')
    assert 'heliograph_x_bucket{name="a\\"b\\n",le="0.5"} 1' in small.text()


def batched(work: Callable[[Batcher], Any], compute: Any, **settings: Any) -> Any:
    """Run `work` with a queue around `compute`."""

    async def main() -> Any:
        with ThreadPoolExecutor(1) as thread:
            queue = Batcher(compute, thread, **({"window": 0.005, "size": 8, "bound": 40} | settings))
            try:
                return await work(queue)
            finally:
                await queue.close()

    return asyncio.run(main())


def test_requests_that_arrive_together_are_one_batch_and_large_ones_take_turns() -> None:
    sizes: list[int] = []

    def compute(smiles: Sequence[str]) -> list[Row]:
        sizes.append(len(smiles))
        time.sleep(0.005)
        return [Row(text) for text in smiles]

    async def work(queue: Batcher) -> list[float]:
        ends: dict[str, float] = {}

        async def ask(name: str, n: int) -> None:
            rows = await queue.predict([f"{name}{k}" for k in range(n)])
            assert [row.smiles for row in rows] == [f"{name}{k}" for k in range(n)]
            ends[name] = time.monotonic()

        await asyncio.gather(ask("large", 30), *(ask(f"small{k}-", 1) for k in range(5)))
        assert all(ends[name] < ends["large"] for name in ends if name != "large")
        assert queue.queued == 0
        return []

    batched(work, compute)
    assert sum(sizes) == 35 and len(sizes) <= 6 and max(sizes) <= 8


def test_the_queue_has_a_bound() -> None:
    free = threading.Event()

    def compute(smiles: Sequence[str]) -> list[Row]:
        free.wait(10)
        return [Row(text) for text in smiles]

    async def work(queue: Batcher) -> None:
        tasks = [asyncio.create_task(queue.predict(["C"] * 10)) for _ in range(4)]
        await asyncio.sleep(0.02)
        with pytest.raises(Busy) as busy:
            await queue.predict(["C"])
        assert busy.value.retry_after >= 1
        tasks[-1].cancel()  # a caller who is gone makes room
        free.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(await queue.predict(["C"])) == 1 and queue.queued == 0

    batched(work, compute)


def test_overload_is_429_with_a_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = small(start)
    service = client.app.service  # type: ignore[attr-defined]
    slow = service.queues["one"].compute

    def waiting(smiles: Sequence[str]) -> list[Row]:
        time.sleep(0.3)
        return slow(smiles)

    monkeypatch.setattr(service.queues["one"], "compute", waiting)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/predict", json={"smiles": ["C"] * 30}), range(12)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 429}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 429)


def test_names_of_models() -> None:
    assert list(ServeConfig(models=("runs/a/model.safetensors", "b.safetensors", "c=x/y")).named()) == ["a", "b", "c"]
    with pytest.raises(Exception, match="two models are named 'a'"):
        ServeConfig(models=("x/a", "y/a")).named()


def test_it_ends_in_good_order_and_loads_again(running: Running, models: Path) -> None:
    (before,) = httpx.get(f"{running.url}/v1/models").json()
    time.sleep(1)  # the time is told in seconds
    running.process.send_signal(signal.SIGHUP)
    after, deadline = before, time.monotonic() + 90
    while after["loaded"] == before["loaded"] and time.monotonic() < deadline:
        assert httpx.post(f"{running.url}/v1/predict", json={"smiles": SMILES[:5]}, timeout=60).status_code == 200
        (after,) = httpx.get(f"{running.url}/v1/models", timeout=60).json()
    assert after["loaded"] > before["loaded"] and after["sha256"] == before["sha256"]
    answers: list[int] = []

    def ask() -> None:
        answers.append(httpx.post(f"{running.url}/v1/predict", json={"smiles": SMILES * 40}, timeout=60).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    while 'queued_molecules{model="one"} 0' in (text := httpx.get(f"{running.url}/metrics", timeout=60).text) or "queued" not in text:
        assert time.monotonic() < deadline and not answers
    running.process.send_signal(signal.SIGTERM)
    asking.join()
    assert running.process.wait(30) == 0 and answers == [200]
    events = [line["event"] for line in running.log()]
    assert "reloaded" in events and "request" in events


def test_it_does_not_wait_for_models_that_are_being_loaded(running: Running) -> None:
    running.process.send_signal(signal.SIGHUP)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0


def test_a_taken_port_and_a_bad_model_are_told(run: Any, running: Running, models: Path, tmp_path: Path) -> None:
    port = running.url.rsplit(":", 1)[1]
    taken = run("serve", models / "one", "--port", port)
    assert taken.returncode == 1 and "is it taken" in taken.stderr
    assert run("serve", tmp_path / "none").returncode == 1
    (tmp_path / "token").write_text("short")
    assert run("serve", models / "one", "--token-file", tmp_path / "token").returncode == 2
