"""Around the service: who may ask, how much, how long; a line of log for each request, without any structure in it."""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from heliograph.serve.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
OPEN = ("/", "/healthz", "/readyz", "/static/")  # asked for without a token: the page itself, and whether the service lives
HEADERS = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class TooLarge(Exception):
    """A body longer than allowed."""


class Guard:
    """An ASGI application around another. `inside`: requests under way; `draining`: no more are taken."""

    def __init__(self, app: Any, service: Service, token: str | None):
        self.app, self.service = app, service
        self.config, self.metrics, self.log = service.config, service.metrics, service.log
        self._token = None if token is None else token.encode()
        self.inside, self.draining = 0, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, number = time.monotonic(), uuid.uuid4().hex
        scope.setdefault("state", {})["number"] = number
        status: list[int] = []

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
                ours = [*HEADERS, (b"x-request-id", number.encode())]
                message = {**message, "headers": [*message.get("headers", []), *ours]}
            await send(message)

        self.inside += 1
        try:
            await self._guarded(scope, receive, sending)
        except TooLarge:
            if not status:
                await _refuse(sending, 413, f"the body is longer than {self.config.max_body:,} bytes")
        except TimeoutError:
            if not status:
                await _refuse(sending, 408, f"not done within {self.config.timeout:g} s")
        except Exception as error:
            frame = error.__traceback__
            while frame is not None and frame.tb_next is not None:
                frame = frame.tb_next
            where = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else ""
            self.log({"event": "error", "id": number, "error": type(error).__name__, "where": where})  # its text might hold a structure
            if not status:
                await _refuse(sending, 500, "something went wrong here; the log has its place under this id", number)
        finally:
            self.inside -= 1
            self._told(scope, number, status[0] if status else 499, time.monotonic() - started)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", []))
        if not self._allowed(scope["path"], headers):
            await _refuse(send, 401, "give the token: Authorization: Bearer ...", extra=[(b"www-authenticate", b"Bearer")])
            return
        if self.draining and scope["path"] != "/healthz":
            await _refuse(send, 503, "the service is about to end", extra=[(b"retry-after", b"5")])
            return
        if self.inside > self.config.max_requests:
            await _refuse(send, 429, "too many requests at a time", extra=[(b"retry-after", b"1")])
            return
        if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
            await _refuse(send, 415, "send the body as it is, not compressed")
            return
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self.config.max_body:
            raise TooLarge
        body = await asyncio.wait_for(self._read(receive), self.config.timeout)
        sent = False

        async def whole() -> MutableMapping[str, Any]:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await asyncio.wait_for(self.app(scope, whole, send), self.config.timeout)

    async def _read(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise TimeoutError
            size += len(message.get("body", b""))
            if size > self.config.max_body:
                raise TooLarge
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    def _allowed(self, path: str, headers: dict[bytes, bytes]) -> bool:
        if self._token is None or path in OPEN[:3] or path.startswith(OPEN[3]):
            return True
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        return hmac.compare_digest(given.strip(), self._token) and kind.lower() == b"bearer"

    def _told(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "other"  # never the path itself, which may be anything
        method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        self.metrics.count("requests_total", route=route, status=str(status))
        self.metrics.observe("request_seconds", seconds, route=route)
        facts = scope.get("state", {}).get("facts", {})
        line = {"event": "request", "id": number, "method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
        self.log(line | facts)


async def _refuse(send: Send, status: int, why: str, number: str = "", extra: list[tuple[bytes, bytes]] | None = None) -> None:
    body = json.dumps({"error": why} | ({"id": number} if number else {})).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def to_stderr(line: dict[str, Any]) -> None:
    """Write one line of JSON with the time."""
    print(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())} | line), file=sys.stderr, flush=True)
