"""Arrays that are appended to: in memory while they are small, then in a file without a name, seen through a memory map.

The file lies in the cache folder (HELIOGRAPH_CACHE), or where temporary files do, and is gone when the array is no longer used or the
process ends, however it ends.
"""

from __future__ import annotations

import tempfile
from typing import IO, final

import numpy as np

from heliograph.data.cache import cache_dir

LIMIT = 1 << 22  # bytes of an array that stay in memory


@final
class Growing:
    """One array of rows [n, ...]. Types that differ from the first one are widened."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.held = self.rows = 0
        self.file: IO[bytes] | None = None
        self.shape: tuple[int, ...] = ()
        self.dtype: np.dtype | None = None

    def add(self, array: np.ndarray) -> None:
        """Append rows."""
        if self.dtype is None:
            self.dtype, self.shape = array.dtype, array.shape[1:]
        elif array.dtype != self.dtype:
            self._widen(np.promote_types(self.dtype, array.dtype))
        self.parts.append(array)
        self.held += array.nbytes + 100  # and what Python needs for it
        self.rows += len(array)
        if self.held > LIMIT:
            self._spill()

    def done(self) -> np.ndarray:
        """Return all rows; nothing can be added afterwards."""
        if self.file is None:
            if not self.parts:
                return np.zeros((0, *self.shape), self.dtype or np.float64)
            return np.concatenate(self.parts).astype(self.dtype, copy=False)
        self._spill()
        found = self._mapped()
        self.file.close()  # the map holds it
        return found

    def __del__(self) -> None:
        if self.file is not None:
            self.file.close()

    def _spill(self) -> None:
        if self.file is None:
            self.file = _nameless()
        self.file.write(np.concatenate(self.parts).astype(self.dtype, copy=False).tobytes() if self.parts else b"")
        self.file.flush()
        self.parts, self.held = [], 0

    def _mapped(self) -> np.ndarray:
        assert self.file is not None and self.dtype is not None
        return np.asarray(np.memmap(self.file, self.dtype, "r", shape=(self.rows, *self.shape)))

    def _widen(self, dtype: np.dtype) -> None:
        if dtype != self.dtype and self.file is not None:
            self._spill()
            old = self._mapped()
            self.file.close()
            self.file = _nameless()
            for start in range(0, len(old), 100_000):
                self.file.write(old[start : start + 100_000].astype(dtype).tobytes())
            self.file.flush()
        self.dtype = dtype


def _nameless() -> IO[bytes]:
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=cache_dir())
    except OSError:
        return tempfile.TemporaryFile()
