"""How much memory this process holds, and held at most. None, or False, where the system does not tell."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys
from pathlib import Path
from typing import Any

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

_PROC = Path("/proc/self")


def held_mb() -> float | None:
    """Resident size, once what is freed has been given back to the system."""
    gc.collect()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
    return _status("VmRSS")


def forget_peak() -> bool:
    """Let `peak_mb` start anew from what is held now, where the system can (Linux)."""
    try:
        (_PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_mb() -> float | None:
    """Largest resident size since the process began, or since `forget_peak`."""
    if (found := _status("VmHWM")) is not None or resource is None:
        return found
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def _status(name: str) -> float | None:
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", (_PROC / "status").read_text())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
