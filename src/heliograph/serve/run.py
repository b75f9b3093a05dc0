"""Run the service until it is told to end: SIGTERM and Ctrl-C let requests finish, SIGHUP loads the models again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from heliograph.errors import HeliographError, UsageError
from heliograph.serve.config import ServeConfig

GRACE = 8  # s for requests that are under way when the service ends
CLOSED = "127.0.0.1", "localhost", "::1"


def run(config: ServeConfig, say: Callable[[str], None] = print) -> None:
    """Load the models and serve; returns when the service has ended in good order.

    Raises UsageError (the extra `serve` is missing, a token is), ModelFileError, HeliographError (the port is taken).
    """
    try:
        import uvicorn

        from heliograph.serve.api import create
    except ImportError as error:
        raise UsageError(f"the service needs FastAPI and uvicorn ({error}). Run: pip install 'heliograph[serve]'") from None
    from heliograph.serve.guard import to_stderr
    from heliograph.serve.service import Service

    token = read_token(config)
    if token is None and config.host not in CLOSED:
        say(f"Anyone who reaches {config.host} can use this service: there is no --token-file.")
    app = create(Service(config, to_stderr), token)

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # ours are set below: uvicorn's would raise the signal again at the end

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                port = self.servers[0].sockets[0].getsockname()[1]
                say(f"Serving {', '.join(config.named())} at http://{config.host}:{port}")

    settings = uvicorn.Config(
        app, config.host, config.port, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE
    )
    server = Server(settings)

    async def main() -> None:
        loop, under_way = asyncio.get_running_loop(), set[asyncio.Task[None]]()

        def end() -> None:
            app.draining = server.should_exit = True

        def again() -> None:
            task = loop.create_task(app.service.reload())
            under_way.add(task)
            task.add_done_callback(under_way.discard)

        for name, do in (("SIGTERM", end), ("SIGINT", end), ("SIGHUP", again)):
            if hasattr(signal, name):
                loop.add_signal_handler(getattr(signal, name), do)
        await server.serve()

    try:
        asyncio.run(main())
    except SystemExit:
        raise HeliographError(f"can't listen at {config.host}, port {config.port}: is it taken? Give another with --port.") from None


def read_token(config: ServeConfig) -> str | None:
    """The token of `config.token_file`. Raises UsageError where it is too short to be one."""
    if config.token_file is None:
        return None
    try:
        token = config.token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read the token in {config.token_file}: {error}") from None
    if len(token) < 16 or not token.isascii() or not token.isprintable():
        raise UsageError(f"{config.token_file}: a token has at least 16 ASCII characters, for instance from `openssl rand -hex 16`")
    return token
