"""The service: models behind HTTP, with a page in front. `run(ServeConfig(...))`, or `app(ServeConfig(...))` to mount it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.serve.config import ServeConfig
from heliograph.serve.run import run

if TYPE_CHECKING:
    from heliograph.serve.guard import Guard

__all__ = ["ServeConfig", "app", "run"]


def app(config: ServeConfig) -> Guard:
    """The ASGI application with its models loaded. Raises as `run`."""
    from heliograph.serve.api import create
    from heliograph.serve.guard import to_stderr
    from heliograph.serve.run import read_token
    from heliograph.serve.service import Service

    return create(Service(config, to_stderr), read_token(config))
