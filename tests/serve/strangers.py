"""Requests that nobody in their right mind would send, drawn at random, put to a service as uvicorn would put them."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import MutableMapping
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes, urlencode

from heliograph.serve.guard import Guard

SECRET = "C1CC1N[13CH2]SecretOne"  # part of every structure: must never be in a log
GOOD = ("CCO", "c1ccccc1O", "CC(=O)N", "C[N+](C)(C)C", "O=C=O", "[Na+].[Cl-]")
EVIL = (
    "(" * 150,
    "C" * 900,
    "[" + "1" * 500 + "C]",
    "C1" * 300,
    "." * 500,
    "%99" * 100,
    "C" + "=" * 200 + "C",
    "[Xx]",
    "\U0001f600",
    "C\x00C",
    "\u202eC",
    "[999C]",
    "C-" * 400,
    "[C" + "@" * 300 + "]",
    "<script>alert(1)</script>",
    "'; DROP TABLE x",
    "../../etc/passwd",
    "=1+1",
    "NaN",
)
BOMB = gzip.compress(b"smiles\n" + b"C\n" * 2_000_000)
PATHS = (
    ("/v1/predict",) * 6 + ("/v1/table",) * 5 + ("/v1/playground", "/v1/draw", "/v1/models", "/", "/metrics", "/readyz", "/openapi.json")
)
ODD = (
    "/static/../api.py",
    "/static/%2e%2e/api.py",
    "/static/..%2fapi.py",
    "/static/\x00",
    "/%ff",
    "/v1/" + quote(SECRET),
    "//",
    "/v1/predict/",
)
TYPES = (
    "application/json",
    "text/csv",
    "text/tab-separated-values",
    "chemical/x-daylight-smiles",
    "multipart/form-data; boundary=x",
    "text/csv; \x7f",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-7",
    "x" * 5000,
    "",
)


class Request(NamedTuple):
    """What is sent."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    parts: list[bytes]


class Answer(NamedTuple):
    """What came back: status (0: nothing), headers, body."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def smiles(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(GOOD)
    if kind < 0.7:
        return rng.choice(EVIL)
    if kind < 0.73:
        return rng.choice(("C", "(", "[", "1", "é")) * 100_000
    if kind < 0.85:
        return SECRET
    return "".join(rng.choices("CNOPScno()[]=#123456789%+-@/\\.* ", k=rng.randrange(60)))


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind < 6:
        return (None, True, rng.choice((0, -1, 10**400, 2**63, 1e308)), float("nan"), smiles(rng), rng.random())[kind]
    if kind == 6:
        return {rng.choice(("smiles", "model", "", "a" * 1000, "__proto__")): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [value(rng, depth + 1) for _ in range(rng.randrange(4))]


def document(rng: random.Random, path: str) -> bytes:
    """JSON that is nearly, or not at all, what the address takes."""
    kind = rng.random()
    if kind < 0.05:
        deep = rng.choice((100, 1000, 50_000))
        return (b'{"a":' * deep + b"1" + b"}" * deep) if rng.random() < 0.5 else b"[" * deep + b"]" * rng.choice((deep, 0))
    asked: dict[str, Any] = {"smiles": [smiles(rng) for _ in range(rng.choice((1, 1, 2, 3, 40)))]}
    if path == "/v1/playground":
        asked = {
            rng.choice(("smiles", "graph")): rng.choice((smiles(rng), "star")),
            "layer": rng.choice(("gin", "mean", SECRET)),
            "steps": rng.choice((1, 3, 99)),
        }
    elif path == "/v1/draw":
        asked = {"smiles": smiles(rng), "width": rng.choice((50, 320, -1, 10**9)), "model": rng.choice((None, "one", SECRET))}
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        asked[rng.choice((*asked, "model", SECRET))] = value(rng)
    text = json.dumps(asked, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
    return damaged(rng, text) if rng.random() < 0.3 else text


def table(rng: random.Random) -> bytes:
    """A table, more or less."""
    kind = rng.random()
    if kind < 0.04:
        return BOMB
    if kind < 0.08:
        return b",".join([b"smiles"] * rng.choice((2, 3000))) + b"\n" + b"," * rng.choice((1, 10_000)) + b"C\n"
    mark = rng.choice((",", ",", "\t", ";", " "))
    head = mark.join(rng.sample(("smiles", "id", "", "SMILES", "a\nb", SECRET), k=rng.randrange(1, 5)))
    lines = [mark.join((smiles(rng), rng.choice(("", '"', '"a', SECRET, "x" * 1000)))) for _ in range(rng.choice((0, 1, 3, 40)))]
    text = rng.choice(("\n", "\r\n", "\r", "\x0b")).join([head, *lines])
    raw = text.encode(rng.choice(("utf-8", "utf-8-sig", "utf-16", "utf-32")), "surrogatepass")
    return damaged(rng, raw) if rng.random() < 0.3 else raw


def damaged(rng: random.Random, raw: bytes) -> bytes:
    """Cut, or with bytes that were something else."""
    made = bytearray(raw[: rng.randrange(len(raw) + 1)] if rng.random() < 0.5 else raw)
    for _ in range(min(len(made), rng.randrange(6))):
        made[rng.randrange(len(made))] = rng.randrange(256)
    return bytes(made)


def request(rng: random.Random) -> Request:
    """One request."""
    path = rng.choice(PATHS) if rng.random() < 0.9 else rng.choice(ODD)
    if path == "/v1/draw" and rng.random() < 0.1:
        path = "/v1/explain"
    method = (
        "POST"
        if path.startswith("/v1/") and rng.random() < 0.9
        else rng.choice(("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "BREW"))
    )
    body = table(rng) if (path == "/v1/table") != (rng.random() < 0.1) else document(rng, path)
    if rng.random() < 0.03:
        body = rng.choice(
            (BOMB, b"", rng.randbytes(300), b"x" * 300_000, b"--x\r\ncontent-disposition: form-data; name=a; filename=b\r\n\r\nPK\x03\x04")
        )
    usual = "application/json" if path != "/v1/table" else "text/csv"
    headers = [(b"content-type", (usual if rng.random() < 0.8 else rng.choice(TYPES)).encode())]
    if rng.random() < 0.5:
        length = str(len(body)) if rng.random() < 0.9 else rng.choice(("-1", "9" * 30, "abc", "0", "\u00b2"))
        headers.append((b"content-length", length.encode("latin-1")))
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        name = rng.choice(
            (
                "content-encoding",
                "accept",
                "accept-encoding",
                "range",
                "authorization",
                "cookie",
                "x-" + "y" * 200,
                "origin",
                "if-none-match",
                "content-type",
            )
        )
        what = rng.choice((b"gzip", b"bytes=0-,5-,9-", b"bytes=9-1", b"x" * 2000, b"\xff\xfe", SECRET.encode(), b"", rng.randbytes(20)))
        headers.append((name.encode(), what))
    query = rng.choice(
        (
            b"",
            b"",
            b"model=one",
            urlencode({"model": SECRET}).encode(),
            b"smiles_column=%00",
            b"smiles_column=SMILES",
            quote_from_bytes(rng.randbytes(9)).encode(),
            b"&" * 2000,
        )
    )
    cut = sorted(rng.randrange(len(body) + 1) for _ in range(rng.randrange(3)))
    parts = [body[a:b] for a, b in zip([0, *cut], [*cut, len(body)], strict=True)]
    return Request(method, path, query, headers, parts)


async def put(app: Guard, asked: Request, gone: bool = False) -> Answer:
    """Send it. `gone`: the caller leaves before the end of the body."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in asked.parts]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})
    status, headers, body = 0, dict[bytes, bytes](), bytearray()

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0) if messages else await asyncio.sleep(3600, {"type": "http.disconnect"})

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.update(message["headers"])
        body.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": asked.query,
        "root_path": "",
        "headers": asked.headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    return Answer(status, headers, bytes(body))
