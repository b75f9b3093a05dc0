"""A comparison on two machines of a Ray cluster (here two nodes with a cache folder each): what one process gives, whatever dies."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from heliograph.compare import CompareConfig, cluster, evaluations, runner, transport
from heliograph.compare.journal import FILE
from heliograph.compare.result import TABLE
from heliograph.errors import HeliographError, UsageError
from heliograph.kernels import compiler
from heliograph.learn.progress import Lines, silent
from heliograph.train import baselines
from tests.compare.conftest import Config

TREES, ROUNDS = baselines.TREES, baselines.ROUNDS  # as the nodes have them, whatever a fixture says here
MINE = """import os, pathlib, time
from heliograph.zoo.gcn import FEATURIZER, GEOMETRY, build as plain

def build(inputs, out, d=32):
    return plain(inputs, out, d=d)
"""
DEADLY = MINE.replace("    return", f"    if os.getpid() != {os.getpid()}:\n        os._exit(1)\n    return")
STALLS = """    if "STALLS" in os.environ:
        pathlib.Path("MARKER").touch()
        time.sleep(120)
    while os.getpid() != THIS and not pathlib.Path("MARKER").exists():
        time.sleep(0.1)
    return""".replace("THIS", str(os.getpid()))


def test_ray_is_asked_for_where_it_is_not_installed(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'heliograph\[ray\]'"):
        runner.run(config(ray="127.0.0.1:6379"), progress=silent())
    assert not (tmp_path / "comparison").exists()


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "head", ":6379"])
def test_an_address_is_a_host_and_a_port(address: str, config: Config) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        runner.run(config(ray=address), progress=silent())


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n"], ids=["closed", "hangs up", "a web page"])
def test_no_cluster_answers(answer: bytes | None, config: Config) -> None:
    pytest.importorskip("ray")
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            one, _ = server.accept()
            with one:
                one.recv(1000)
                one.sendall(answer or b"")

        if answer is None:
            server.close()
            expected = f"--ray {address}: no Ray cluster answers there"
        else:
            threading.Thread(target=serve, daemon=True).start()
            expected = "what answers there is no Ray cluster"
        with pytest.raises(HeliographError, match=expected):
            runner.run(config(ray=address), progress=silent())
    assert time.monotonic() - began < 20


def test_what_travels_names_no_path_of_this_machine(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    sent: list[bytes] = []
    asked = config(archs=("sgc", str(mine)), ray="head:1", accelerator="auto", num_workers=2)
    text, files, places = transport.pack(asked, lambda content: sent.append(content) or len(sent) - 1)  # type: ignore[func-returns-value]
    assert str(tmp_path) not in text and "head:1" not in text and sent == [(tmp_path / "table.csv").read_bytes(), mine.read_bytes()]
    assert list(places) == [str(tmp_path / "table.csv"), str(mine)] and [*files] == [*places.values()]
    there = CompareConfig.model_validate_json(text)
    assert there.compare.archs == ("sgc", places[str(mine)]) and there.data.num_workers == 0 and there.fit.accelerator == "cpu"
    named, files, _ = transport.pack(config(data_path="smallmol"), lambda content: None)
    assert CompareConfig.model_validate_json(named).data.data_path == Path("smallmol") and not files

    monkeypatch.setitem(sys.modules, "ray", type("ray", (), {"get": staticmethod(sent.__getitem__)}))
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    _, files, _ = transport.pack(asked, lambda content: sent.index(content))
    line, answers = transport.answer(text, files, "of another table", asdict(evaluations.Evaluation("mean", 0, 0)))
    assert "other molecules or folds" in json.loads(line)["failed"] and not answers
    here = json.dumps(evaluations.about(evaluations.prepare(asked, silent())))
    line, answers = transport.answer(text, files, here, asdict(evaluations.Evaluation(places[str(mine)], 0, 1)))
    unit = evaluations.evaluate(evaluations.prepare(asked, silent()), evaluations.Evaluation(str(mine), 0, 1))
    assert json.loads(line)["scores"] == unit["scores"] and answers == unit["answers"]


class Nodes:
    """A cluster whose head and second node have a CPU and a cache folder each."""

    def __init__(self, folder: Path):
        from ray.cluster_utils import Cluster

        self.folder, self.caches = folder, [folder / "first", folder / "second"]
        self.common = {"NUMBA_CACHE_DIR": str(compiler.folder.parent)}  # what the compiler made is no data
        head = self._settings(self.caches[0]) | {"include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.second = self.cluster.add_node(**self._settings(self.caches[1]))

    def _settings(self, cache: Path, **environment: str) -> dict[str, Any]:
        return {"num_cpus": 1, "object_store_memory": 80_000_000, "env_vars": self.common | {"HELIOGRAPH_CACHE": str(cache)} | environment}

    def add(self, **environment: str) -> Any:
        return self.cluster.add_node(**self._settings(self.folder / "more", **environment))

    def kill(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    pytest.importorskip("ray")
    found = Nodes(tmp_path_factory.mktemp("nodes"))
    yield found
    found.cluster.shutdown()


@pytest.fixture
def asked(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CompareConfig]:
    """An architecture of one's own among them, and a folder by its name."""
    monkeypatch.setattr(baselines, "TREES", TREES)
    monkeypatch.setattr(baselines, "ROUNDS", ROUNDS)
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    return lambda name, **changes: config(archs=("sgc", str(mine)), cv="1x2", output_dir=tmp_path / name, **changes)


class Kill(Exception):
    """Stands for the kill."""


class KilledAfter(Lines):
    def __init__(self, n: int):
        super().__init__(lambda text: None)
        self.n = n

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
        if stage == "compare" and done == self.n:
            raise Kill


@pytest.mark.slow
def test_two_nodes_give_what_one_process_gives(
    nodes: Nodes, asked: Callable[..., CompareConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle and gone on with, and the table is out of sight before the first unit begins."""
    runner.run(asked("local"), progress=silent())
    table, packed = tmp_path / "table.csv", transport.pack

    def hides(*args: Any) -> Any:
        found = packed(*args)
        table.rename(tmp_path / "hidden")
        return found

    with monkeypatch.context() as patch, pytest.raises(Kill):
        patch.setattr(transport, "pack", hides)
        runner.run(asked("far", ray=nodes.cluster.address), progress=KilledAfter(3))
    (tmp_path / "hidden").rename(table)
    lines = (tmp_path / "far" / FILE).read_text().splitlines()
    runner.run(asked("far", ray=nodes.cluster.address), resume=True, progress=silent())
    after = (tmp_path / "far" / FILE).read_text().splitlines()
    made = [(one["learner"], one["fold"]) for one in map(json.loads, after) if one.get("what") == "evaluation"]
    assert after[: len(lines)] == lines and len(made) == len(set(made)) == 10
    assert (tmp_path / "far" / TABLE).read_bytes() == (tmp_path / "local" / TABLE).read_bytes()
    answers = [{p.name: p.read_bytes() for p in (tmp_path / name / "answers").iterdir()} for name in ("far", "local")]
    assert answers[0] == answers[1] and len(answers[0]) == 10
    found = [json.loads((tmp_path / name / "results.json").read_text())["propagation"] for name in ("far", "local")]
    assert found[0] == found[1] and len(found[0]) == 2
    for cache in nodes.caches:  # a node that did nothing has neither the table nor its features
        assert list(cache.glob("*/*/table.csv")) and list(cache.glob("*/*/mine.py")) and list(cache.glob("*/*/about.json"))
    assert nodes.cluster.address not in "".join(p.read_text() for p in (tmp_path / "far").glob("*.json*"))


@pytest.mark.slow
def test_what_kills_its_process_is_left_out(
    nodes: Nodes, asked: Callable[..., CompareConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "RETRIES", 0)
    (tmp_path / "mine.py").write_text(DEADLY)
    said: list[str] = []
    found = runner.run(asked("far", ray=nodes.cluster.address), progress=Lines(said.append))
    assert [k.name for k in found.learners if k.network] == ["sgc"] and "is left out; --resume tries again" in " ".join(found.notes)
    assert sum("mine.py failed on fold" in line and "died" in line for line in said) == 2


@pytest.mark.slow
def test_a_unit_is_done_elsewhere_when_its_node_dies(nodes: Nodes, asked: Callable[..., CompareConfig], tmp_path: Path) -> None:
    """Of the two trainings of mine.py one comes to the node that stalls, and no other ends before that; this leaves the head alone."""
    marker = tmp_path / "stalls"
    (tmp_path / "mine.py").write_text(MINE.replace("    return", STALLS.replace("MARKER", str(marker))))
    runner.run(asked("local"), progress=silent())
    nodes.kill(nodes.second)
    third = nodes.add(STALLS="yes")

    def kills() -> None:
        while not marker.exists():
            time.sleep(0.2)
        nodes.kill(third)

    killer = threading.Thread(target=kills, daemon=True)
    killer.start()
    runner.run(asked("far", ray=nodes.cluster.address), progress=silent())
    killer.join(10)
    assert marker.exists() and not killer.is_alive()
    assert (tmp_path / "far" / TABLE).read_bytes() == (tmp_path / "local" / TABLE).read_bytes()
