"""The cache: whole or not there, one result from many builders."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from heliograph.data import cache
from heliograph.data.cache import cache_dir, cached, key_of
from heliograph.errors import HeliographError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(place: Path) -> None:
    (place / "x.bin").write_bytes(b"1234")


def test_built_once_and_found_again() -> None:
    name = key_of({"a": 1})
    one = cached(name, fill)
    assert (one / "x.bin").read_bytes() == b"1234"
    assert cached(name, lambda place: pytest.fail("built twice")) == one


def test_a_build_that_fails_is_never_seen(folder: Path) -> None:
    def broken(place: Path) -> None:
        fill(place)
        raise KeyboardInterrupt

    name = key_of({"a": 2})
    with pytest.raises(KeyboardInterrupt):
        cached(name, broken)
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert (cached(name, fill) / "x.bin").exists()


def test_many_builders_leave_one_result(folder: Path) -> None:
    name, barrier, found = key_of({"a": 3}), threading.Barrier(6), []

    def slow(place: Path) -> None:
        barrier.wait(timeout=10)  # all six build at once
        fill(place)

    threads = [threading.Thread(target=lambda: found.append(cached(name, slow))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["x.bin"] and not list(folder.rglob("*.part"))


def test_litter_of_killed_builds_is_swept(folder: Path) -> None:
    name = key_of({"a": 4})
    litter, fresh, strange = (
        folder / name[:2] / text for text in (f".{'0' * 16}.abcdefgh.part", f".{'1' * 16}.abcdefgh.part", ".old.part")
    )
    for path in (litter, fresh, strange):
        path.mkdir(parents=True)
    (strange / "thesis.txt").write_text("mine")
    for path in (litter, strange):
        os.utime(path, (time.time() - 1e6,) * 2)
    cached(name, fill)
    assert not litter.exists() and fresh.exists()
    assert (strange / "thesis.txt").read_text() == "mine"  # no name that a build has


def test_keys_follow_settings_versions_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [key_of({"a": 1}), key_of({"a": 2})]
    assert names[0] == key_of({"a": 1}) != names[1]
    with monkeypatch.context() as changed:
        changed.setattr(cache, "_version", lambda name: "9")
        assert key_of({"a": 1}) not in names
    monkeypatch.setattr(cache, "_code", lambda: "edited")
    assert key_of({"a": 1}) not in names


def test_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HELIOGRAPH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "heliograph"
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(blocked))
    with pytest.raises(HeliographError, match="Set HELIOGRAPH_CACHE to another folder"):
        cached(key_of({}), fill)
