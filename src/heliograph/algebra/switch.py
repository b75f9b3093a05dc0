"""The one switch of the edge algebra: on, or plain tensors everywhere. Both ways agree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_enabled: ContextVar[bool] = ContextVar("algebra", default=os.environ.get("HELIOGRAPH_ALGEBRA", "1") != "0")


@contextmanager
def use(enabled: bool) -> Iterator[None]:
    """Switch the edge algebra on or off inside a `with` block.

    What `torch.compile` has made stays as it was made. HELIOGRAPH_ALGEBRA=0 switches it off from the start.
    """
    token = _enabled.set(enabled)
    try:
        yield
    finally:
        _enabled.reset(token)


def enabled() -> bool:
    """Return whether the edge algebra is on."""
    return _enabled.get()


enabled._dynamo_marked_constant = True  # type: ignore[attr-defined]  # as `heliograph.kernels.chosen`
