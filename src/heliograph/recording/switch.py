"""The one switch of recording: on, or every step is decided anew. Both ways give the same numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_enabled: ContextVar[bool] = ContextVar("recording", default=os.environ.get("HELIOGRAPH_RECORDING", "1") != "0")


@contextmanager
def use(enabled: bool) -> Iterator[None]:
    """Switch recording on or off inside a `with` block. HELIOGRAPH_RECORDING=0 switches it off from the start."""
    token = _enabled.set(enabled)
    try:
        yield
    finally:
        _enabled.reset(token)


def enabled() -> bool:
    """Return whether networks are recorded and replayed."""
    return _enabled.get()
