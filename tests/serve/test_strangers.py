"""What strangers send is never our fault, never in a log; a slow one holds nobody up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import httpx2 as httpx
import pytest

from heliograph.serve.api import create
from heliograph.serve.config import ServeConfig
from heliograph.serve.service import Service
from tests.serve.conftest import Lines, Running
from tests.serve.strangers import GOOD, put, request

AT_A_TIME = 8


def fuzz(models: Path, seed: int, count: int) -> Counter[int]:
    """Statuses of `count` requests to one service; asserts that none was its fault and that its log says nothing of their contents."""
    log: Lines = []
    service = Service(ServeConfig(models=(str(models / "one"),), max_body=200_000, max_molecules=50, timeout=30), log.append)
    app, rng, seen = create(service), random.Random(seed), Counter[int]()

    async def caller(todo: list[int]) -> None:
        for _ in todo:
            asked, gone = request(rng), rng.random() < 0.02
            answer = await put(app, asked, gone)
            seen[answer.status] += 1
            assert 200 <= answer.status < 500, (answer.status, asked)
            assert b"Traceback" not in answer.body and b"site-packages" not in answer.body, asked
            assert answer.headers[b"content-security-policy"].startswith(b"default-src 'self'")

    async def main() -> None:
        await service.start()
        try:
            await asyncio.gather(*(caller(list(range(k, count, AT_A_TIME))) for k in range(AT_A_TIME)))
            assert all(queue.queued == 0 for queue in service.queues.values()) and app.inside == 0
        finally:
            await service.stop()

    asyncio.run(main())
    told = json.dumps(log)
    assert len(log) == count and not [line for line in log if line["event"] == "error"]
    assert "Secret" not in told and not any(text in told for text in GOOD)
    return seen


def test_fuzzed_requests_are_never_our_fault(models: Path) -> None:
    seen = fuzz(models, 0, 300)
    assert min(seen[status] for status in (200, 400, 404, 405, 413, 415)) > 0, seen


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 11))
def test_twenty_thousand_fuzzed_requests(models: Path, part: int) -> None:
    print(fuzz(models, part, 2000))


@pytest.mark.slow
def test_a_slow_caller_holds_nobody_up(models: Path) -> None:
    """Thirty callers send a body byte by byte, or never read their answer; another one's molecules are answered meanwhile."""
    one = Running(models / "one", "--timeout", "3")
    try:
        host, port = "127.0.0.1", int(one.url.rsplit(":", 1)[1])
        body = json.dumps({"smiles": ["C" * k for k in range(1, 200)]}).encode()
        head = f"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        sockets = [socket.create_connection((host, port)) for _ in range(30)]
        for k, each in enumerate(sockets):
            each.sendall(head + (body if k % 2 else body[:5]))
        stop = threading.Event()

        def dribble() -> None:
            while not stop.wait(0.2):
                for each in sockets[::2]:
                    with contextlib.suppress(OSError):
                        each.sendall(b" ")

        thread = threading.Thread(target=dribble)
        thread.start()
        seconds: list[float] = []
        with httpx.Client(base_url=one.url, timeout=30) as client:
            began = time.monotonic()
            while time.monotonic() < began + 5:
                asked = time.monotonic()
                assert client.post("/v1/predict", json={"smiles": ["CCO"]}).status_code == 200
                seconds.append(time.monotonic() - asked)
            assert sorted(seconds)[len(seconds) // 2] < 1.0
            late: dict[str, Any] = dict(
                line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if not line.startswith("#")
            )
        stop.set()
        thread.join()
        assert 'heliograph_requests_total{route="other",status="408"} 15' in late
        for each in sockets:
            each.close()
    finally:
        one.close()
    assert one.process.returncode == 0
