"""Compiled loops from the disk: code, so only what this user kept is loaded, and no pickle is read before that is certain."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

from heliograph.kernels import compiler
from heliograph.kernels.kept import Kept, Unsafe, own_folder, own_key
from tests.cli.conftest import environment
from tests.safety.conftest import snapshot

KEY, OTHER = b"k" * 32, b"o" * 32


def add(a: int) -> int:
    return a + 1


def double(a: int) -> int:
    return a * 2


class Bomb:
    """Unpickled, it makes the folder `ran`."""

    def __init__(self, ran: Path):
        self.ran = ran

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.ran),)


def loop(function: Callable[[int], int], folder: Path, key: bytes = KEY) -> Any:
    """The function as numba compiles it, kept in `folder`: as a new process would have it."""
    made = numba.njit(function)
    made._cache = Kept(function, folder, key, b"source")
    return made


def kept(folder: Path, name: str) -> Path:
    (path,) = folder.glob(f"*.{name}-*.loop")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return own_folder(tmp_path / "loops")


def test_what_was_kept_is_used(folder: Path) -> None:
    first = loop(add, folder)
    assert first(1) == 2 and not first._cache_hits and first._cache.any()
    again = loop(add, folder)
    assert again(1) == 2 and sum(again._cache_hits.values()) == 1
    assert again(1.5) == 2.5 and sum(again._cache_misses.values()) == 1  # another form
    other = loop(double, folder)
    assert not other._cache.any() and other(4) == 8
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("how", ["no hash", "a hash of nothing", "a hash under another key", "another loop's", "cut", "empty", "one bit"])
def test_a_poisoned_file_runs_no_code(folder: Path, tmp_path: Path, how: str) -> None:
    loop(add, folder)(1)
    loop(double, folder)(1)
    path, ran = kept(folder, "add"), tmp_path / "ran"
    good = path.read_bytes()
    bomb = pickle.dumps(Bomb(ran))
    mine = Kept(add, folder, OTHER, b"source")
    path.write_bytes(
        {
            "no hash": bomb,
            "a hash of nothing": bytes(32) + bomb,
            "a hash under another key": mine._mark(path.name, bomb) + bomb,
            "another loop's": kept(folder, "double").read_bytes(),
            "cut": good[:-1],
            "empty": b"",
            "one bit": good[:40] + bytes([good[40] ^ 1]) + good[41:],
        }[how]
    )
    again = loop(add, folder)
    assert again(1) == 2 and not again._cache_hits and not ran.exists()
    last = loop(add, folder)
    assert last(1) == 2 and sum(last._cache_hits.values()) == 1  # compiled anew, kept again


def test_the_bomb_is_one(folder: Path, tmp_path: Path) -> None:
    """With the user's own key it goes off: the tests above test something."""
    loop(add, folder)(1)
    path, bomb = kept(folder, "add"), pickle.dumps(Bomb(tmp_path / "ran"))
    path.write_bytes(Kept(add, folder, KEY, b"source")._mark(path.name, bomb) + bomb)
    with pytest.raises(TypeError):
        loop(add, folder)(1)
    assert (tmp_path / "ran").exists()


def test_no_index_is_read(tmp_path: Path) -> None:
    """Numba's own index files, poisoned, under every name that numba gives them."""
    cache, ran = tmp_path / "cache", tmp_path / "ran"
    code = f"""
import pickle, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from numba.core.caching import FunctionCache
from heliograph.kernels import compiler, cpu
from tests.safety.test_compiled import Bomb
numba_s, old = compiler.config, compiler.folder.parent / "kernels"
numba_s.CACHE_DIR = str(old)
for loop in cpu.LOOPS:
    FunctionCache(loop.py_func)
    path = Path(FunctionCache(loop.py_func)._cache_file._index_path)
    for place in (path, compiler.folder / path.name):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(pickle.dumps(Bomb(Path({str(ran)!r}))))
numba_s.CACHE_DIR = ""
import numba
types = numba.types
for loop in cpu.LOOPS:
    loop._cache.load_overload((types.int64,), loop.targetctx)
print(len(list(compiler.folder.glob("*.nbi"))))
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment() | {"NUMBA_CACHE_DIR": str(cache)}, capture_output=True, text=True)
    assert done.returncode == 0 and int(done.stdout) > 10, done.stderr
    assert not ran.exists()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755, 0o722])
def test_a_folder_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "loops").mkdir()
    (tmp_path / "loops").chmod(mode)
    with pytest.raises(Unsafe, match="open to others"):
        own_folder(tmp_path / "loops")
    assert (tmp_path / "loops").stat().st_mode & 0o777 == mode


def test_a_folder_of_somebody_elses_or_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_folder(tmp_path / "loops")
    (tmp_path / "link").symlink_to(tmp_path / "loops")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(Unsafe, match="is a link or something else"):
            own_folder(tmp_path / name)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(Unsafe, match="belongs to somebody else"):
        own_folder(tmp_path / "loops")


def test_a_folder_that_cant_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unsafe, match="can't be written"):
        own_folder(tmp_path / "file" / "loops")


def test_the_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "own" / "key"
    key = own_key(path)
    assert len(key) == 32 and own_key(path) == key and own_key(tmp_path / "other" / "key") != key
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert list(snapshot(tmp_path / "own")) == ["key"]
    path.write_bytes(b"")
    with pytest.raises(Unsafe, match="is damaged"):
        own_key(path)
    path.write_bytes(key)
    path.chmod(0o644)
    with pytest.raises(Unsafe, match="open to others"):
        own_key(path)
    path.unlink()
    path.symlink_to(tmp_path / "other" / "key")
    with pytest.raises(Unsafe, match="link"):
        own_key(path)


def test_a_shared_cache_folder_is_said_and_not_used(tmp_path: Path) -> None:
    """HELIOGRAPH_CACHE on a folder where somebody prepared the place of the loops."""
    loops = tmp_path / f"loops-{os.getuid()}"
    loops.mkdir()
    loops.chmod(0o777)
    code = "from heliograph.kernels import compiler, cpu; compiler.announce(); print([type(l._cache).__name__ for l in cpu.LOOPS])"
    given = {k: v for k, v in environment().items() if k != "NUMBA_CACHE_DIR"} | {"HELIOGRAPH_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    assert "for this process alone" in done.stderr and str(loops) in done.stderr and "open to others" in done.stderr
    assert set(eval(done.stdout)) == {"NullCache"} and not list(loops.iterdir())


def test_every_loop_is_kept_this_way() -> None:
    from heliograph.kernels import cpu, numbering

    assert not compiler.unkept
    assert {type(one._cache) for one in (*cpu.LOOPS, *numbering.LOOPS)} == {Kept}
