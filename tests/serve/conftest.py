"""A service in this process, asked through ASGI; and one of its own, asked over a socket."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
from fastapi.testclient import TestClient

from heliograph.serve.api import create
from heliograph.serve.config import ServeConfig
from heliograph.serve.service import Service
from tests.cli.conftest import command, environment, make_run, run  # noqa: F401 (a fixture)

Lines = list[dict[str, Any]]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `one` (an ensemble of two) and `other`, of random weights, for the targets a and b."""
    folder = tmp_path_factory.mktemp("models")
    make_run(folder / "one", members=2)
    make_run(folder / "other", arch="dmpnn")
    return folder


@pytest.fixture(scope="session")
def start(models: Path) -> Iterator[Callable[..., tuple[TestClient, Lines]]]:
    """start(token=None, **settings): a client of a running service with both models, and the lines of its log."""
    opened = []

    def call(token: str | None = None, **settings: Any) -> tuple[TestClient, Lines]:
        log: Lines = []
        names = (str(models / "one"), f"second={models / 'other'}")
        service = Service(ServeConfig.model_validate({"models": names} | settings), log.append)
        client = TestClient(create(service, token), raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client, log

    yield call
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def client(start: Callable[..., tuple[TestClient, Lines]]) -> TestClient:
    return start()[0]


class Running:
    """A service in a process of its own, at `url`."""

    def __init__(self, *args: str | Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (not a pipe: a full one stops the service)
        self.process = subprocess.Popen(command("serve", *args, "--port", str(port)), env=environment(), stderr=self.said, text=True)
        import httpx2 as httpx

        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
        self.process.kill()
        raise AssertionError(self.text())

    def log(self) -> Lines:
        """What it wrote; after its end."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def text(self) -> str:
        self.said.seek(0)
        return self.said.read()

    def close(self) -> None:
        """End it, if it has not ended, and let go of what it wrote."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        self.said.close()


@pytest.fixture
def running(models: Path) -> Iterator[Running]:
    one = Running(models / "one")
    yield one
    one.close()
