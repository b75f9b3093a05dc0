"""How much memory this process holds, and held at most; Linux tells, elsewhere the answers are None."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys
from pathlib import Path

_PROC = Path("/proc/self")


def held_mb() -> float | None:
    """Resident size, once what is freed has been given back to the system."""
    gc.collect()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
    return _status("VmRSS")


def forget_peak() -> None:
    """Let `peak_mb` start anew from what is held now."""
    with contextlib.suppress(OSError):
        (_PROC / "clear_refs").write_text("5")


def peak_mb() -> float | None:
    """Largest resident size since the process began, or since `forget_peak`."""
    return _status("VmHWM")


def _status(name: str) -> float | None:
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", (_PROC / "status").read_text())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
