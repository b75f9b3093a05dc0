"""Keep freed memory in the process.

glibc maps every large block anew and gives it back to the system when it is freed, so each large tensor of each training step is
paid for again, page by page. Here it is told to take them from its heap, and to keep up to half a gigabyte of what is free at the
heap's end. docs/performance.md says what that is worth.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from malloc.h
_KEPT = 512 << 20  # bytes


def keep_freed_memory() -> bool:
    """Set glibc's parameters for this process; False, and nothing done, where the C library is another."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT))
