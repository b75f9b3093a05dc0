"""A screening on two nodes of a Ray cluster with a cache folder each: the bytes of one process, whatever dies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import HeliographError, UsageError
from heliograph.screen import ScreenConfig, run
from tests.compare.test_cluster import Nodes


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    pytest.importorskip("ray")
    found = Nodes(tmp_path_factory.mktemp("nodes"))
    yield found
    found.cluster.shutdown()


def config(model: Path, library: Path, folder: Path, **changes: Any) -> ScreenConfig:
    given = {"model_path": model, "library": (library,), "output_dir": folder, "jobs": 0, "top": 60, "shard_size": 2_000}
    return ScreenConfig.model_validate(given | {"filters": ("veber",)} | changes)


def test_ray_is_asked_for_where_it_is_not_installed(model: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'heliograph\[ray\]'"):
        run(config(model, library, tmp_path / "out", ray="127.0.0.1:6379"))


def test_an_address_is_a_host_and_a_port(model: Path, library: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        run(config(model, library, tmp_path / "out", ray="head"))
    with pytest.raises(HeliographError, match="no Ray cluster answers"):
        run(config(model, library, tmp_path / "other", ray="127.0.0.1:9"))


class Kills:
    """Kills a node once some rows are screened."""

    def __init__(self, nodes: Nodes):
        self.nodes, self.done = nodes, False

    def __call__(self, stage: str, done: int, total: int | None = None) -> None:
        if stage.startswith("screening") and done > 200 and not self.done:
            self.done = True
            self.nodes.kill(self.nodes.second)

    def say(self, text: str) -> None:
        """Nobody listens."""


@pytest.mark.slow
def test_two_nodes_give_the_same_bytes_and_so_does_one_that_dies(nodes: Nodes, model: Path, library: Path, tmp_path: Path) -> None:
    run(config(model, library, tmp_path / "here"))
    run(config(model, library, tmp_path / "two", ray=nodes.cluster.address))
    kills = Kills(nodes)
    run(config(model, library, tmp_path / "one", ray=nodes.cluster.address), progress=kills)
    assert kills.done
    for folder in ("two", "one"):
        assert (tmp_path / folder / "top.csv").read_bytes() == (tmp_path / "here" / "top.csv").read_bytes()
