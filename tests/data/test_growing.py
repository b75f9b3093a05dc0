"""Arrays that grow: the same rows whether they stayed in memory or not; frames are gathered in bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from heliograph.data import growing
from heliograph.data.frames import Frame
from heliograph.data.growing import Growing
from heliograph.data.sources.structures import Builder, Keys, Structures


@pytest.mark.parametrize("limit", [1 << 22, 1000])
def test_rows_come_back_in_order(limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(growing, "LIMIT", limit)
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path))
    rng, array, parts = np.random.default_rng(0), Growing(), []
    for k in range(200):
        parts.append(rng.integers(0, 200, (k % 7, 3)).astype(np.uint8 if k < 120 else np.uint32))
        array.add(parts[-1])
    found = array.done()
    assert found.dtype == np.uint32 and type(found) is np.ndarray and np.array_equal(found, np.concatenate(parts))
    assert (array.file is not None) == (limit == 1000) and not list(tmp_path.iterdir())  # the file has no name
    empty = Growing()
    empty.add(np.zeros((0, 3), np.int8))
    assert empty.done().shape == (0, 3) and empty.done().dtype == np.int8


def test_a_folder_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(growing, "LIMIT", 10)
    array = Growing()
    array.add(np.arange(50))
    assert np.array_equal(array.done(), np.arange(50))


def frames(n: int) -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    grid = 1.3 * np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3).astype(float)
    for k in range(n):
        pos = grid + 0.1 * rng.normal(size=grid.shape)
        yield Frame(np.full(8, 1 + k % 3, np.uint8), pos, info={"energy": float(k), "config_type": "a"}, arrays={"forces": pos})


def gathered(n: int) -> Structures:
    builder = Builder(Keys("energy", "forces"), cutoff=4.0)
    for number, frame in enumerate(frames(n)):
        builder.add(number, frame)
    return builder.structures()


def test_memory_does_not_grow_with_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "LIMIT", 1 << 15)
    gathered(10)
    peaks = []
    for n in (1000, 5000):
        tracemalloc.start()
        data = gathered(n)
        graph = data.batch(np.arange(n - 16, n))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(data) == n and graph.G == 16
    assert peaks[1] < peaks[0] + 4000 * 120  # bytes a frame: counts and names, not what frames hold (2 kB each)


def test_the_ways_of_gathering_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([37, 3, 50])
    plain = Structures.collect(frames(60), Keys("energy", "forces")).with_neighbours(4.0)
    monkeypatch.setattr(growing, "LIMIT", 2000)
    streamed = gathered(60)
    a, b = plain.batch(rows), streamed.batch(rows)
    assert np.array_equal(a.topology.senders, b.topology.senders) and np.array_equal(a.topology.reverse, b.topology.reverse)
    assert np.array_equal(a.edges["pair_vector"].table, b.edges["pair_vector"].table)
    for name, value in plain.labels(rows).items():
        assert np.array_equal(value, streamed.labels(rows)[name], equal_nan=True)
    E = np.full(119, np.nan)
    E[1:3] = 1.0, 2.0
    total = streamed.total(E)
    assert np.array_equal(total, np.where(np.arange(60) % 3 == 2, np.nan, 8.0 * (1 + np.arange(60) % 3)), equal_nan=True)
    assert streamed.elements == (1, 2, 3) and np.array_equal(streamed.counts((3, 1))[:3], [[0, 8], [0, 0], [8, 0]])
